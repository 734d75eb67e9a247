//! RLCN on the CPU: slices in, slices out, bands of rows in parallel.
//!
//! With S and Q the window's sums of I and I², n its pixels: I - μ = (n·I - S) / n and the variance is
//! (n·Q - S²) / (n·(n - 1)). Sums of equal f32 values are exact in f64: there flat regions give exactly 0.

use rayon::prelude::*;

use super::RlcnOptions;
use super::window::{Row, Window};
use crate::buffer;
use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes};

/// Writes the normalized planes of `x` to `out`.
pub(super) fn forward<E: Element>(isa: Isa, planes: Planes, x: &[E], options: &RlcnOptions, out: &mut [E]) {
    let window = window(planes, options);
    let band = window.band_rows() * planes.width;
    let planes = x.par_chunks(planes.pixels()).zip(out.par_chunks_mut(planes.pixels()));
    planes.for_each(|(x, out)| {
        out.par_chunks_mut(band).enumerate().for_each(|(index, out)| {
            E::run(isa, Forward { x, window, first_row: index * window.band_rows(), options, out });
        });
    });
}

/// The gradient of a sum weighted by `grad`.
///
/// L at p depends on every q of its window: dL_p/dI_q = ([p = q] - 1/n) / s - (I_p - μ)·(I_q - μ) / (s²·σ·(n - 1)),
/// s = σ + ε. Windows are symmetric, so the sum over all p whose window holds q is again a window sum around q, of two
/// quantities that belong to p (`Terms`).
pub(super) fn backward<E: Element>(isa: Isa, planes: Planes, x: &[E], grad: &[E], options: &RlcnOptions) -> Vec<E> {
    let mut out = buffer::zeroed(x.len());
    let window = window(planes, options);
    let pixels = planes.pixels();
    let band = window.band_rows() * planes.width;
    let planes = (x.par_chunks(pixels), grad.par_chunks(pixels), out.par_chunks_mut(pixels));
    planes.into_par_iter().for_each(|(x, grad, out)| {
        let mut constant = vec![0.0; pixels];
        let mut slope = vec![0.0; pixels];
        let terms = (constant.par_chunks_mut(band), slope.par_chunks_mut(band), out.par_chunks_mut(band));
        terms.into_par_iter().enumerate().for_each(|(index, (constant, slope, direct))| {
            let first_row = index * window.band_rows();
            E::run(isa, Terms { x, grad, window, first_row, options, constant, slope, direct });
        });
        out.par_chunks_mut(band).enumerate().for_each(|(index, out)| {
            let first_row = index * window.band_rows();
            E::run(isa, Gather { x, window, first_row, constant: &constant, slope: &slope, out });
        });
    });
    out
}

fn window(planes: Planes, options: &RlcnOptions) -> Window {
    let Planes { height, width, .. } = planes;
    // A window that reaches beyond the picture on all sides sees no more by reaching further.
    Window { height, width, radius: (options.window / 2).min(height.max(width)) }
}

/// I and I² along a row.
#[inline(always)]
fn moments<E: Element>(row: &[E]) -> impl Iterator<Item = (f64, f64)> {
    row.iter().map(|value| {
        let value = value.to_f64();
        (value, value * value)
    })
}

/// I - μ and σ of one pixel's window.
#[inline(always)]
fn statistics(value: f64, n: f64, sum: f64, squares: f64, variance_epsilon: f64) -> (f64, f64) {
    let variance = if n > 1.0 { (n * squares - sum * sum).max(0.0) / (n * (n - 1.0)) } else { 0.0 };
    ((n * value - sum) / n, (variance + variance_epsilon).sqrt())
}

struct Forward<'a, E> {
    x: &'a [E],
    window: Window,
    first_row: usize,
    options: &'a RlcnOptions,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, window, first_row, options, out } = self;
        let RlcnOptions { epsilon, variance_epsilon, clamp, .. } = *options;
        let width = window.width;
        let row = |y: usize| &x[y * width..(y + 1) * width];
        let upper = if clamp { 1.0 } else { f64::INFINITY };
        window.slide(
            first_row..first_row + out.len() / width,
            |y| moments(row(y)),
            |Row { y, n, first, second }| {
                let out = &mut out[(y - first_row) * width..][..width];
                for ((out, x), (n, (sum, squares))) in
                    out.iter_mut().zip(row(y)).zip(n.iter().zip(first.iter().zip(second)))
                {
                    let (deviation, sigma) = statistics(x.to_f64(), *n, *sum, *squares, variance_epsilon);
                    let l = deviation / (sigma + epsilon);
                    // Not `f64::max`, which would turn NaN into 0.
                    let l = if l < 0.0 { 0.0 } else { l };
                    *out = E::from_f64(if l > upper { upper } else { l });
                }
            },
        );
    }
}

/// First half of the gradient: what each pixel p gives to its window, `constant + slope · I_q`, with
/// slope = grad·(I_p - μ) / (s²·σ·(n - 1)) and constant = grad / (s·n) - slope·μ, and to itself, `direct` = grad / s.
struct Terms<'a, E> {
    x: &'a [E],
    grad: &'a [E],
    window: Window,
    first_row: usize,
    options: &'a RlcnOptions,
    constant: &'a mut [f64],
    slope: &'a mut [f64],
    direct: &'a mut [E],
}

impl<E: Element> Kernel<E> for Terms<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, grad, window, first_row, options, constant, slope, direct } = self;
        let RlcnOptions { epsilon, variance_epsilon, clamp, .. } = *options;
        let width = window.width;
        let row = |y: usize| &x[y * width..(y + 1) * width];
        window.slide(
            first_row..first_row + direct.len() / width,
            |y| moments(row(y)),
            |Row { y, n, first, second }| {
                let (x, grad) = (row(y), &grad[y * width..(y + 1) * width]);
                let at = (y - first_row) * width;
                for i in 0..width {
                    let value = x[i].to_f64();
                    let (deviation, sigma) = statistics(value, n[i], first[i], second[i], variance_epsilon);
                    let s = sigma + epsilon;
                    let passes = deviation > 0.0 && !(clamp && deviation > s);
                    let grad = if passes { grad[i].to_f64() } else { 0.0 };
                    let tilt = if n[i] > 1.0 { grad * deviation / (s * s * sigma * (n[i] - 1.0)) } else { 0.0 };
                    constant[at + i] = grad / (s * n[i]) - tilt * (value - deviation);
                    slope[at + i] = tilt;
                    direct[at + i] = E::from_f64(grad / s);
                }
            },
        );
    }
}

/// Second half: subtracts what the windows that hold q give to it from `out`, which holds `direct`.
struct Gather<'a, E> {
    x: &'a [E],
    window: Window,
    first_row: usize,
    constant: &'a [f64],
    slope: &'a [f64],
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Gather<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, window, first_row, constant, slope, out } = self;
        let width = window.width;
        let at = |y: usize| y * width..(y + 1) * width;
        window.slide(
            first_row..first_row + out.len() / width,
            |y| constant[at(y)].iter().copied().zip(slope[at(y)].iter().copied()),
            |Row { y, first, second, .. }| {
                let out = &mut out[(y - first_row) * width..][..width];
                for ((out, x), (constant, slope)) in out.iter_mut().zip(&x[at(y)]).zip(first.iter().zip(second)) {
                    *out = E::from_f64(out.to_f64() - constant - slope * x.to_f64());
                }
            },
        );
    }
}
