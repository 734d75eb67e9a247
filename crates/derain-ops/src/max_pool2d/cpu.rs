//! Max pooling on the CPU: slices in, slices out.
//!
//! Heights are even, so no window crosses from one plane to the next: the whole batch is pooled as one tall picture,
//! shared out in bands of row pairs. Loops are plain; compiled for the instruction set of their caller they become
//! compares, blends and shuffles.

use rayon::prelude::*;

use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, buffer};

/// Elements of x that one task takes: enough to outweigh the task's cost, few enough to share out a single plane.
const TASK: usize = 1 << 15;

/// Pairs of rows that one task takes.
fn pairs(width: usize) -> usize {
    (TASK / (2 * width)).max(1)
}

/// Writes the largest pixel of every window of `x` to `out`.
pub(super) fn forward<E: Element>(isa: Isa, planes: Planes, x: &[E], out: &mut [E]) {
    let width = planes.width;
    let task = pairs(width) * 2 * width;
    let tasks = x.par_chunks(task).zip(out.par_chunks_mut(task / 4));
    tasks.for_each(|(x, out)| E::run(isa, Forward { x, width, out }));
}

/// The gradient of a sum weighted by `grad`.
pub(super) fn backward<E: Element>(isa: Isa, planes: Planes, x: &[E], grad: &[E]) -> Vec<E> {
    let mut out = buffer::zeroed(x.len());
    let width = planes.width;
    let task = pairs(width) * 2 * width;
    let tasks = (x.par_chunks(task), grad.par_chunks(task / 4), out.par_chunks_mut(task));
    tasks.into_par_iter().for_each(|(x, grad, out)| E::run(isa, Backward { x, grad, width, out }));
    out
}

/// Whether `x` takes the place of the largest so far. NaN always does and a number never takes its place: it stays
/// visible.
#[inline(always)]
#[allow(clippy::eq_op, reason = "NaN is what differs from itself")]
fn beats<E: Element>(x: E, largest: E) -> bool {
    // Not `||`: branches would keep loops from being vectorised.
    (x > largest) | (x != x)
}

#[inline(always)]
fn largest<E: Element>(so_far: E, x: E) -> E {
    if beats(x, so_far) { x } else { so_far }
}

/// The four pixels of each window of a row pair, in row-major order.
#[inline(always)]
fn windows<E: Element>(rows: &[E], width: usize) -> impl Iterator<Item = [E; 4]> {
    let (upper, lower) = rows.split_at(width);
    let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
    upper.iter().zip(lower).map(|(&[a, b], &[c, d])| [a, b, c, d])
}

struct Forward<'a, E> {
    x: &'a [E],
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, width, out } = self;
        for (rows, out) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(width / 2)) {
            for (out, [a, b, c, d]) in out.iter_mut().zip(windows(rows, width)) {
                *out = largest(largest(largest(a, b), c), d);
            }
        }
    }
}

struct Backward<'a, E> {
    x: &'a [E],
    grad: &'a [E],
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Backward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, grad, width, out } = self;
        let mut buffers = vec![E::ZERO; 2 * width];
        let (ab, cd) = buffers.split_at_mut(width);
        let ((a, b), (c, d)) = (ab.split_at_mut(width / 2), cd.split_at_mut(width / 2));
        let rows = x.chunks_exact(2 * width).zip(out.chunks_exact_mut(2 * width));
        for ((rows, out), grad) in rows.zip(grad.chunks_exact(width / 2)) {
            let (upper, lower) = rows.split_at(width);
            unzip(upper, a, b);
            unzip(lower, c, d);
            give_back(grad, [a, b, c, d]);
            let (upper, lower) = out.split_at_mut(width);
            zip(a, b, upper);
            zip(c, d, lower);
        }
    }
}

/// Even and odd elements. Apart from each other, because compilers do not vectorise [`give_back`] over pairs: that took
/// five times as long (with AVX2).
#[inline(always)]
fn unzip<E: Element>(both: &[E], even: &mut [E], odd: &mut [E]) {
    for (&[e, o], (even, odd)) in both.as_chunks::<2>().0.iter().zip(even.iter_mut().zip(odd)) {
        (*even, *odd) = (e, o);
    }
}

/// The inverse of [`unzip`].
#[inline(always)]
fn zip<E: Element>(even: &[E], odd: &[E], both: &mut [E]) {
    for (both, (&even, &odd)) in both.as_chunks_mut::<2>().0.iter_mut().zip(even.iter().zip(odd)) {
        *both = [even, odd];
    }
}

/// Replaces the four pixels of each window of a row by their gradients.
#[inline(always)]
fn give_back<E: Element>(grad: &[E], [a, b, c, d]: [&mut [E]; 4]) {
    let windows = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
    for (((a, b), (c, d)), &grad) in windows.zip(grad) {
        let (ab, abc) = (largest(*a, *b), largest(largest(*a, *b), *c));
        let [b_wins, c_wins, d_wins] = [beats(*b, *a), beats(*c, ab), beats(*d, abc)];
        // From the last pixel back: each takes the gradient where none after it does.
        let give = |takes: bool| if takes { grad } else { E::ZERO };
        let left = !(c_wins | d_wins);
        (*a, *b) = (give(left & !b_wins), give(left & b_wins));
        (*c, *d) = (give(c_wins & !d_wins), give(d_wins));
    }
}
