//! The gradient of weights and bias: for every tap, input channels times output gradients, summed over all pixels.

use rayon::prelude::*;

use super::super::form::{self, Form};
use super::winograd;
use crate::buffer::Aligned;
use crate::element::Element;
use crate::interleave::Interleave;
use crate::rect::{CHANNEL_BLOCK, Patch, Rect, padded};
use crate::reuse::{Reusable, Reused};
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, buffer};

/// Rows and columns of a piece whose sums stay in the element type; pieces are then added in f64, in order. They do not
/// depend on the number of threads, so neither do the sums.
const PIECE_ROWS: usize = 16;
const PIECE_COLUMNS: usize = 96;
/// Bytes of the sums of pieces that wait to be added, unless one for each thread takes more.
const WAITING: usize = 64 << 20;
/// Elements of the total that one task adds to: 16 kB, which stay in the first-level cache while all pieces' sums pass.
const TOTAL_CHUNK: usize = 1 << 11;
/// Input channels of a register block.
const BLOCK: usize = 8;

/// How the sums of pieces are computed.
#[derive(Clone, Copy)]
pub(super) struct Method {
    isa: Isa,
    form: Form,
    size: usize,
    dilation: usize,
}

impl Method {
    /// As the convolution of these channels itself.
    pub(super) fn new<E: Element>(isa: Isa, [channels, outputs]: [usize; 2], size: usize, dilation: usize) -> Self {
        Self { isa, form: form::choose(isa, E::DTYPE, size, dilation, channels, outputs), size, dilation }
    }

    /// Pixels by which inputs reach beyond the gradients on every side.
    pub(super) fn reach(&self) -> usize {
        self.size / 2 * self.dilation
    }

    /// Rows (or columns) of gradients that are read for `count` of a piece; those beyond hold zeros.
    pub(super) fn extent(&self, count: usize) -> usize {
        if self.form == Form::Winograd { count.next_multiple_of(winograd::TILE * self.dilation) } else { count }
    }

    /// Adds a piece's sums, `[K·K, C, O]` and then the bias's `[O]`.
    pub(super) fn add<E: Element>(&self, x: Rect<'_, E>, grad: Rect<'_, E>, sums: &mut [E], scratch: &mut Aligned<E>) {
        let &Self { isa, form, size, dilation } = self;
        let (sums, bias) = sums.split_at_mut(size * size * x.channels() * grad.channels());
        E::run(isa, BiasSums { grad, sums: bias });
        match form {
            Form::Direct => E::run(isa, Piece { x, grad, size, dilation, sums }),
            Form::Winograd => E::run(isa, winograd::WeightSums { x, grad, dilation, sums, scratch }),
        }
    }
}

/// A thread's memory.
#[derive(Default)]
pub(super) struct Scratch<E> {
    pub x: Patch<E>,
    pub grad: Patch<E>,
    pub form: Aligned<E>,
}

impl<E: Element> Reusable for Scratch<E> {
    fn bytes(&self) -> usize {
        self.x.bytes() + self.grad.bytes() + self.form.bytes()
    }
}

/// A piece of a picture.
pub(super) struct Place {
    pub picture: usize,
    pub row: usize,
    pub column: usize,
    pub rows: usize,
    pub columns: usize,
}

/// Gradients of the weights `[outputs, C, size, size]` and the bias `[outputs]` from `x` `[B, C, H, W]` and `grad`
/// `[B, outputs, H, W]`.
pub(super) fn run<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    grad: &[E],
    outputs: usize,
    size: usize,
    dilation: usize,
) -> (Vec<E>, Vec<E>) {
    let Planes { channels, height, width, .. } = planes;
    let (pixels, method) = (planes.pixels(), Method::new::<E>(isa, [channels, outputs], size, dilation));
    let reach = method.reach();
    let sums_of = |scratch: &mut Scratch<E>, place: &Place, sums: &mut [E]| {
        let &Place { picture, row, column, rows, columns } = place;
        let (rows, columns) = (method.extent(rows), method.extent(columns));
        let x = &x[picture * channels * pixels..][..channels * pixels];
        let grad = &grad[picture * outputs * pixels..][..outputs * pixels];
        let corner = (row as isize - reach as isize, column as isize - reach as isize);
        let target = scratch.x.shaped(rows + 2 * reach, columns + 2 * reach, padded(channels));
        E::run(isa, Interleave { planes: x, height, width, corner, target });
        let target = scratch.grad.shaped(rows, columns, padded(outputs));
        let corner = (row as isize, column as isize);
        E::run(isa, Interleave { planes: grad, height, width, corner, target });
        method.add(scratch.x.rect(), scratch.grad.rect(), sums, &mut scratch.form);
    };
    total(planes, [channels, outputs], size, sums_of)
}

/// The sums of all pieces of a batch, as gradients of weights and bias.
pub(super) fn total<E: Element>(
    planes: Planes,
    [channels, outputs]: [usize; 2],
    size: usize,
    sums_of: impl Fn(&mut Scratch<E>, &Place, &mut [E]) + Sync,
) -> (Vec<E>, Vec<E>) {
    let Planes { batch, height, width, .. } = planes;
    let mut pieces = Vec::new();
    for picture in 0..batch {
        for row in (0..height).step_by(PIECE_ROWS) {
            for column in (0..width).step_by(PIECE_COLUMNS) {
                let (rows, columns) = (PIECE_ROWS.min(height - row), PIECE_COLUMNS.min(width - column));
                pieces.push(Place { picture, row, column, rows, columns });
            }
        }
    }
    let mut total = vec![0f64; (size * size * padded(channels) + 1) * padded(outputs)];
    // Some are summed at a time, then added: memory stays bounded whatever the batch. The order is that of the pieces
    // anyway.
    let threads = rayon::current_num_threads();
    let at_once = (WAITING / (total.len() * size_of::<E>())).clamp(threads, 64.max(4 * threads)) / threads * threads;
    for pieces in pieces.chunks(at_once) {
        let sums = pieces.par_iter().map_init(Reused::<Scratch<E>>::take, |scratch, piece| {
            let mut sums = vec![E::ZERO; total.len()];
            sums_of(scratch.get(), piece, &mut sums);
            sums
        });
        let sums: Vec<Vec<E>> = sums.collect();
        // Every element is added to in the pieces' order, whoever does it.
        total.par_chunks_mut(TOTAL_CHUNK).enumerate().for_each(|(chunk, total)| {
            for sums in &sums {
                for (total, sum) in total.iter_mut().zip(&sums[chunk * TOTAL_CHUNK..]) {
                    *total += sum.to_f64();
                }
            }
        });
    }
    let bias = total[size * size * padded(channels) * padded(outputs)..][..outputs].iter();
    (layout_weights(&total, channels, outputs, size), bias.map(|&sum| E::from_f64(sum)).collect())
}

/// Sums `[K·K, padded C, padded O]` as weights `[O, C, K, K]`: a block of outputs at a time, whose sums are neighbours.
fn layout_weights<E: Element>(sums: &[f64], channels: usize, outputs: usize, size: usize) -> Vec<E> {
    let (taps, of_output) = (size * size, channels * size * size);
    let mut weights = buffer::zeroed(outputs * of_output);
    for (block, weights) in weights.chunks_mut(CHANNEL_BLOCK * of_output).enumerate() {
        for channel in 0..channels {
            for tap in 0..taps {
                let sums = &sums[(tap * padded(channels) + channel) * padded(outputs) + block * CHANNEL_BLOCK..];
                let targets = weights[channel * taps + tap..].iter_mut().step_by(of_output);
                targets.zip(sums).for_each(|(target, &sum)| *target = E::from_f64(sum));
            }
        }
    }
    weights
}

/// One piece's sums, `[K·K, C, O]`, product by product.
struct Piece<'a, 's, E> {
    x: Rect<'a, E>,
    grad: Rect<'a, E>,
    size: usize,
    dilation: usize,
    sums: &'s mut [E],
}

impl<E: Element> Kernel<E> for Piece<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let (channels, outputs) = (self.x.channels(), self.grad.channels());
        let last_tap = (self.size - 1) * self.dilation;
        assert!(self.x.rows() >= self.grad.rows() + last_tap && self.x.columns() >= self.grad.columns() + last_tap);
        assert!(channels.is_multiple_of(BLOCK) && outputs.is_multiple_of(16));
        assert!(self.sums.len() == self.size * self.size * channels * outputs);
        for row in 0..self.grad.rows() {
            for tap in 0..self.size * self.size {
                for channel in (0..channels).step_by(BLOCK) {
                    let mut output = 0;
                    while output < outputs {
                        if output + 2 * V::LANES <= outputs {
                            self.block::<V, 2>(row, tap, channel, output);
                            output += 2 * V::LANES;
                        } else {
                            self.block::<V, 1>(row, tap, channel, output);
                            output += V::LANES;
                        }
                    }
                }
            }
        }
    }
}

/// The sums of all pixels, channel by channel.
struct BiasSums<'a, 's, E> {
    grad: Rect<'a, E>,
    sums: &'s mut [E],
}

impl<E: Element> Kernel<E> for BiasSums<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        for row in 0..self.grad.rows() {
            for pixel in self.grad.row(row).chunks_exact(self.grad.channels()) {
                for (sum, grad) in self.sums.chunks_exact_mut(V::LANES).zip(pixel.chunks_exact(V::LANES)) {
                    V::load(sum).add(V::load(grad)).store(sum);
                }
            }
        }
    }
}

impl<E: Element> Piece<'_, '_, E> {
    /// Adds one row's products of `BLOCK` input channels and `N` vectors of output channels.
    #[inline(always)]
    fn block<V: Vector<Elem = E>, const N: usize>(&mut self, row: usize, tap: usize, channel: usize, output: usize) {
        let (channels, outputs) = (self.x.channels(), self.grad.channels());
        let (u, v) = (tap / self.size * self.dilation, tap % self.size * self.dilation);
        let sums_at = (tap * channels + channel) * outputs + output;
        // SAFETY: `run` has checked that x reaches all taps of all pixels and that the sums hold every tap and channel;
        // the block's channels and outputs lie inside.
        unsafe {
            let mut x = self.x.as_ptr().add((row + u) * self.x.row_stride() + v * channels + channel);
            let mut grad = self.grad.as_ptr().add(row * self.grad.row_stride() + output);
            let target = self.sums.as_mut_ptr().add(sums_at);
            let mut sums = [[V::splat(E::ZERO); N]; BLOCK];
            for _ in 0..self.grad.columns() {
                let mut g = [V::splat(E::ZERO); N];
                for (n, g) in g.iter_mut().enumerate() {
                    *g = V::load_from(grad.add(n * V::LANES));
                }
                for (c, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*x.add(c));
                    for (sum, g) in sums.iter_mut().zip(g) {
                        *sum = x.mul_add(g, *sum);
                    }
                }
                x = x.wrapping_add(channels);
                grad = grad.wrapping_add(outputs);
            }
            for (c, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    let target = target.add(c * outputs + n * V::LANES);
                    sum.add(V::load_from(target)).store_to(target);
                }
            }
        }
    }
}
