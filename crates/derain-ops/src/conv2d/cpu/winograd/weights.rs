//! The gradient of the weights in Winograd's form: the same 36 products, summed over tiles instead of channels.
//!
//! ```text
//! dg = Gᵀ [ Σ over tiles of (A dY Aᵀ) ⊙ (Bᵀ d B) ] G
//! ```

use std::ops::Range;

use super::tiles::{BLOCK_STRIDE, Grid, PRODUCT_STRIDE, TILES_AT_ONCE, Tiles, transform_windows};
use super::transform::{kernel_gradients, transformed_gradients};
use super::{PRODUCTS, TILE, WINDOW};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect};
use crate::simd::{Kernel, Vector};

/// Input channels of a register block.
const BLOCK: usize = 8;

/// Adds one piece's sums to `[3·3, C, O]`. `grad` consists of whole squares of tiles, `x` reaches a dilation beyond it
/// on every side.
pub(in crate::conv2d::cpu) struct WeightSums<'a, 's, E> {
    pub x: Rect<'a, E>,
    pub grad: Rect<'a, E>,
    pub dilation: usize,
    pub sums: &'s mut [E],
    pub scratch: &'s mut Aligned<E>,
}

/// Output channels in work at a time: with 512 input channels their products take 9 MB, those of RRANet's 1024 would
/// take 75.
const OUTPUTS_AT_ONCE: usize = 128;

/// Elements of the transformed windows, the transformed gradients and their products.
fn scratch_length(channels: usize, outputs: usize) -> usize {
    (channels + outputs) / CHANNEL_BLOCK * BLOCK_STRIDE + PRODUCTS * channels * outputs
}

impl<E: Element> Kernel<E> for WeightSums<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, grad, dilation, sums, scratch } = self;
        let (channels, outputs) = (x.channels(), grad.channels());
        let side = TILE * dilation;
        assert!(grad.rows().is_multiple_of(side) && grad.columns().is_multiple_of(side), "tiles are cut");
        assert!(channels.is_multiple_of(CHANNEL_BLOCK) && outputs.is_multiple_of(CHANNEL_BLOCK));
        assert!(sums.len() >= 9 * channels * outputs, "too few sums");
        let most = outputs.min(OUTPUTS_AT_ONCE);
        scratch.reserve(scratch_length(channels, most));
        let (windows, rest) = scratch.split_at_mut(channels / CHANNEL_BLOCK * BLOCK_STRIDE);
        let (gradients, products) = rest.split_at_mut(most / CHANNEL_BLOCK * BLOCK_STRIDE);
        let grid = Grid { squares: grad.columns() / side, dilation };
        let all = grad.rows() / side * grid.squares * dilation * dilation;
        for output in (0..outputs).step_by(OUTPUTS_AT_ONCE) {
            let chunk = output..outputs.min(output + OUTPUTS_AT_ONCE);
            let products = &mut products[..PRODUCTS * channels * chunk.len()];
            for first in (0..all).step_by(TILES_AT_ONCE) {
                let tiles = Tiles { grid, first, count: TILES_AT_ONCE.min(all - first) };
                // The windows of a small picture's only tiles are those of the outputs before.
                if output == 0 || all > TILES_AT_ONCE {
                    transform_windows::<V>(&x, tiles, 0..channels, windows);
                }
                transform_gradients::<V>(&grad, tiles, chunk.clone(), gradients);
                multiply::<V>([channels, chunk.len()], tiles, windows, gradients, products);
            }
            add_kernels::<V>([channels, outputs], chunk, products, sums);
        }
    }
}

/// A dY Aᵀ of every tile, of some channels.
#[inline(always)]
fn transform_gradients<V: Vector>(
    grad: &Rect<'_, V::Elem>,
    tiles: Tiles,
    chunk: Range<usize>,
    gradients: &mut [V::Elem],
) {
    let (channels, dilation) = (grad.channels(), tiles.grid.dilation);
    assert!(chunk.end <= channels && chunk.len().is_multiple_of(CHANNEL_BLOCK), "other channels");
    assert!(gradients.len() >= chunk.len() / CHANNEL_BLOCK * BLOCK_STRIDE && tiles.count <= TILES_AT_ONCE);
    let reach = (TILE - 1) * dilation;
    for (tile, (row, column)) in tiles.grid.corners(tiles.first, tiles.count).enumerate() {
        assert!(row + reach < grad.rows() && column + reach < grad.columns(), "a tile reaches beyond the gradient");
        for channel in (0..chunk.len()).step_by(V::LANES) {
            // SAFETY: the tile lies inside the gradient, and `gradients` holds all tiles' values of every block, both
            // as asserted.
            unsafe {
                let corner = grad.as_ptr().add(row * grad.row_stride() + column * channels + chunk.start + channel);
                let mut columns = [[V::splat(V::Elem::ZERO); WINDOW]; TILE];
                for (j, column) in columns.iter_mut().enumerate() {
                    let pixel = corner.add(j * dilation * channels);
                    let mut tile = [V::splat(V::Elem::ZERO); TILE];
                    for (i, value) in tile.iter_mut().enumerate() {
                        *value = V::load_from(pixel.add(i * dilation * grad.row_stride()));
                    }
                    *column = transformed_gradients(tile);
                }
                let at = channel / CHANNEL_BLOCK * BLOCK_STRIDE + tile * CHANNEL_BLOCK + channel % CHANNEL_BLOCK;
                let target = gradients.as_mut_ptr().add(at);
                let mut rows = [[V::splat(V::Elem::ZERO); TILE]; WINDOW];
                for (j, column) in columns.into_iter().enumerate() {
                    for (row, value) in rows.iter_mut().zip(column) {
                        row[j] = value;
                    }
                }
                for (i, row) in rows.into_iter().enumerate() {
                    for (j, value) in transformed_gradients(row).into_iter().enumerate() {
                        value.store_to(target.add((i * WINDOW + j) * PRODUCT_STRIDE));
                    }
                }
            }
        }
    }
}

/// Adds the tiles' products to `[36, C, O]`; those of the first tiles replace what was there.
#[inline(always)]
fn multiply<V: Vector>(
    [channels, outputs]: [usize; 2],
    tiles: Tiles,
    windows: &[V::Elem],
    gradients: &[V::Elem],
    products: &mut [V::Elem],
) {
    for product in 0..PRODUCTS {
        for channel in (0..channels).step_by(BLOCK) {
            let at = |channel: usize| {
                channel / CHANNEL_BLOCK * BLOCK_STRIDE + product * PRODUCT_STRIDE + channel % CHANNEL_BLOCK
            };
            let windows = &windows[at(channel)..];
            let mut output = 0;
            while output < outputs {
                let products = &mut products[(product * channels + channel) * outputs + output..];
                let gradients = &gradients[at(output)..];
                // Two vectors lie in one block of channels, or each starts its own.
                if output + 2 * V::LANES <= outputs {
                    let second = at(output + V::LANES) - at(output);
                    multiply_block::<V, 2>(tiles, windows, gradients, second, products, outputs);
                    output += 2 * V::LANES;
                } else {
                    multiply_block::<V, 1>(tiles, windows, gradients, 0, products, outputs);
                    output += V::LANES;
                }
            }
        }
    }
}

/// `BLOCK` input channels times `N` vectors of outputs, `second` elements apart, summed over tiles in registers.
#[inline(always)]
fn multiply_block<V: Vector, const N: usize>(
    tiles: Tiles,
    windows: &[V::Elem],
    gradients: &[V::Elem],
    second: usize,
    products: &mut [V::Elem],
    outputs: usize,
) {
    let last = (tiles.count - 1) * CHANNEL_BLOCK;
    assert!(windows.len() >= last + BLOCK && gradients.len() >= last + (N - 1) * second + V::LANES);
    assert!(products.len() >= (BLOCK - 1) * outputs + N * V::LANES);
    let mut sums = [[V::splat(V::Elem::ZERO); N]; BLOCK];
    // SAFETY: the three slices hold what is read and written, as asserted.
    unsafe {
        let target = products.as_mut_ptr();
        if tiles.first > 0 {
            for (c, sums) in sums.iter_mut().enumerate() {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load_from(target.add(c * outputs + n * V::LANES));
                }
            }
        }
        let (mut window, mut gradient) = (windows.as_ptr(), gradients.as_ptr());
        for _ in 0..tiles.count {
            let mut g = [V::splat(V::Elem::ZERO); N];
            for (n, g) in g.iter_mut().enumerate() {
                *g = V::load_from(gradient.add(n * second));
            }
            for (c, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*window.add(c));
                for (sum, g) in sums.iter_mut().zip(g) {
                    *sum = x.mul_add(g, *sum);
                }
            }
            window = window.wrapping_add(CHANNEL_BLOCK);
            gradient = gradient.wrapping_add(CHANNEL_BLOCK);
        }
        for (c, sums) in sums.into_iter().enumerate() {
            for (n, sum) in sums.into_iter().enumerate() {
                sum.store_to(target.add(c * outputs + n * V::LANES));
            }
        }
    }
}

/// Gᵀ m G of every kernel of some outputs, added to the sums.
#[inline(always)]
fn add_kernels<V: Vector>(
    [channels, outputs]: [usize; 2],
    chunk: Range<usize>,
    products: &[V::Elem],
    sums: &mut [V::Elem],
) {
    let plane = channels * chunk.len();
    for at in (0..plane).step_by(V::LANES) {
        let target = at / chunk.len() * outputs + chunk.start + at % chunk.len();
        // Loops, not closures: what is not inlined here is compiled without the instruction set.
        let mut columns = [[V::splat(V::Elem::ZERO); 3]; WINDOW];
        for (j, column) in columns.iter_mut().enumerate() {
            let mut values = [V::splat(V::Elem::ZERO); WINDOW];
            for (i, value) in values.iter_mut().enumerate() {
                *value = V::load(&products[(i * WINDOW + j) * plane + at..]);
            }
            *column = kernel_gradients(values);
        }
        for u in 0..3 {
            let mut row = [V::splat(V::Elem::ZERO); WINDOW];
            for (value, column) in row.iter_mut().zip(&columns) {
                *value = column[u];
            }
            for (v, value) in kernel_gradients(row).into_iter().enumerate() {
                let target = &mut sums[(3 * u + v) * channels * outputs + target..];
                value.add(V::load(target)).store(target);
            }
        }
    }
}
