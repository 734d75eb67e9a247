//! Upsampling on the CPU: slices in, slices out, bands of rows in parallel.
//!
//! Both forms are separable. The bilinear one mixes rows first, into one row's buffer that stays in the L1 cache, then
//! columns.

use rayon::prelude::*;

use super::Upsampling;
use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, buffer};

/// Elements of the small picture that one task takes: enough to outweigh the task's cost, few enough to share out a
/// single plane.
const TASK: usize = 1 << 13;

/// Rows of the small picture that one task takes.
fn band_rows(width: usize) -> usize {
    (TASK / width).max(1)
}

/// Writes `x`, whose dimensions are `planes`, at twice its height and width to `out`.
pub(super) fn forward<E: Element>(isa: Isa, planes: Planes, mode: Upsampling, x: &[E], out: &mut [E]) {
    let width = planes.width;
    let rows = band_rows(width);
    let planes = x.par_chunks(planes.pixels()).zip(out.par_chunks_mut(4 * planes.pixels()));
    planes.for_each(|(x, out)| {
        out.par_chunks_mut(4 * rows * width).enumerate().for_each(|(band, out)| {
            let first_row = band * rows;
            match mode {
                Upsampling::Nearest => E::run(isa, Repeat { x: &x[first_row * width..], width, out }),
                Upsampling::Bilinear => E::run(isa, Interpolate { x, width, first_row, out }),
            }
        });
    });
}

/// The gradient of a sum weighted by `grad`; `planes` are the dimensions of the small picture.
pub(super) fn backward<E: Element>(isa: Isa, planes: Planes, mode: Upsampling, grad: &[E]) -> Vec<E> {
    let mut out = buffer::zeroed(grad.len() / 4);
    let width = planes.width;
    let rows = band_rows(width);
    let planes = grad.par_chunks(4 * planes.pixels()).zip(out.par_chunks_mut(planes.pixels()));
    planes.for_each(|(grad, out)| {
        out.par_chunks_mut(rows * width).enumerate().for_each(|(band, out)| {
            let first_row = band * rows;
            match mode {
                Upsampling::Nearest => E::run(isa, Collect { grad: &grad[4 * first_row * width..], width, out }),
                Upsampling::Bilinear => E::run(isa, InterpolateBackward { grad, width, first_row, out }),
            }
        });
    });
    out
}

/// Nearest: every pixel twice, every row twice.
struct Repeat<'a, E> {
    x: &'a [E],
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Repeat<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, width, out } = self;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(4 * width)) {
            let (upper, lower) = out.split_at_mut(2 * width);
            for (out, &x) in upper.as_chunks_mut::<2>().0.iter_mut().zip(x) {
                *out = [x, x];
            }
            lower.copy_from_slice(upper);
        }
    }
}

/// The adjoint of [`Repeat`]: sums of 2x2 squares.
struct Collect<'a, E> {
    grad: &'a [E],
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Collect<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { grad, width, out } = self;
        for (grad, out) in grad.chunks_exact(4 * width).zip(out.chunks_exact_mut(width)) {
            let (upper, lower) = grad.split_at(2 * width);
            for (out, (upper, lower)) in out.iter_mut().zip(upper.chunks_exact(2).zip(lower.chunks_exact(2))) {
                *out = (upper[0] + upper[1]) + (lower[0] + lower[1]);
            }
        }
    }
}

/// 3/4 of the near value and 1/4 of the far one. Of equal values it is exactly that value: 3/4 · x is off by at most
/// half a unit in the last place, and the second rounding, to even where that is a tie, takes it back.
#[inline(always)]
fn mix<E: Element>(near: E, far: E) -> E {
    near * E::from_f64(0.75) + far * E::from_f64(0.25)
}

/// Bilinear, for a band of a plane's rows.
struct Interpolate<'a, E> {
    /// The whole plane.
    x: &'a [E],
    width: usize,
    first_row: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Interpolate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, width, first_row, out } = self;
        let last = x.len() / width - 1;
        let row = |y: usize| &x[y * width..(y + 1) * width];
        // One row between rows, with its first and its last pixel twice.
        let mut between = vec![E::ZERO; width + 2];
        for (k, out) in (first_row..).zip(out.chunks_exact_mut(4 * width)) {
            let (even, odd) = out.split_at_mut(2 * width);
            for (far, out) in [(k.saturating_sub(1), even), ((k + 1).min(last), odd)] {
                mix_rows(row(k), row(far), &mut between[1..=width]);
                between[0] = between[1];
                between[width + 1] = between[width];
                widen(&between, out);
            }
        }
    }
}

/// The adjoint of [`Interpolate`], for a band of a plane's rows.
struct InterpolateBackward<'a, E> {
    /// The gradient of the whole plane's result.
    grad: &'a [E],
    width: usize,
    first_row: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for InterpolateBackward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { grad, width, first_row, out } = self;
        let last = grad.len() / (2 * width) - 1;
        let row = |y: usize| &grad[2 * y * width..2 * (y + 1) * width];
        let mut between = vec![E::ZERO; 2 * width + 2];
        for (k, out) in (first_row..).zip(out.chunks_exact_mut(width)) {
            let near = [row(2 * k), row(2 * k + 1)];
            let far = [row((2 * k).saturating_sub(1)), row((2 * k + 2).min(last))];
            collect_rows(near, far, &mut between[1..=2 * width]);
            between[0] = between[1];
            between[2 * width + 1] = between[2 * width];
            collect_columns(&between, out);
        }
    }
}

// Loops over rows are functions: that their slices do not overlap is then known, and they are vectorised.

#[inline(always)]
fn mix_rows<E: Element>(near: &[E], far: &[E], out: &mut [E]) {
    for (out, (&near, &far)) in out.iter_mut().zip(near.iter().zip(far)) {
        *out = mix(near, far);
    }
}

/// Pixels 2k and 2k + 1 from `row[k..k + 3]`.
#[inline(always)]
fn widen<E: Element>(row: &[E], out: &mut [E]) {
    let pixels = row[1..].iter().zip(row.iter().zip(&row[2..]));
    for (out, (&near, (&left, &right))) in out.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
        *out = [mix(near, left), mix(near, right)];
    }
}

/// The adjoint of two of [`mix_rows`].
#[inline(always)]
fn collect_rows<E: Element>(near: [&[E]; 2], far: [&[E]; 2], out: &mut [E]) {
    let rows = near[0].iter().zip(near[1]).zip(far[0].iter().zip(far[1]));
    for (out, ((&upper, &lower), (&above, &below))) in out.iter_mut().zip(rows) {
        *out = mix(upper + lower, above + below);
    }
}

/// The adjoint of [`widen`]: pixel k from `row[2k..2k + 4]`.
#[inline(always)]
fn collect_columns<E: Element>(row: &[E], out: &mut [E]) {
    let [left, near, right] = [row, &row[1..], &row[2..]].map(|row| row.as_chunks::<2>().0);
    for (out, (near, (left, right))) in out.iter_mut().zip(near.iter().zip(left.iter().zip(right))) {
        *out = mix(near[0] + near[1], left[0] + right[1]);
    }
}
