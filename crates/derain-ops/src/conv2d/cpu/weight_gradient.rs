//! The gradient of weights and bias: for every tap, input channels times output gradients, summed over all pixels.

use rayon::prelude::*;

use crate::element::Element;
use crate::interleave::Interleave;
use crate::rect::{Patch, Rect, padded};
use crate::reuse::Reused;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes};

/// Rows and columns of a piece whose sums stay in the element type; pieces are then added in f64, in order. They do not depend on the
/// number of threads, so neither do the sums.
const PIECE_ROWS: usize = 16;
const PIECE_COLUMNS: usize = 96;
/// Input channels of a register block.
const BLOCK: usize = 8;

/// Gradients of the weights `[outputs, C, size, size]` and the bias `[outputs]` from `x` `[B, C, H, W]` and `grad` `[B, outputs, H, W]`.
pub(super) fn run<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    grad: &[E],
    outputs: usize,
    size: usize,
    dilation: usize,
) -> (Vec<E>, Vec<E>) {
    let Planes { batch, channels, height, width } = planes;
    let (pixels, taps, reach) = (planes.pixels(), size * size, size / 2 * dilation);
    let mut pieces = Vec::new();
    for picture in 0..batch {
        for row in (0..height).step_by(PIECE_ROWS) {
            for column in (0..width).step_by(PIECE_COLUMNS) {
                pieces.push((picture, row, column));
            }
        }
    }
    let sums_of = |patches: &mut Reused<(Patch<E>, Patch<E>)>, &(picture, row, column): &(usize, usize, usize)| {
        let patches = patches.get();
        let (rows, columns) = (PIECE_ROWS.min(height - row), PIECE_COLUMNS.min(width - column));
        let x = &x[picture * channels * pixels..][..channels * pixels];
        let grad = &grad[picture * outputs * pixels..][..outputs * pixels];
        let corner = (row as isize - reach as isize, column as isize - reach as isize);
        let target = patches.0.shaped(rows + 2 * reach, columns + 2 * reach, padded(channels));
        E::run(isa, Interleave { planes: x, height, width, corner, target });
        let target = patches.1.shaped(rows, columns, padded(outputs));
        let corner = (row as isize, column as isize);
        E::run(isa, Interleave { planes: grad, height, width, corner, target });
        let mut sums = vec![E::ZERO; (taps * padded(channels) + 1) * padded(outputs)];
        let piece = Piece { x: patches.0.rect(), grad: patches.1.rect(), size, dilation, sums: &mut sums };
        E::run(isa, piece);
        sums
    };
    // One f64 total for so many pieces at a time: memory stays bounded whatever the batch.
    const AT_ONCE: usize = 64;
    let mut total = vec![0f64; (taps * padded(channels) + 1) * padded(outputs)];
    for pieces in pieces.chunks(AT_ONCE) {
        let sums: Vec<Vec<E>> = pieces.par_iter().map_init(Reused::take, sums_of).collect();
        for sums in sums {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum.to_f64();
            }
        }
    }
    let weights = layout_weights(&total, channels, outputs, size);
    let bias = total[taps * padded(channels) * padded(outputs)..][..outputs].iter().map(|&sum| E::from_f64(sum));
    (weights, bias.collect())
}

/// Sums `[K·K, padded C, padded O]` as weights `[O, C, K, K]`.
pub(crate) fn layout_weights<E: Element>(sums: &[f64], channels: usize, outputs: usize, size: usize) -> Vec<E> {
    let taps = size * size;
    let mut weights = Vec::with_capacity(outputs * channels * taps);
    for output in 0..outputs {
        for channel in 0..channels {
            for tap in 0..taps {
                weights.push(E::from_f64(sums[(tap * padded(channels) + channel) * padded(outputs) + output]));
            }
        }
    }
    weights
}

/// One piece's sums, `[K·K, C, O]` and then the bias's `[O]`.
pub(crate) struct Piece<'a, 's, E> {
    pub x: Rect<'a, E>,
    pub grad: Rect<'a, E>,
    pub size: usize,
    pub dilation: usize,
    pub sums: &'s mut [E],
}

impl<E: Element> Kernel<E> for Piece<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let (channels, outputs) = (self.x.channels(), self.grad.channels());
        let last_tap = (self.size - 1) * self.dilation;
        assert!(self.x.rows() >= self.grad.rows() + last_tap && self.x.columns() >= self.grad.columns() + last_tap);
        assert!(channels.is_multiple_of(BLOCK) && outputs.is_multiple_of(16));
        assert!(self.sums.len() == (self.size * self.size * channels + 1) * outputs);
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
            let bias = &mut self.sums[self.size * self.size * channels * outputs..];
            for pixel in self.grad.row(row).chunks_exact(outputs) {
                for (bias, grad) in bias.chunks_exact_mut(V::LANES).zip(pixel.chunks_exact(V::LANES)) {
                    V::load(bias).add(V::load(grad)).store(bias);
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
        // SAFETY: `run` has checked that x reaches all taps of all pixels and that the sums hold every tap and channel; the block's
        // channels and outputs lie inside.
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
