//! SSIM on the CPU: slices in, slices out, bands of rows in parallel.
//!
//! Nothing is as large as a plane but the gradients: of the moments, and of their derivatives on the way back, a band
//! keeps the rows that a window covers. Every row's numbers are the same whatever band it is in.

use rayon::prelude::*;

use super::SsimOptions;
use super::moments::{Moments, partials, ssim};
use super::window::{Column, Line, QUANTITIES, Window, split};
use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, buffer};

/// Rows of a band. The gradients of a band need the moments of a window's rows more: a sixth of the work at 11 x 11.
const BAND: usize = 64;

/// The mean SSIM of `x` and `y`.
pub(super) fn forward<E: Element>(isa: Isa, planes: Planes, x: &[E], y: &[E], options: &SsimOptions) -> f64 {
    let Planes { height, width, .. } = planes;
    let window = &Window::new(height, width, options);
    let pixels = planes.pixels();
    let bands = height.div_ceil(BAND);
    let of_band = |index: usize| {
        let plane = index / bands * pixels..(index / bands + 1) * pixels;
        let first_row = index % bands * BAND;
        let end = (first_row + BAND).min(height);
        E::run(isa, Forward { x: &x[plane.clone()], y: &y[plane], window, options, rows: first_row..end })
    };
    let sums: Vec<f64> = (0..planes.batch * planes.channels * bands).into_par_iter().map(of_band).collect();
    sums.iter().sum::<f64>() / planes.len() as f64
}

/// The gradients for `x` and `y` of the mean times `grad`.
pub(super) fn backward<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    y: &[E],
    grad: f64,
    options: &SsimOptions,
) -> [Vec<E>; 2] {
    let Planes { height, width, .. } = planes;
    let window = &Window::new(height, width, options);
    let scale = grad / planes.len() as f64;
    let pixels = planes.pixels();
    let (mut d_x, mut d_y) = (buffer::zeroed(x.len()), buffer::zeroed(y.len()));
    let outputs = d_x.par_chunks_mut(pixels).zip(d_y.par_chunks_mut(pixels));
    (x.par_chunks(pixels), y.par_chunks(pixels), outputs).into_par_iter().for_each(|(x, y, (d_x, d_y))| {
        let bands = d_x.par_chunks_mut(BAND * width).zip(d_y.par_chunks_mut(BAND * width));
        bands.enumerate().for_each(|(band, (d_x, d_y))| {
            E::run(isa, Backward { x, y, window, options, scale, first_row: band * BAND, d_x, d_y });
        });
    });
    [d_x, d_y]
}

/// The sum of the SSIM of a band's pixels.
struct Forward<'a, E> {
    /// The whole plane, as `y` is.
    x: &'a [E],
    y: &'a [E],
    window: &'a Window,
    options: &'a SsimOptions,
    rows: std::ops::Range<usize>,
}

impl<E: Element> Kernel<E> for Forward<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) -> f64 {
        let Self { x, y, window, options, rows } = self;
        let mut moments = Moments::new(window, rows.start, x, y);
        let mut map = vec![0.0; window.stride()];
        let mut total = 0.0;
        for row in rows {
            ssim(moments.around::<V>(row), options, &mut map);
            total += sum(&map[..window.width]);
        }
        total
    }
}

/// The sum of a row, as eight interleaved ones.
#[inline(always)]
fn sum(row: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// The gradients of a band's pixels.
struct Backward<'a, E> {
    /// The whole plane, as `y` is.
    x: &'a [E],
    y: &'a [E],
    window: &'a Window,
    options: &'a SsimOptions,
    /// The gradient of one pixel's SSIM.
    scale: f64,
    first_row: usize,
    d_x: &'a mut [E],
    d_y: &'a mut [E],
}

impl<E: Element> Kernel<E> for Backward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, y, window, options, scale, first_row, d_x, d_y } = self;
        let (width, stride) = (window.width, window.stride());
        // Derivatives by the moments of all pixels whose window holds one of the band's.
        let mut column = Column::new(window, first_row);
        let mut line = Line::new(window);
        let mut moments = Moments::new(window, first_row.saturating_sub(window.reach()), x, y);
        let mut sums = vec![0.0; QUANTITIES * stride];
        for (row, (d_x, d_y)) in (first_row..).zip(d_x.chunks_exact_mut(width).zip(d_y.chunks_exact_mut(width))) {
            while let Some(entering) = column.missing(row) {
                partials(moments.around::<V>(entering), options, scale, line.row());
                line.sums::<V>(column.enter());
            }
            column.sums::<V>(row, split(&mut sums, stride));
            let [means_x, means_y, squares, products] = split(&mut sums, stride).map(|sums| &*sums);
            let (x, y) = (&x[row * width..][..width], &y[row * width..][..width]);
            collect(x, y, [means_x, squares, products], d_x);
            collect(y, x, [means_y, squares, products], d_y);
        }
    }
}

/// The gradient of one picture's row from the sums of the derivatives by its mean, by S and by P.
#[inline(always)]
fn collect<E: Element>(own: &[E], other: &[E], [means, squares, products]: [&[f64]; 3], out: &mut [E]) {
    let sums = means.iter().zip(squares.iter().zip(products));
    for ((out, (own, other)), (mean, (square, product))) in out.iter_mut().zip(own.iter().zip(other)).zip(sums) {
        *out = E::from_f64(mean + 2.0 * own.to_f64() * square + other.to_f64() * product);
    }
}
