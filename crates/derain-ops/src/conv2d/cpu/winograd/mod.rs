//! Winograd's form F(4x4, 3x3): 36 products for 16 results instead of 144 (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016).
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        summed over input channels between ⊙ and Aᵀ…A
//! ```
//!
//! with d a window of 6x6 pixels, g the 3x3 kernel, Y a tile of 4x4 results; interpolation points 0, ±1, ±2 and
//! infinity. With dilation D, a square of 4D x 4D pixels holds D² such tiles, interleaved. Tiles lie on a grid that
//! starts at the rectangle's corner; those that reach beyond its far edges run whole, so sources must reach as far.

mod step;
mod tiles;
mod transform;
mod weights;

use std::ops::Range;

use rayon::prelude::*;
use step::Step;
use tiles::{BLOCK_STRIDE, Grid, PRODUCT_STRIDE, TILES_AT_ONCE, Tiles, transform_windows};
use transform::{transformed_kernels, transformed_products};
pub(super) use weights::WeightSums;

use super::epilogue::Epilogue;
use super::multiply::Strip;
use super::{Group, Weights};
use crate::Isa;
use crate::buffer::Aligned;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// Results along a tile's side.
pub(super) const TILE: usize = 4;
/// Pixels along a window's side.
const WINDOW: usize = 6;
/// Values of a kernel.
const TAPS: usize = 9;
/// Products of one tile.
const PRODUCTS: usize = WINDOW * WINDOW;
/// Fewest kernels that one thread transforms: some 50 µs, several times what a second thread costs to wake.
const KERNELS_AT_ONCE: usize = 1 << 11;

/// Weights as `[O / 16, 36, C, 16]`, transformed: G g Gᵀ; zero where there is no such output channel. Channels stay in
/// the weights' order, which is that of their groups.
pub(super) fn pack<E: Element>(isa: Isa, weights: &Weights<'_, E>) -> Aligned<E> {
    let channels = weights.channels();
    let block = CHANNEL_BLOCK * channels;
    let mut packed = Aligned::zeroed(weights.outputs.next_multiple_of(CHANNEL_BLOCK) * PRODUCTS * channels);
    let blocks = packed.par_chunks_mut(PRODUCTS * block).zip(weights.values.par_chunks(TAPS * block));
    blocks
        .with_min_len(KERNELS_AT_ONCE.div_ceil(block))
        .for_each(|(packed, kernels)| E::run(isa, Pack { kernels, channels, packed }));
    packed
}

/// Transforms the kernels of up to 16 outputs `[≤ 16, C, 3·3]`, all outputs of an input channel at once.
struct Pack<'a, E> {
    kernels: &'a [E],
    channels: usize,
    packed: &'a mut [E],
}

impl<E: Element> Kernel<E> for Pack<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { kernels, channels, packed } = self;
        for channel in 0..channels {
            let mut taps = [[[0.0; CHANNEL_BLOCK]; 3]; 3];
            for (lane, kernels) in kernels.chunks_exact(TAPS * channels).enumerate() {
                for (tap, value) in kernels[TAPS * channel..][..TAPS].iter().enumerate() {
                    taps[tap % 3][tap / 3][lane] = value.to_f64();
                }
            }
            // Loops, not closures: what is not inlined here is compiled without the instruction set.
            let mut rows = [[[0.0; CHANNEL_BLOCK]; 3]; WINDOW];
            for (v, taps) in taps.into_iter().enumerate() {
                for (row, values) in rows.iter_mut().zip(transformed_kernels(taps)) {
                    row[v] = values;
                }
            }
            for (i, row) in rows.into_iter().enumerate() {
                for (j, values) in transformed_kernels(row).into_iter().enumerate() {
                    let at = ((i * WINDOW + j) * channels + channel) * CHANNEL_BLOCK;
                    let target = &mut packed[at..at + CHANNEL_BLOCK];
                    for (target, value) in target.iter_mut().zip(values) {
                        *target = E::from_f64(value);
                    }
                }
            }
        }
    }
}

/// One rectangle of results, whose corner lies on the tiles' grid. Sources reach `dilation` pixels beyond the whole
/// tiles on every side.
pub(super) struct Winograd<'a, 'o, E> {
    pub sources: &'a [Rect<'a, E>],
    pub groups: &'a [Group],
    pub packed: &'a [E],
    pub bias: &'a [E],
    pub dilation: usize,
    pub epilogue: &'a Epilogue<'a, E>,
    pub out: RectMut<'o, E>,
    pub scratch: &'a mut Aligned<E>,
}

/// Input channels of all groups, padded.
fn padded_channels(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.channels.len().next_multiple_of(CHANNEL_BLOCK)).sum()
}

/// Output channels that are multiplied before they are transformed back: their products (460 kB) stay in the
/// second-level cache.
const OUTPUTS_AT_ONCE: usize = 128;

/// Elements for the transformed windows and the products of as many outputs as are in work.
pub(super) fn scratch_length(groups: &[Group], outputs: usize) -> usize {
    (padded_channels(groups) + outputs.min(OUTPUTS_AT_ONCE)) / CHANNEL_BLOCK * BLOCK_STRIDE
}

impl<E: Element> Kernel<E> for Winograd<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let (rows, columns, outputs) = (self.out.rows(), self.out.columns(), self.out.channels());
        let side = TILE * self.dilation;
        let (down, across) = (rows.div_ceil(side), columns.div_ceil(side));
        for group in self.groups {
            let source = &self.sources[group.source];
            let reach = 2 * self.dilation;
            assert!(source.rows() >= down * side + reach && source.columns() >= across * side + reach, "too small");
            let channels = group.channels.start + group.channels.len().next_multiple_of(CHANNEL_BLOCK);
            assert!(source.channels() >= channels, "a source has too few channels");
        }
        let depth: usize = self.groups.iter().map(|group| group.weights.len()).sum();
        assert!(self.packed.len() >= outputs * PRODUCTS * depth, "weights of another shape");
        assert!(outputs.is_multiple_of(CHANNEL_BLOCK) && (self.bias.is_empty() || self.bias.len() == outputs));
        self.epilogue.check(rows, columns, outputs);

        let mut scratch = std::mem::take(self.scratch);
        scratch.reserve(scratch_length(self.groups, outputs));
        let (windows, products) = scratch.split_at_mut(padded_channels(self.groups) / CHANNEL_BLOCK * BLOCK_STRIDE);
        let grid = Grid { squares: across, dilation: self.dilation };
        let all = down * across * self.dilation * self.dilation;
        for first in (0..all).step_by(TILES_AT_ONCE) {
            let tiles = Tiles { grid, first, count: TILES_AT_ONCE.min(all - first) };
            self.transform_groups::<V>(tiles, windows);
            for output in (0..outputs).step_by(OUTPUTS_AT_ONCE) {
                let chunk = output..outputs.min(output + OUTPUTS_AT_ONCE);
                self.multiply::<V>(tiles, chunk.clone(), windows, products);
                self.transform_products::<V>(tiles, chunk, products);
            }
        }
        *self.scratch = scratch;
    }
}

impl<E: Element> Winograd<'_, '_, E> {
    /// Bᵀ d B of every tile and channel, group by group.
    #[inline(always)]
    fn transform_groups<V: Vector<Elem = E>>(&self, tiles: Tiles, mut windows: &mut [E]) {
        for group in self.groups {
            transform_windows::<V>(&self.sources[group.source], tiles, group.channels.clone(), windows);
            windows = &mut windows[group.channels.len().div_ceil(CHANNEL_BLOCK) * BLOCK_STRIDE..];
        }
    }

    /// Sums the products of some output channels over all input channels, which stay in registers meanwhile.
    #[inline(always)]
    fn multiply<V: Vector<Elem = E>>(&self, tiles: Tiles, outputs: Range<usize>, windows: &[E], products: &mut [E]) {
        let depth = self.packed.len() / self.out.channels() / PRODUCTS;
        let blocks = padded_channels(self.groups) / CHANNEL_BLOCK;
        let (first_block, out_blocks) = (outputs.start / CHANNEL_BLOCK, outputs.len() / CHANNEL_BLOCK);
        assert!(windows.len() >= blocks * BLOCK_STRIDE && products.len() >= out_blocks * BLOCK_STRIDE);
        assert!(tiles.count <= TILES_AT_ONCE);
        let block_stride = PRODUCTS * depth * CHANNEL_BLOCK;
        for product in 0..PRODUCTS {
            let mut block = 0;
            // Two blocks at a time where there are two: the loop of `Direct` says why.
            while block < out_blocks {
                let strip = (first_block + block) * block_stride + product * depth * CHANNEL_BLOCK;
                let step = Step {
                    windows: windows[product * PRODUCT_STRIDE..].as_ptr(),
                    groups: self.groups,
                    strip: Strip { start: self.packed[strip..].as_ptr(), block_stride },
                    products: products[block * BLOCK_STRIDE + product * PRODUCT_STRIDE..].as_mut_ptr(),
                    count: tiles.count,
                };
                // SAFETY: the slices hold this product of all tiles and blocks, and two blocks are taken only where
                // there are two.
                unsafe {
                    if V::LANES == CHANNEL_BLOCK && block + 2 <= out_blocks {
                        step.run::<V, 2>();
                        block += 2;
                        continue;
                    }
                    match CHANNEL_BLOCK / V::LANES {
                        1 => step.run::<V, 1>(),
                        2 => step.run::<V, 2>(),
                        _ => step.run::<V, 4>(),
                    }
                }
                block += 1;
            }
        }
    }

    /// Aᵀ m A of every tile and what follows the sum, written where it lies inside the rectangle.
    #[inline(always)]
    fn transform_products<V: Vector<Elem = E>>(&mut self, tiles: Tiles, outputs: Range<usize>, products: &[E]) {
        let (rows, columns) = (self.out.rows(), self.out.columns());
        let blocks = outputs.len() / CHANNEL_BLOCK;
        assert!(products.len() >= blocks * BLOCK_STRIDE && tiles.count <= TILES_AT_ONCE);
        for (tile, (row, column)) in tiles.grid.corners(tiles.first, tiles.count).enumerate() {
            let last = (TILE - 1) * self.dilation;
            let whole = column + last < columns;
            for block in 0..blocks {
                for lane in (0..CHANNEL_BLOCK).step_by(V::LANES) {
                    let output = outputs.start + block * CHANNEL_BLOCK + lane;
                    let mut halves = [[V::splat(E::ZERO); WINDOW]; TILE];
                    // SAFETY: `products` holds all tiles' values of every block, as asserted; results are written only
                    // inside the rectangle, for which `run` has checked the epilogue.
                    unsafe {
                        let source = products.as_ptr().add(block * BLOCK_STRIDE + tile * CHANNEL_BLOCK + lane);
                        for j in 0..WINDOW {
                            let column: [V; WINDOW] =
                                std::array::from_fn(|i| V::load_from(source.add((i * WINDOW + j) * PRODUCT_STRIDE)));
                            for (halves, value) in halves.iter_mut().zip(transformed_products(column)) {
                                halves[j] = value;
                            }
                        }
                        for (i, half) in halves.into_iter().enumerate() {
                            let row = row + i * self.dilation;
                            if row >= rows {
                                break;
                            }
                            let results = transformed_products(half);
                            if whole {
                                let results = results.map(|result| [result]);
                                let place = (row, column, output);
                                self.epilogue.apply_and_store(results, self.bias, place, self.dilation, &mut self.out);
                                continue;
                            }
                            for (j, result) in results.into_iter().enumerate() {
                                let column = column + j * self.dilation;
                                if column < columns {
                                    let place = (row, column, output);
                                    self.epilogue.apply_and_store([[result]], self.bias, place, 1, &mut self.out);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
