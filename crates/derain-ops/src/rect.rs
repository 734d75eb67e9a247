//! Rectangles of pixels whose channels lie side by side, the layout in which convolutions run.
//!
//! Element (row, column, channel) of a rectangle lies at `row · row_stride + column · channels + channel`. A vector
//! then holds channels of one pixel: any width runs without tails, and a band of whole rows is one piece of memory.

use std::marker::PhantomData;
use std::slice;

use crate::buffer::Aligned;
use crate::element::Element;

/// Channels are padded to a multiple of this where a kernel writes them: one AVX-512 vector.
pub const CHANNEL_BLOCK: usize = 16;

/// `channels` with the padding that kernels need.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_BLOCK)
}

/// A rectangle that is read.
///
/// Only its own pixels, not what lies between its rows: that may be others' to write.
#[derive(Debug)]
pub struct Rect<'a, E> {
    start: *const E,
    rows: usize,
    columns: usize,
    channels: usize,
    row_stride: usize,
    values: PhantomData<&'a [E]>,
}

/// A rectangle that is written. Others may write beside it, between its rows.
#[derive(Debug)]
pub struct RectMut<'a, E> {
    start: *mut E,
    rows: usize,
    columns: usize,
    channels: usize,
    row_stride: usize,
    values: PhantomData<&'a mut [E]>,
}

impl<E> Copy for Rect<'_, E> {}

impl<E> Clone for Rect<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

// SAFETY: it is a shared borrow of its pixels.
unsafe impl<E: Sync> Send for Rect<'_, E> {}
// SAFETY: likewise.
unsafe impl<E: Sync> Sync for Rect<'_, E> {}
// SAFETY: it is the only borrow of its pixels.
unsafe impl<E: Send> Send for RectMut<'_, E> {}
// SAFETY: shared, it gives its pixels to be read alone.
unsafe impl<E: Sync> Sync for RectMut<'_, E> {}

/// Whether a rectangle lies inside `length` elements and its rows apart from each other, without which parts of it
/// would not be apart; one whose size overflows does not.
fn fits(length: usize, [rows, columns, channels, row_stride]: [usize; 4]) -> bool {
    let reach = || {
        let row = columns.checked_mul(channels)?;
        let Some(before) = rows.checked_sub(1) else { return Some(0) };
        (before == 0 || row <= row_stride).then_some(())?;
        before.checked_mul(row_stride)?.checked_add(row)
    };
    reach().is_some_and(|reach| reach <= length)
}

/// Whether `count` rows (or columns) from `start` on lie inside `all`.
fn within(start: usize, count: usize, all: usize) -> bool {
    count <= all && start <= all - count
}

impl<'a, E> Rect<'a, E> {
    /// A rectangle whose first element is the first of `values`; `channels` counts the padding.
    ///
    /// # Panics
    /// When `values` are too few.
    pub fn new(values: &'a [E], rows: usize, columns: usize, channels: usize, row_stride: usize) -> Self {
        assert!(fits(values.len(), [rows, columns, channels, row_stride]), "a rectangle does not fit its values");
        Self { start: values.as_ptr(), rows, columns, channels, row_stride, values: PhantomData }
    }

    /// The `rows` × `columns` part whose corner is (`row`, `column`).
    ///
    /// # Panics
    /// When it is not inside.
    pub fn part(&self, row: usize, column: usize, rows: usize, columns: usize) -> Rect<'a, E> {
        let inside = within(row, rows, self.rows) && within(column, columns, self.columns);
        assert!(inside, "a part reaches beyond its rectangle");
        Rect { start: self.start.wrapping_add(row * self.row_stride + column * self.channels), rows, columns, ..*self }
    }

    /// The pixels of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &'a [E] {
        assert!(row < self.rows, "a row beyond its rectangle");
        // SAFETY: the row is one of the rectangle's, whose pixels are borrowed for 'a.
        unsafe { slice::from_raw_parts(self.start.add(row * self.row_stride), self.columns * self.channels) }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Channels, padding counted.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Elements from one row to the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(crate) fn as_ptr(&self) -> *const E {
        self.start
    }
}

impl<'a, E> RectMut<'a, E> {
    /// As [`Rect::new`].
    ///
    /// # Panics
    /// When `values` are too few.
    pub fn new(values: &'a mut [E], rows: usize, columns: usize, channels: usize, row_stride: usize) -> Self {
        assert!(fits(values.len(), [rows, columns, channels, row_stride]), "a rectangle does not fit its values");
        Self { start: values.as_mut_ptr(), rows, columns, channels, row_stride, values: PhantomData }
    }

    /// The `rows` × `columns` part whose corner is (`row`, `column`).
    ///
    /// # Panics
    /// When it is not inside.
    pub fn part(&mut self, row: usize, column: usize, rows: usize, columns: usize) -> RectMut<'_, E> {
        let inside = within(row, rows, self.rows) && within(column, columns, self.columns);
        assert!(inside, "a part reaches beyond its rectangle");
        RectMut { start: self.at(row, column), rows, columns, ..*self }
    }

    /// The same rectangle, to be read.
    pub fn as_rect(&self) -> Rect<'_, E> {
        let Self { rows, columns, channels, row_stride, .. } = *self;
        Rect { start: self.start, rows, columns, channels, row_stride, values: PhantomData }
    }

    /// The pixels of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [E] {
        assert!(row < self.rows, "a row beyond its rectangle");
        // SAFETY: the row is one of the rectangle's, whose pixels nobody else borrows.
        unsafe { slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.columns * self.channels) }
    }

    fn at(&self, row: usize, column: usize) -> *mut E {
        self.start.wrapping_add(row * self.row_stride + column * self.channels)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Channels, padding counted.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Elements from one row to the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut E {
        self.start
    }
}

impl<E: Copy> RectMut<'_, E> {
    /// Copies a rectangle of the same rows, columns and channels.
    ///
    /// # Panics
    /// When a dimension differs.
    pub fn copy_from(&mut self, source: Rect<'_, E>) {
        assert!(self.rows == source.rows && self.columns == source.columns && self.channels == source.channels);
        for row in 0..self.rows {
            self.row_mut(row).copy_from_slice(source.row(row));
        }
    }

    /// Copies the part of `source` that starts at `corner` (row, column), which may lie outside; what does becomes 0.
    ///
    /// # Panics
    /// When the channels differ.
    pub fn copy_window(&mut self, source: Rect<'_, E>, corner: (isize, isize))
    where
        E: Element,
    {
        assert!(self.channels == source.channels, "other channels");
        let (top, left) = corner;
        let clip = |at: isize, extent: usize| at.clamp(0, extent as isize) as usize;
        let inside = clip(-left, self.columns)..clip(source.columns as isize - left, self.columns);
        for row in 0..self.rows {
            let channels = self.channels;
            let target = self.row_mut(row);
            let from = top + row as isize;
            if from < 0 || from >= source.rows as isize || inside.is_empty() {
                target.fill(E::ZERO);
                continue;
            }
            let first = clip(left, source.columns) * channels;
            let (start, end) = (inside.start * channels, inside.end * channels);
            target[..start].fill(E::ZERO);
            target[start..end].copy_from_slice(&source.row(from as usize)[first..first + end - start]);
            target[end..].fill(E::ZERO);
        }
    }

    /// Sets every element.
    pub fn fill(&mut self, value: E) {
        for row in 0..self.rows {
            self.row_mut(row).fill(value);
        }
    }
}

/// Cuts rectangles of the same rows and columns into parts of `rows` × `columns`, fewer at the far edges, which may be
/// written at the same time: those side by side one after the other, the same part of each, with its corner (row,
/// column).
///
/// # Panics
/// When their sizes differ, or, as soon as there is a part, `rows` or `columns` is 0.
pub fn tiles<'a, E: 'a, const N: usize>(
    rects: [RectMut<'a, E>; N],
    rows: usize,
    columns: usize,
) -> impl Iterator<Item = ((usize, usize), [RectMut<'a, E>; N])> {
    let (height, width) = rects.first().map_or((0, 0), |rect| (rect.rows, rect.columns));
    assert!(rects.iter().all(|rect| (rect.rows, rect.columns) == (height, width)), "rectangles of other sizes");
    let corners = (0..height).step_by(rows).flat_map(move |row| (0..width).step_by(columns).map(move |at| (row, at)));
    corners.map(move |(row, column)| {
        let (rows, columns) = (rows.min(height - row), columns.min(width - column));
        // No pixel is in two parts, and the wholes are gone: each part is the only borrow of its own.
        let part = |rect: &RectMut<'a, E>| RectMut { start: rect.at(row, column), rows, columns, ..*rect };
        ((row, column), rects.each_ref().map(part))
    })
}

/// A rectangle that owns its elements and keeps its memory from one shape to the next.
#[derive(Debug)]
pub struct Patch<E> {
    values: Aligned<E>,
    rows: usize,
    columns: usize,
    channels: usize,
}

impl<E> Default for Patch<E> {
    fn default() -> Self {
        Self { values: Aligned::default(), rows: 0, columns: 0, channels: 0 }
    }
}

impl<E: Element> Patch<E> {
    /// Takes on a shape and hands out the rectangle; what it holds is left over from earlier uses.
    ///
    /// # Panics
    /// When the shape has more elements than can be addressed.
    pub fn shaped(&mut self, rows: usize, columns: usize, channels: usize) -> RectMut<'_, E> {
        let length = rows.checked_mul(columns).and_then(|pixels| pixels.checked_mul(channels));
        self.values.reserve(length.unwrap_or(usize::MAX));
        (self.rows, self.columns, self.channels) = (rows, columns, channels);
        RectMut::new(&mut self.values, rows, columns, channels, columns * channels)
    }

    /// Bytes that are allocated.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// The rectangle as it was last shaped.
    pub fn rect(&self) -> Rect<'_, E> {
        Rect::new(&self.values, self.rows, self.columns, self.channels, self.columns * self.channels)
    }

    /// The rectangle as it was last shaped.
    pub fn rect_mut(&mut self) -> RectMut<'_, E> {
        RectMut::new(&mut self.values, self.rows, self.columns, self.channels, self.columns * self.channels)
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn windows_are_zero_outside() {
        let values: Vec<f32> = (1..=6).map(|value| value as f32).collect();
        let source = Rect::new(&values, 2, 3, 1, 3);
        let mut patch = Patch::default();
        let mut window = patch.shaped(4, 3, 1);
        window.fill(9.0);
        window.copy_window(source, (-1, 1));
        let rows: Vec<&[f32]> = (0..4).map(|row| patch.rect().row(row)).collect();
        assert_eq!(rows, [[0.0; 3], [2.0, 3.0, 0.0], [5.0, 6.0, 0.0], [0.0; 3]]);
        assert_eq!(source.part(1, 1, 1, 2).row(0), [5.0, 6.0]);
    }

    #[test]
    fn tiles_cover_all_pixels_once() {
        for (rows, columns) in [(5, 7), (1, 1), (0, 4), (4, 0), (8, 6)] {
            // Rows lie farther apart than they are long: what is between them stays.
            let (channels, row_stride) = (2, 2 * columns + 3);
            let mut values = vec![0u32; rows * row_stride];
            let rect = RectMut::new(&mut values, rows, columns, channels, row_stride);
            tiles([rect], 2, 3).par_bridge().for_each(|(corner, [mut tile])| {
                assert!(corner.0 % 2 == 0 && corner.1 % 3 == 0 && (1..=2).contains(&tile.rows()));
                for row in 0..tile.rows() {
                    for (at, value) in tile.row_mut(row).iter_mut().enumerate() {
                        *value += (1 + (corner.0 + row) * 100 + 2 * corner.1 + at) as u32;
                    }
                }
            });
            for (row, values) in values.chunks(row_stride).enumerate() {
                let expected: Vec<u32> = (0..2 * columns).map(|at| (1 + row * 100 + at) as u32).collect();
                assert_eq!(values[..2 * columns], expected);
                assert_eq!(values[2 * columns..], [0; 3]);
            }
        }
    }

    #[test]
    fn sizes_that_overflow_do_not_fit() {
        let values = [0f32; 16];
        let refused = |rows, columns, channels, stride| {
            std::panic::catch_unwind(|| Rect::new(&values, rows, columns, channels, stride)).is_err()
        };
        assert!(!refused(1, 1, 16, 16) && !refused(0, 5, 16, 80));
        assert!(refused(2, 1, 16, 16) && refused(2, 2, 16, 16) && refused(usize::MAX, 1, 1, 1));
        assert!(refused((1 << 32) + 1, 1, 16, 1 << 32) && refused(1, usize::MAX, 2, 0));
        let whole = Rect::new(&values, 1, 1, 16, 16);
        assert!(std::panic::catch_unwind(|| whole.part(usize::MAX, 0, 1, 1)).is_err());
    }
}
