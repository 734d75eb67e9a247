//! The window's moments of two pictures and what SSIM makes of them, row by row.

use super::SsimOptions;
use super::window::{Column, Line, QUANTITIES, Rows, RowsMut, Window, split};
use crate::element::Element;
use crate::simd::Vector;

/// μx, μy, S and P around the pixels of one row after the other.
pub(super) struct Moments<'a, E> {
    x: &'a [E],
    y: &'a [E],
    window: &'a Window,
    column: Column<'a>,
    line: Line<'a>,
    sums: Vec<f64>,
}

impl<'a, E: Element> Moments<'a, E> {
    /// Of the planes `x` and `y`, from `first_row` on.
    pub(super) fn new(window: &'a Window, first_row: usize, x: &'a [E], y: &'a [E]) -> Self {
        let sums = vec![0.0; QUANTITIES * window.stride()];
        Self { x, y, window, column: Column::new(window, first_row), line: Line::new(window), sums }
    }

    /// The moments around `row`, which must not fall from call to call. Beyond the picture's width they mean nothing.
    #[inline(always)]
    pub(super) fn around<V: Vector>(&mut self, row: usize) -> Rows<'_> {
        let (width, stride) = (self.window.width, self.window.stride());
        while let Some(entering) = self.column.missing(row) {
            let at = entering * width..(entering + 1) * width;
            products(&self.x[at.clone()], &self.y[at], self.column.enter());
        }
        self.column.sums::<V>(row, self.line.row());
        self.line.sums::<V>(split(&mut self.sums, stride));
        split(&mut self.sums, stride).map(|row| &*row)
    }
}

/// What is summed to the four moments. Of equal pictures the third is exactly twice the fourth, as their sums then are:
/// no fused multiply-add here, which would round only one of the squares.
#[inline(always)]
fn products<E: Element>(x: &[E], y: &[E], [first, second, squares, product]: RowsMut<'_>) {
    let outputs = first.iter_mut().zip(second).zip(squares.iter_mut().zip(product));
    for ((x, y), ((first, second), (squares, product))) in x.iter().zip(y).zip(outputs) {
        let (x, y) = (x.to_f64(), y.to_f64());
        (*first, *second, *squares, *product) = (x, y, x * x + y * y, x * y);
    }
}

/// The factors of one pixel's SSIM.
struct Factors {
    a1: f64,
    a2: f64,
    b1: f64,
    b2: f64,
}

impl Factors {
    /// Rounding can leave a variance below 0, or a covariance above the variances: both are brought back, so that no
    /// SSIM is above 1 and B2 is never below C2. Comparisons leave NaN as it is.
    #[inline(always)]
    fn new([mx, my, squares, product]: [f64; QUANTITIES], c1: f64, c2: f64) -> Self {
        let means = mx * mx + my * my;
        let variance = squares - means;
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let covariance = 2.0 * (product - mx * my);
        let covariance = if covariance > variance { variance } else { covariance };
        let covariance = if covariance < -variance { -variance } else { covariance };
        Self { a1: 2.0 * (mx * my) + c1, a2: covariance + c2, b1: means + c1, b2: variance + c2 }
    }
}

/// Writes every pixel's SSIM to `out`.
#[inline(always)]
pub(super) fn ssim([mx, my, squares, product]: Rows<'_>, options: &SsimOptions, out: &mut [f64]) {
    let SsimOptions { c1, c2, .. } = *options;
    let moments = mx.iter().zip(my).zip(squares.iter().zip(product));
    for (out, ((mx, my), (squares, product))) in out.iter_mut().zip(moments) {
        let Factors { a1, a2, b1, b2 } = Factors::new([*mx, *my, *squares, *product], c1, c2);
        *out = a1 * a2 / (b1 * b2);
    }
}

/// Writes the derivatives of every pixel's SSIM by its moments, times `scale`, to `out`.
#[inline(always)]
pub(super) fn partials(
    [mx, my, squares, product]: Rows<'_>,
    options: &SsimOptions,
    scale: f64,
    [d_mx, d_my, d_squares, d_product]: RowsMut<'_>,
) {
    let SsimOptions { c1, c2, .. } = *options;
    let moments = mx.iter().zip(my).zip(squares.iter().zip(product));
    let outputs = d_mx.iter_mut().zip(d_my).zip(d_squares.iter_mut().zip(d_product));
    for (((d_mx, d_my), (d_squares, d_product)), ((mx, my), (squares, product))) in outputs.zip(moments) {
        let Factors { a1, a2, b1, b2 } = Factors::new([*mx, *my, *squares, *product], c1, c2);
        let inverse = 1.0 / (b1 * b2);
        let f = scale * a1 * a2 * inverse;
        // 1/B1 = B2 / (B1·B2), and the other way round.
        let cross = 2.0 * scale * (a2 - a1) * inverse;
        let own = 2.0 * f * (b1 - b2) * inverse;
        *d_mx = my * cross + mx * own;
        *d_my = mx * cross + my * own;
        *d_squares = -f * b1 * inverse;
        *d_product = 2.0 * scale * a1 * inverse;
    }
}
