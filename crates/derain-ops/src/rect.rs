//! Rectangles of pixels whose channels lie side by side, the layout in which convolutions run.
//!
//! Element (row, column, channel) of a rectangle lies at `row · row_stride + column · channels + channel`. A vector then
//! holds channels of one pixel: any width runs without tails, and a band of whole rows is one piece of memory.

use crate::buffer::Aligned;
use crate::element::Element;

/// Channels are padded to a multiple of this where a kernel writes them: one AVX-512 vector.
pub const CHANNEL_BLOCK: usize = 16;

/// `channels` with the padding that kernels need.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_BLOCK)
}

/// A rectangle that is read.
#[derive(Clone, Copy, Debug)]
pub struct Rect<'a, E> {
    values: &'a [E],
    rows: usize,
    columns: usize,
    channels: usize,
    row_stride: usize,
}

/// A rectangle that is written.
#[derive(Debug)]
pub struct RectMut<'a, E> {
    values: &'a mut [E],
    rows: usize,
    columns: usize,
    channels: usize,
    row_stride: usize,
}

/// Whether a rectangle lies inside `length` elements; one whose size overflows does not.
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
        Self { values, rows, columns, channels, row_stride }
    }

    /// The `rows` × `columns` part whose corner is (`row`, `column`).
    ///
    /// # Panics
    /// When it is not inside.
    pub fn part(&self, row: usize, column: usize, rows: usize, columns: usize) -> Rect<'a, E> {
        let inside = within(row, rows, self.rows) && within(column, columns, self.columns);
        assert!(inside, "a part reaches beyond its rectangle");
        let start = (row * self.row_stride + column * self.channels).min(self.values.len());
        Rect { values: &self.values[start..], rows, columns, ..*self }
    }

    /// The pixels of a row.
    pub fn row(&self, row: usize) -> &'a [E] {
        &self.values[row * self.row_stride..][..self.columns * self.channels]
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
        self.values.as_ptr()
    }
}

impl<'a, E> RectMut<'a, E> {
    /// As [`Rect::new`].
    ///
    /// # Panics
    /// When `values` are too few.
    pub fn new(values: &'a mut [E], rows: usize, columns: usize, channels: usize, row_stride: usize) -> Self {
        assert!(fits(values.len(), [rows, columns, channels, row_stride]), "a rectangle does not fit its values");
        Self { values, rows, columns, channels, row_stride }
    }

    /// The `rows` × `columns` part whose corner is (`row`, `column`).
    ///
    /// # Panics
    /// When it is not inside.
    pub fn part(&mut self, row: usize, column: usize, rows: usize, columns: usize) -> RectMut<'_, E> {
        let inside = within(row, rows, self.rows) && within(column, columns, self.columns);
        assert!(inside, "a part reaches beyond its rectangle");
        let start = (row * self.row_stride + column * self.channels).min(self.values.len());
        RectMut { values: &mut self.values[start..], rows, columns, ..*self }
    }

    /// The same rectangle, to be read.
    pub fn as_rect(&self) -> Rect<'_, E> {
        let Self { rows, columns, channels, row_stride, .. } = *self;
        Rect { values: self.values, rows, columns, channels, row_stride }
    }

    /// The pixels of a row.
    pub fn row_mut(&mut self, row: usize) -> &mut [E] {
        &mut self.values[row * self.row_stride..][..self.columns * self.channels]
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
        self.values.as_mut_ptr()
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
