//! The tiles of a rectangle, how their values lie in memory, and the transform of their windows: what the convolution
//! and the gradient of its weights share.

use std::ops::Range;

use super::transform::transformed_window;
use super::{PRODUCTS, TILE, WINDOW};
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect};
use crate::simd::Vector;

/// Tiles that are transformed before they are multiplied: the transformed windows of 32 channels and the products of 32
/// outputs (115 kB each) stay in the second-level cache, while weights are fetched from there once for all these tiles.
/// 12 and 48 are as fast within 5 %.
pub(super) const TILES_AT_ONCE: usize = 24;
/// Windows and products lie as `[blocks of channels, 36, TILES_AT_ONCE + 1, 16]`: all distances are constants that
/// become part of the instructions. The one tile too many keeps the 36 values of a tile from meeting in few sets of the
/// cache.
pub(super) const PRODUCT_STRIDE: usize = (TILES_AT_ONCE + 1) * CHANNEL_BLOCK;
/// Elements of all tiles' values for a block of channels.
pub(super) const BLOCK_STRIDE: usize = PRODUCTS * PRODUCT_STRIDE;

/// The tiles of a rectangle, row by row of squares, then the interleaved tiles within a square.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Squares of tiles side by side.
    pub squares: usize,
    pub dilation: usize,
}

impl Grid {
    /// Row and column of the first result of each of the tiles `first..first + count`. Divides once, not once for each
    /// tile.
    #[inline(always)]
    pub(super) fn corners(self, first: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
        let Self { squares, dilation } = self;
        let side = TILE * dilation;
        let (square, phase) = (first / (dilation * dilation), first % (dilation * dilation));
        let (mut row, mut column) = (square / squares * side, square % squares * side);
        let (mut down, mut right) = (phase / dilation, phase % dilation);
        (0..count).map(move |_| {
            let corner = (row + down, column + right);
            right += 1;
            if right == dilation {
                (right, down) = (0, down + 1);
            }
            if down == dilation {
                (down, column) = (0, column + side);
            }
            if column == squares * side {
                (column, row) = (0, row + side);
            }
            corner
        })
    }
}

/// Tiles that are in work together.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    pub grid: Grid,
    pub first: usize,
    /// At most [`TILES_AT_ONCE`].
    pub count: usize,
}

/// Bᵀ d B of every tile, for the blocks in which the source's `channels` lie; the first starts one.
///
/// # Panics
/// When the windows reach beyond the source or the buffer.
#[inline(always)]
pub(super) fn transform_windows<V: Vector>(
    source: &Rect<'_, V::Elem>,
    tiles: Tiles,
    channels: Range<usize>,
    windows: &mut [V::Elem],
) {
    let (dilation, blocks) = (tiles.grid.dilation, channels.len().div_ceil(CHANNEL_BLOCK));
    assert!(windows.len() >= blocks * BLOCK_STRIDE && tiles.count <= TILES_AT_ONCE);
    let reach = (WINDOW - 1) * dilation;
    let (row_step, column_step) = (dilation * source.row_stride(), dilation * source.channels());
    for (tile, (row, column)) in tiles.grid.corners(tiles.first, tiles.count).enumerate() {
        assert!(row + reach < source.rows() && column + reach < source.columns(), "a window reaches beyond its source");
        let corner = row * source.row_stride() + column * source.channels() + channels.start;
        for block in 0..blocks {
            for lane in (0..CHANNEL_BLOCK).step_by(V::LANES) {
                let mut columns = [[V::splat(V::Elem::ZERO); WINDOW]; WINDOW];
                // SAFETY: the window lies inside the source, as asserted, and so do the channels, as the callers have
                // checked; `windows` holds all tiles' values of every block, as asserted.
                unsafe {
                    let mut pixels = source.as_ptr().add(corner + block * CHANNEL_BLOCK + lane);
                    for column in &mut columns {
                        let mut pixel = pixels;
                        let mut window = [V::splat(V::Elem::ZERO); WINDOW];
                        for value in &mut window {
                            *value = V::load_from(pixel);
                            pixel = pixel.wrapping_add(row_step);
                        }
                        *column = transformed_window(window);
                        pixels = pixels.wrapping_add(column_step);
                    }
                    let target = windows.as_mut_ptr().add(block * BLOCK_STRIDE + tile * CHANNEL_BLOCK + lane);
                    let rows: [[V; WINDOW]; WINDOW] = std::array::from_fn(|i| columns.map(|column| column[i]));
                    for (i, row) in rows.into_iter().enumerate() {
                        for (j, value) in transformed_window(row).into_iter().enumerate() {
                            value.store_to(target.add((i * WINDOW + j) * PRODUCT_STRIDE));
                        }
                    }
                }
            }
        }
    }
}
