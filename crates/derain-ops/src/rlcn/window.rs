//! Sums of two quantities over a square window that slides down a plane.
//!
//! Column sums gain the row that enters and lose the row that leaves; their prefix sums along the row give every
//! window's sum by one subtraction. Three additions a pixel for each quantity, whatever the window.

use std::ops::Range;

/// A plane and the window that slides over it, reaching `radius` pixels to each side.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub height: usize,
    pub width: usize,
    pub radius: usize,
}

/// The window's sums around each pixel of one row.
pub(super) struct Row<'a> {
    /// The row's index in the plane.
    pub y: usize,
    /// Pixels of the window that lie inside the picture.
    pub n: &'a [f64],
    /// Sums of the first quantity.
    pub first: &'a [f64],
    /// Sums of the second quantity.
    pub second: &'a [f64],
}

impl Window {
    /// Rows of a plane that are summed in one go. Each band starts its sums afresh, so a band is never shorter than
    /// four windows: the start then costs little. It depends on nothing but the window and the plane, as results must.
    pub(super) fn band_rows(&self) -> usize {
        (4 * (2 * self.radius + 1)).max(128).min(self.height)
    }

    /// Calls `emit` with the sums around each of `rows`, in order. `source` gives the two quantities along a row.
    #[inline(always)]
    pub(super) fn slide<I: Iterator<Item = (f64, f64)>>(
        &self,
        rows: Range<usize>,
        source: impl Fn(usize) -> I,
        mut emit: impl FnMut(Row<'_>),
    ) {
        let Self { height, width, radius } = *self;
        let mut columns = [vec![0.0; width], vec![0.0; width]];
        let mut prefix = [vec![0.0; width + 1], vec![0.0; width + 1]];
        let mut sums = [vec![0.0; width], vec![0.0; width]];
        let across: Vec<f64> = (0..width).map(|x| self.reach(x, width).len() as f64).collect();
        let mut n = vec![0.0; width];
        for y in self.reach(rows.start, height).start..(rows.start + radius).min(height) {
            accumulate(&mut columns, source(y), |sum, value| sum + value);
        }
        for y in rows {
            if y + radius < height {
                accumulate(&mut columns, source(y + radius), |sum, value| sum + value);
            }
            for (n, across) in n.iter_mut().zip(&across) {
                *n = across * self.reach(y, height).len() as f64;
            }
            for ((columns, prefix), sums) in columns.iter().zip(&mut prefix).zip(&mut sums) {
                let mut running = 0.0;
                for (prefix, column) in prefix[1..].iter_mut().zip(columns) {
                    running += column;
                    *prefix = running;
                }
                self.differences(prefix, sums);
            }
            emit(Row { y, n: &n, first: &sums[0], second: &sums[1] });
            if y >= radius {
                accumulate(&mut columns, source(y - radius), |sum, value| sum - value);
            }
        }
    }

    /// The window's pixels along one axis of `length`, around `center`.
    fn reach(&self, center: usize, length: usize) -> Range<usize> {
        center.saturating_sub(self.radius)..(center + self.radius + 1).min(length)
    }

    /// Window sums from prefix sums; the pixels whose window is whole go through a loop that vectorises.
    #[inline(always)]
    fn differences(&self, prefix: &[f64], sums: &mut [f64]) {
        let Self { width, radius, .. } = *self;
        let whole = radius.min(width)..width.saturating_sub(radius).max(radius.min(width));
        for x in (0..whole.start).chain(whole.end..width) {
            let reach = self.reach(x, width);
            sums[x] = prefix[reach.end] - prefix[reach.start];
        }
        if !whole.is_empty() {
            let ends = &prefix[2 * radius + 1..];
            for (sum, (end, start)) in sums[whole].iter_mut().zip(ends.iter().zip(prefix)) {
                *sum = end - start;
            }
        }
    }
}

#[inline(always)]
fn accumulate(columns: &mut [Vec<f64>; 2], row: impl Iterator<Item = (f64, f64)>, combine: impl Fn(f64, f64) -> f64) {
    let [first, second] = columns;
    for ((first, second), values) in first.iter_mut().zip(second).zip(row) {
        *first = combine(*first, values.0);
        *second = combine(*second, values.1);
    }
}
