//! The convolution on the CPU, in direct form: slices in, slices out, bands of rows in parallel.
//!
//! A band's rows are copied once with zeros around them. A block of output channels times some vectors along the row is summed in
//! registers over all input channels and taps; the weights of a block lie in the order in which they are used.

use rayon::prelude::*;

use super::{Activation, Conv2dOptions};
use crate::element::Element;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes};

/// Input elements that a band may hold: its padded copy should stay in a core's second-level cache.
const BAND_ELEMENTS: usize = 160 << 10;

/// Output channels that a register block is padded to.
const BLOCK: usize = 8;

/// A convolution's parameters: `values` `[outputs, C, size, size]`.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, E> {
    pub values: &'a [E],
    pub bias: Option<&'a [E]>,
    pub outputs: usize,
    pub size: usize,
}

/// Writes the convolution of every picture of `x` to `out`.
pub(super) fn forward<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    weights: Weights<'_, E>,
    options: Conv2dOptions,
    out: &mut [E],
) {
    let Planes { channels, height, width, .. } = planes;
    let packed = pack(weights, channels);
    let reach = weights.size / 2 * options.dilation;
    let rows = (BAND_ELEMENTS / (channels * (width + 2 * reach))).saturating_sub(2 * reach);
    // At least as many rows as are copied twice at the band's edges; at most what leaves every thread some bands.
    let most = height.div_ceil(4 * rayon::current_num_threads()).max(1);
    let rows = rows.clamp(2 * reach + 1, most.max(2 * reach + 1)).min(height);

    let pictures = x.par_chunks(channels * planes.pixels()).zip(out.par_chunks_mut(weights.outputs * planes.pixels()));
    pictures.for_each(|(x, out)| {
        let mut planes_left: Vec<&mut [E]> = out.chunks_mut(height * width).collect();
        let mut bands = Vec::new();
        for first_row in (0..height).step_by(rows) {
            let count = rows.min(height - first_row);
            let mut slices = Vec::with_capacity(planes_left.len());
            for plane in &mut planes_left {
                let (band, rest) = std::mem::take(plane).split_at_mut(count * width);
                *plane = rest;
                slices.push(band);
            }
            bands.push((first_row, count, slices));
        }
        bands.into_par_iter().for_each(|(first_row, rows, out)| {
            let band =
                Band { x, packed: &packed, weights, options, reach, channels, height, width, first_row, rows, out };
            E::run(isa, band);
        });
    });
}

/// Weights as `[ceil(O / BLOCK), C, K·K, BLOCK]`, zero where there is no such output channel.
fn pack<E: Element>(weights: Weights<'_, E>, channels: usize) -> Vec<E> {
    let taps = channels * weights.size * weights.size;
    let mut packed = vec![E::ZERO; weights.outputs.div_ceil(BLOCK) * taps * BLOCK];
    for (output, values) in weights.values.chunks(taps).enumerate() {
        let block = output / BLOCK * taps * BLOCK + output % BLOCK;
        for (tap, value) in values.iter().enumerate() {
            packed[block + tap * BLOCK] = *value;
        }
    }
    packed
}

/// Some rows of one picture, all output channels; `out` holds the band of every output plane.
struct Band<'a, 'out, E> {
    x: &'a [E],
    packed: &'a [E],
    weights: Weights<'a, E>,
    options: Conv2dOptions,
    reach: usize,
    channels: usize,
    height: usize,
    width: usize,
    first_row: usize,
    rows: usize,
    out: Vec<&'out mut [E]>,
}

impl<E: Element> Kernel<E> for Band<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let padded = self.padded::<V>();
        let per_block = self.channels * self.weights.size * self.weights.size * BLOCK;
        for row in 0..self.rows {
            let mut column = 0;
            while column < self.width {
                let vectors = (self.width - column).div_ceil(V::LANES).min(3);
                for block in 0..self.weights.outputs.div_ceil(BLOCK) {
                    let weights = &self.packed[block * per_block..(block + 1) * per_block];
                    let at = Place { row, column, output: block * BLOCK };
                    // Registers decide the block: AVX-512 has 32, the others 16.
                    match (V::LANES == 16, vectors) {
                        (true, 3) => self.tile::<V, 8, 3>(&padded, weights, at),
                        (true, 2) => self.tile::<V, 8, 2>(&padded, weights, at),
                        (true, _) => self.tile::<V, 8, 1>(&padded, weights, at),
                        (false, 3) => self.half_tiles::<V, 3>(&padded, weights, at),
                        (false, 2) => self.half_tiles::<V, 2>(&padded, weights, at),
                        (false, _) => self.half_tiles::<V, 1>(&padded, weights, at),
                    }
                }
                column += vectors * V::LANES;
            }
        }
    }
}

/// Where a register block starts.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    output: usize,
}

/// Rows with zeros around them, plane after plane; each row ends in enough zeros for a whole vector at every tap.
struct Padded<E> {
    values: Vec<E>,
    stride: usize,
    rows: usize,
}

impl<E: Element> Band<'_, '_, E> {
    #[inline(always)]
    fn padded<V: Vector<Elem = E>>(&self) -> Padded<E> {
        let stride = self.width.next_multiple_of(V::LANES) + 2 * self.reach;
        let rows = self.rows + 2 * self.reach;
        let mut values = vec![E::ZERO; self.channels * rows * stride];
        let first = self.first_row.saturating_sub(self.reach);
        let last = (self.first_row + self.rows + self.reach).min(self.height);
        for (channel, values) in values.chunks_mut(rows * stride).enumerate() {
            for row in first..last {
                let from = (channel * self.height + row) * self.width;
                let to = (row + self.reach - self.first_row) * stride + self.reach;
                values[to..to + self.width].copy_from_slice(&self.x[from..from + self.width]);
            }
        }
        Padded { values, stride, rows }
    }

    #[inline(always)]
    fn half_tiles<V: Vector<Elem = E>, const X: usize>(&mut self, padded: &Padded<E>, weights: &[E], at: Place) {
        self.tile::<V, 4, X>(padded, weights, at);
        if at.output + 4 < self.weights.outputs {
            self.tile::<V, 4, X>(padded, &weights[4..], Place { output: at.output + 4, ..at });
        }
    }

    /// `O` output channels times `X` vectors of one row. `weights` hold `BLOCK` output channels a tap, of which the first `O` are used.
    #[inline(always)]
    fn tile<V: Vector<Elem = E>, const O: usize, const X: usize>(
        &mut self,
        padded: &Padded<E>,
        weights: &[E],
        at: Place,
    ) {
        let Padded { values, stride, rows } = padded;
        let (size, dilation) = (self.weights.size, self.options.dilation);
        let last_tap = (size - 1) * dilation;
        // The last element that the loops below read, of the last channel.
        let end = ((self.channels - 1) * rows + at.row + last_tap) * stride + at.column + last_tap + X * V::LANES;
        assert!(end <= values.len(), "a register block reaches beyond the padded rows");
        assert!(weights.len() + BLOCK - O >= self.channels * size * size * BLOCK, "too few weights");
        let mut sums = [[V::splat(E::ZERO); X]; O];
        if let Some(bias) = self.weights.bias {
            for (sums, bias) in sums.iter_mut().zip(&bias[at.output..]) {
                *sums = [V::splat(*bias); X];
            }
        }
        let mut weight = weights.as_ptr();
        for channel in 0..self.channels {
            for u in 0..size {
                let row = (channel * rows + at.row + u * dilation) * stride + at.column;
                for v in 0..size {
                    // SAFETY: this read and its vectors end at or before `end`, and O weights lie at each of the C·K·K taps;
                    // both were asserted.
                    unsafe {
                        let source = values.as_ptr().add(row + v * dilation);
                        let mut x = [V::splat(E::ZERO); X];
                        for (i, x) in x.iter_mut().enumerate() {
                            *x = V::load_from(source.add(i * V::LANES));
                        }
                        for (o, sums) in sums.iter_mut().enumerate() {
                            let weight = V::splat(*weight.add(o));
                            for (sum, x) in sums.iter_mut().zip(x) {
                                *sum = weight.mul_add(x, *sum);
                            }
                        }
                        weight = weight.wrapping_add(BLOCK);
                    }
                }
            }
        }
        let start = at.row * self.width + at.column;
        let length = (X * V::LANES).min(self.width - at.column);
        for (sums, out) in sums.into_iter().zip(&mut self.out[at.output..]) {
            for (sum, out) in sums.into_iter().zip(out[start..start + length].chunks_mut(V::LANES)) {
                match self.options.activation {
                    Activation::None => sum.store(out),
                    Activation::Relu => sum.relu().store(out),
                }
            }
        }
    }
}
