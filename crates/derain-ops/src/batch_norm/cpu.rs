//! Batch normalization on the CPU: slices in, slices out.
//!
//! Sums run over pieces of planes, each within the L1 cache and by the same lanes of f64 whatever the instruction set;
//! a channel's pieces are added up in index order. Elements are normalized in f64 too: f32 would lose what a mean far
//! from 0 leaves of them.

use rayon::prelude::*;

use super::Statistics;
use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Activation, Isa, Planes, buffer};

/// Elements of a plane that are summed, or normalized, in one go: 16 KiB of f32.
const PIECE: usize = 1 << 12;

/// Accumulators of one sum: chains enough to hide the latency of additions, vectors few enough to stay in registers.
const LANES: usize = 32;

/// Mean and biased variance.
pub(super) struct Moments {
    pub mean: f64,
    pub variance: f64,
}

/// What one piece of a plane adds to a channel's moments.
struct Piece {
    count: f64,
    sum: f64,
    /// The squared deviations from the piece's own mean.
    squares: f64,
}

/// The moments of every channel of `x`.
pub(super) fn moments<E: Element>(isa: Isa, planes: Planes, x: &[E]) -> Vec<Moments> {
    let pieces = per_channel(planes, |at| E::run(isa, Summarize(&x[at])));
    let of_channel = |pieces: Vec<Piece>| {
        let count: f64 = pieces.iter().map(|piece| piece.count).sum();
        let mean = pieces.iter().map(|piece| piece.sum).sum::<f64>() / count;
        // A piece's deviations from the channel's mean are those from its own, and its own mean's.
        let about = |piece: &Piece| piece.squares + piece.count * (piece.sum / piece.count - mean).powi(2);
        Moments { mean, variance: pieces.iter().map(about).sum::<f64>() / count }
    };
    pieces.into_iter().map(of_channel).collect()
}

/// Writes activation(γ · (x - μ) / s + β) to `out`.
pub(super) fn forward<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    [gamma, beta]: [&[E]; 2],
    statistics: &[Statistics],
    activation: Activation,
    out: &mut [E],
) {
    let channel = |channel: usize| {
        let Statistics { mean, inverse } = statistics[channel];
        Line { mean, slope: gamma[channel].to_f64() * inverse, offset: beta[channel].to_f64() }
    };
    apply(isa, planes, x, channel, activation, out);
}

/// The gradients of a sum weighted by an incoming gradient.
pub(super) struct Gradients<E> {
    /// `[B, C, H, W]`.
    pub x: Vec<E>,
    /// `[C]`.
    pub gamma: Vec<E>,
    /// `[C]`.
    pub beta: Vec<E>,
}

/// Gradients through the statistics, which are those of `x` itself.
pub(super) fn backward_through_statistics<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    gamma: &[E],
    statistics: &[Statistics],
    grad: &[E],
) -> Gradients<E> {
    let sums = gradient_sums(isa, planes, x, statistics, grad);
    let count = (planes.batch * planes.pixels()) as f64;
    let mut out = buffer::zeroed(x.len());
    each_piece(planes, &mut out, |channel, at, out| {
        let Statistics { mean, inverse } = statistics[channel];
        let Sums { gamma: d_gamma, beta: d_beta } = sums[channel];
        let factor = gamma[channel].to_f64() * inverse;
        let (tilt, shift) = (factor * inverse * d_gamma / count, factor * d_beta / count);
        E::run(isa, Tilt { x: &x[at.clone()], grad: &grad[at], mean, factor, tilt, shift, out });
    });
    Gradients::new(out, &sums)
}

/// Gradients where the statistics are constants.
pub(super) fn backward_with_constants<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    gamma: &[E],
    statistics: &[Statistics],
    grad: &[E],
) -> Gradients<E> {
    let sums = gradient_sums(isa, planes, x, statistics, grad);
    let mut out = buffer::zeroed(x.len());
    let channel =
        |channel: usize| Line { mean: 0.0, slope: gamma[channel].to_f64() * statistics[channel].inverse, offset: 0.0 };
    apply(isa, planes, grad, channel, Activation::None, &mut out);
    Gradients::new(out, &sums)
}

impl<E: Element> Gradients<E> {
    fn new(x: Vec<E>, sums: &[Sums]) -> Self {
        let all = |part: fn(&Sums) -> f64| sums.iter().map(|sums| E::from_f64(part(sums))).collect();
        Self { x, gamma: all(|sums| sums.gamma), beta: all(|sums| sums.beta) }
    }
}

/// dγ and dβ of a channel, or what a piece of it adds to Σ g · (x - μ) and Σ g.
#[derive(Clone, Copy)]
struct Sums {
    gamma: f64,
    beta: f64,
}

fn gradient_sums<E: Element>(isa: Isa, planes: Planes, x: &[E], statistics: &[Statistics], grad: &[E]) -> Vec<Sums> {
    let channels = planes.channels;
    let pieces = per_channel(planes, |at| {
        let mean = statistics[at.start / planes.pixels() % channels].mean;
        E::run(isa, Weigh { x: &x[at.clone()], grad: &grad[at], mean })
    });
    let of_channel = |(pieces, statistics): (Vec<Sums>, &Statistics)| Sums {
        gamma: pieces.iter().map(|piece| piece.gamma).sum::<f64>() * statistics.inverse,
        beta: pieces.iter().map(|piece| piece.beta).sum(),
    };
    pieces.into_iter().zip(statistics).map(of_channel).collect()
}

/// Calls `f` with the range of every piece of every plane, in parallel; gives the results by channel, each in index
/// order.
fn per_channel<R: Send>(planes: Planes, f: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<Vec<R>> {
    let Planes { batch, channels, .. } = planes;
    let pixels = planes.pixels();
    let pieces = pixels.div_ceil(PIECE);
    let of_piece = |index: usize| {
        let (plane, piece) = (index / pieces, index % pieces);
        f(plane * pixels + piece * PIECE..plane * pixels + ((piece + 1) * PIECE).min(pixels))
    };
    let all: Vec<R> = (0..batch * channels * pieces).into_par_iter().map(of_piece).collect();
    let mut by_channel: Vec<Vec<R>> = (0..channels).map(|_| Vec::with_capacity(batch * pieces)).collect();
    for (index, result) in all.into_iter().enumerate() {
        by_channel[index / pieces % channels].push(result);
    }
    by_channel
}

/// Calls `f` with the channel and the range of every piece of `out`, and the piece, in parallel.
fn each_piece<E: Element>(planes: Planes, out: &mut [E], f: impl Fn(usize, std::ops::Range<usize>, &mut [E]) + Sync) {
    let pixels = planes.pixels();
    out.par_chunks_mut(pixels).enumerate().for_each(|(plane, out)| {
        out.par_chunks_mut(PIECE).enumerate().for_each(|(piece, out)| {
            let start = plane * pixels + piece * PIECE;
            f(plane % planes.channels, start..start + out.len(), out);
        });
    });
}

/// (x - mean) · slope + offset.
#[derive(Clone, Copy)]
struct Line {
    mean: f64,
    slope: f64,
    offset: f64,
}

fn apply<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    line: impl Fn(usize) -> Line + Sync,
    activation: Activation,
    out: &mut [E],
) {
    each_piece(planes, out, |channel, at, out| {
        E::run(isa, Apply { x: &x[at], line: line(channel), activation, out });
    });
}

struct Apply<'a, E> {
    x: &'a [E],
    line: Line,
    activation: Activation,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Apply<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, line: Line { mean, slope, offset }, activation, out } = self;
        // NaN is not below 0, and stays.
        let lowest = if activation == Activation::Relu { 0.0 } else { f64::NEG_INFINITY };
        for (out, x) in out.iter_mut().zip(x) {
            let y = (x.to_f64() - mean) * slope + offset;
            *out = E::from_f64(if y < lowest { lowest } else { y });
        }
    }
}

/// The gradient of x through the statistics: factor · grad - tilt · (x - mean) - shift.
struct Tilt<'a, E> {
    x: &'a [E],
    grad: &'a [E],
    mean: f64,
    factor: f64,
    tilt: f64,
    shift: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Tilt<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, grad, mean, factor, tilt, shift, out } = self;
        for (out, (x, grad)) in out.iter_mut().zip(x.iter().zip(grad)) {
            *out = E::from_f64(factor * grad.to_f64() - tilt * (x.to_f64() - mean) - shift);
        }
    }
}

struct Summarize<'a, E>(&'a [E]);

impl<E: Element> Kernel<E> for Summarize<'_, E> {
    type Output = Piece;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) -> Piece {
        let count = self.0.len() as f64;
        let [sum] = sums(self.0, self.0, |x, _| [x]);
        let mean = sum / count;
        let [squares] = sums(self.0, self.0, |x, _| [(x - mean) * (x - mean)]);
        Piece { count, sum, squares }
    }
}

struct Weigh<'a, E> {
    x: &'a [E],
    grad: &'a [E],
    mean: f64,
}

impl<E: Element> Kernel<E> for Weigh<'_, E> {
    type Output = Sums;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) -> Sums {
        let Self { x, grad, mean } = self;
        let [gamma, beta] = sums(x, grad, |x, grad| [grad * (x - mean), grad]);
        Sums { gamma, beta }
    }
}

/// The sums of what `terms` makes of every pair of elements.
#[inline(always)]
fn sums<E: Element, const N: usize>(x: &[E], y: &[E], terms: impl Fn(f64, f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = x_chunks.remainder().iter().zip(y_chunks.remainder());
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..LANES {
            let terms = terms(x[lane].to_f64(), y[lane].to_f64());
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[lane] += term;
            }
        }
    }
    for (lane, (x, y)) in rest.enumerate() {
        for (lanes, term) in lanes.iter_mut().zip(terms(x.to_f64(), y.to_f64())) {
            lanes[lane] += term;
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}
