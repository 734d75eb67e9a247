//! Weighted sums of four quantities over a square window, separably: down the columns of the rows that the window
//! covers, and along a row that continues with zeros on both sides.

use super::SsimOptions;
use crate::simd::Vector;

/// Quantities that are summed side by side.
pub(super) const QUANTITIES: usize = 4;

/// Columns that are summed together: vectors enough to hide the latency of a sum, few enough to stay in registers.
const BLOCK: usize = 32;

/// One row of each quantity.
pub(super) type Rows<'a> = [&'a [f64]; QUANTITIES];

/// One row of each quantity, to write.
pub(super) type RowsMut<'a> = [&'a mut [f64]; QUANTITIES];

/// The plane's size, and the weights along its two axes.
pub(super) struct Window {
    pub height: usize,
    pub width: usize,
    /// Weights down a column.
    down: Vec<f64>,
    /// Weights along a row.
    along: Vec<f64>,
}

impl Window {
    pub(super) fn new(height: usize, width: usize, options: &SsimOptions) -> Self {
        let radius = options.window / 2;
        let bell = |at: usize| (-0.5 * (at.abs_diff(radius) as f64 / options.sigma).powi(2)).exp();
        let total: f64 = (0..options.window).map(bell).sum();
        let weights: Vec<f64> = (0..options.window).map(|at| bell(at) / total).collect();
        // Weights that lie beyond the picture wherever the window is would only meet zeros.
        let within =
            |length: usize| weights[radius - radius.min(length - 1)..=radius + radius.min(length - 1)].to_vec();
        Self { height, width, down: within(height), along: within(width) }
    }

    /// The width in whole blocks, which is how long rows of quantities are.
    pub(super) fn stride(&self) -> usize {
        self.width.next_multiple_of(BLOCK)
    }

    /// Pixels from a row to the furthest that its window covers.
    pub(super) fn reach(&self) -> usize {
        self.down.len() / 2
    }
}

/// The rows that the window covers.
pub(super) struct Column<'a> {
    window: &'a Window,
    /// Row y lies at y modulo the window's rows.
    values: Vec<f64>,
    /// The row that enters next.
    next: usize,
    /// Where the window's rows start in `values`, for the first quantity.
    starts: Vec<usize>,
}

impl<'a> Column<'a> {
    /// For sums around `first_row` and the rows after it.
    pub(super) fn new(window: &'a Window, first_row: usize) -> Self {
        let rows = window.down.len();
        Self {
            window,
            values: vec![0.0; rows * QUANTITIES * window.stride()],
            next: first_row.saturating_sub(window.reach()),
            starts: Vec::with_capacity(rows),
        }
    }

    /// The next row that must enter before the sums around row `y` can be taken.
    #[inline(always)]
    pub(super) fn missing(&self, y: usize) -> Option<usize> {
        (self.next <= (y + self.window.reach()).min(self.window.height - 1)).then_some(self.next)
    }

    /// Where to write the row that enters next. Columns do not mix here: what is beyond the picture's width does not
    /// matter.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> RowsMut<'_> {
        let start = self.start(self.next);
        self.next += 1;
        split(&mut self.values[start..], self.window.stride())
    }

    /// Writes the sums down the window around row `y` to `out`; rows beyond the picture are zero.
    #[inline(always)]
    pub(super) fn sums<V: Vector>(&mut self, y: usize, out: RowsMut<'_>) {
        let reach = self.window.reach();
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(self.window.height);
        let weights = &self.window.down[rows.start + reach - y..][..rows.len()];
        self.starts.clear();
        for row in rows {
            self.starts.push(self.start(row));
        }
        for (quantity, out) in out.into_iter().enumerate() {
            weigh::<V>(&self.values[quantity * self.window.stride()..], &self.starts, weights, out);
        }
    }

    #[inline(always)]
    fn start(&self, row: usize) -> usize {
        row % self.window.down.len() * QUANTITIES * self.window.stride()
    }
}

/// A row with zeros on both sides.
pub(super) struct Line<'a> {
    window: &'a Window,
    values: Vec<f64>,
    /// Where the window's columns start, for its first place: 0, 1, 2, …
    starts: Vec<usize>,
}

impl<'a> Line<'a> {
    pub(super) fn new(window: &'a Window) -> Self {
        let length = window.along.len() - 1 + window.stride();
        Self { window, values: vec![0.0; QUANTITIES * length], starts: (0..window.along.len()).collect() }
    }

    /// The row itself, to write, as long as the stride.
    #[inline(always)]
    pub(super) fn row(&mut self) -> RowsMut<'_> {
        let side = self.window.along.len() / 2;
        let rows = split(&mut self.values, self.window.along.len() - 1 + self.window.stride());
        let stride = self.window.stride();
        rows.map(|row| &mut row[side..side + stride])
    }

    /// Writes the sums along the row to `out`. What the row holds beyond the picture's width becomes zero first.
    #[inline(always)]
    pub(super) fn sums<V: Vector>(&mut self, out: RowsMut<'_>) {
        let Window { width, ref along, .. } = *self.window;
        let length = along.len() - 1 + self.window.stride();
        for (row, out) in self.values.chunks_exact_mut(length).zip(out) {
            row[along.len() / 2 + width..].fill(0.0);
            weigh::<V>(row, &self.starts, along, out);
        }
    }
}

/// The first rows of `length` of `values`.
#[inline(always)]
pub(super) fn split(values: &mut [f64], length: usize) -> RowsMut<'_> {
    let (first, rest) = values.split_at_mut(length);
    let (second, rest) = rest.split_at_mut(length);
    let (third, rest) = rest.split_at_mut(length);
    [first, second, third, &mut rest[..length]]
}

/// The sums of the pieces of `source` that begin at `starts`, each times its weight, in their order.
#[inline(always)]
fn weigh<V: Vector>(source: &[f64], starts: &[usize], weights: &[f64], out: &mut [f64]) {
    for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let mut sums = [0.0; BLOCK];
        for (&start, &weight) in starts.iter().zip(weights) {
            let source = &source[start + block * BLOCK..][..BLOCK];
            for lane in 0..BLOCK {
                sums[lane] = if V::FUSED {
                    source[lane].mul_add(weight, sums[lane])
                } else {
                    source[lane] * weight + sums[lane]
                };
            }
        }
        *out = sums;
    }
}
