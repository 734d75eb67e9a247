//! Winograd's form F(4x4, 3x3): 36 products for 16 results instead of 144 (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016).
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        summed over input channels between ⊙ and Aᵀ…A
//! ```
//!
//! with d a window of 6x6 pixels, g the 3x3 kernel, Y a tile of 4x4 results; interpolation points 0, ±1, ±2 and infinity.
//! With dilation D, a square of 4D x 4D pixels holds D² such tiles, interleaved.
//! Tiles lie on a grid that starts at the rectangle's corner; those that reach beyond its far edges run whole, so sources must reach as far.

use candle_core::WithDType;

use super::epilogue::Epilogue;
use super::multiply::{Strip, block_pixels, multiply_add};
use super::{Group, Weights};
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// Results along a tile's side.
pub(super) const TILE: usize = 4;
/// Pixels along a window's side.
const WINDOW: usize = 6;
/// Products of one tile.
const PRODUCTS: usize = WINDOW * WINDOW;
/// Tiles that are transformed before they are multiplied: the transformed windows of 32 channels and the products of 32 outputs
/// (221 kB each) stay in the second-level cache, while weights are fetched from there once for so many tiles.
const TILES_AT_ONCE: usize = 48;

/// Weights as `[O / 16, 36, C, 16]` with the groups' channels one after the other, transformed: G g Gᵀ.
pub(super) fn pack<E: Element>(weights: &Weights<'_, E>, groups: &[Group]) -> Vec<E> {
    let depth = weights.channels();
    let mut packed = vec![E::ZERO; weights.outputs.next_multiple_of(CHANNEL_BLOCK) * PRODUCTS * depth];
    for output in 0..weights.outputs {
        let block = &mut packed[output / CHANNEL_BLOCK * CHANNEL_BLOCK * PRODUCTS * depth..];
        for (at, channel) in groups.iter().flat_map(|group| group.weights.clone()).enumerate() {
            let kernel =
                std::array::from_fn(|u| std::array::from_fn(|v| weights.at(output, channel, 3 * u + v).to_f64()));
            for (product, value) in transformed_kernel(kernel).into_iter().flatten().enumerate() {
                block[(product * depth + at) * CHANNEL_BLOCK + output % CHANNEL_BLOCK] = E::from_f64(value);
            }
        }
    }
    packed
}

/// G g Gᵀ.
fn transformed_kernel(kernel: [[f64; 3]; 3]) -> [[f64; WINDOW]; WINDOW] {
    fn transform([a, b, c]: [f64; 3]) -> [f64; WINDOW] {
        let (even, odd) = (a / 24.0 + c / 6.0, b / 12.0);
        [a / 4.0, -(a + b + c) / 6.0, -(a - b + c) / 6.0, even + odd, even - odd, c]
    }
    let columns: [[f64; WINDOW]; 3] = std::array::from_fn(|v| transform(std::array::from_fn(|u| kernel[u][v])));
    std::array::from_fn(|i| transform(std::array::from_fn(|v| columns[v][i])))
}

/// One rectangle of results, whose corner lies on the tiles' grid. Sources reach `dilation` pixels beyond the whole tiles on every side.
pub(super) struct Winograd<'a, 'o, E> {
    pub sources: &'a [Rect<'a, E>],
    pub groups: &'a [Group],
    pub packed: &'a [E],
    pub bias: &'a [E],
    pub dilation: usize,
    pub epilogue: &'a Epilogue<'a, E>,
    pub out: RectMut<'o, E>,
    pub scratch: &'a mut Vec<E>,
}

/// Channels of the largest group, padded.
fn deepest(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.channels.len().next_multiple_of(CHANNEL_BLOCK)).max().unwrap_or(0)
}

/// Elements for the transformed windows of one group and the products of `outputs` channels.
pub(super) fn scratch_length(groups: &[Group], outputs: usize) -> usize {
    PRODUCTS * TILES_AT_ONCE * (deepest(groups) + outputs)
}

/// The tiles of a rectangle, row by row of squares, then the interleaved tiles within a square.
#[derive(Clone, Copy)]
struct Grid {
    squares: usize,
    dilation: usize,
}

impl Grid {
    /// A tile's first result.
    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize) {
        let Self { squares, dilation } = *self;
        let (square, phase) = (tile / (dilation * dilation), tile % (dilation * dilation));
        let side = TILE * dilation;
        (square / squares * side + phase / dilation, square % squares * side + phase % dilation)
    }
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
        assert!(self.packed.len() == outputs * PRODUCTS * depth, "weights of another shape");
        assert!(outputs.is_multiple_of(CHANNEL_BLOCK) && (self.bias.is_empty() || self.bias.len() == outputs));
        self.epilogue.check(rows, columns, outputs);

        let mut scratch = std::mem::take(self.scratch);
        let length = scratch_length(self.groups, outputs);
        if scratch.len() < length {
            scratch.resize(length, E::ZERO);
        }
        let (windows, products) = scratch.split_at_mut(PRODUCTS * TILES_AT_ONCE * deepest(self.groups));
        let grid = Grid { squares: across, dilation: self.dilation };
        let all = down * across * self.dilation * self.dilation;
        for first in (0..all).step_by(TILES_AT_ONCE) {
            let tiles = Tiles { grid, first, count: TILES_AT_ONCE.min(all - first) };
            let mut before = 0;
            for group in 0..self.groups.len() {
                self.transform_windows::<V>(tiles, group, windows);
                self.multiply::<V>(tiles, group, before, windows, products);
                before += self.groups[group].weights.len();
            }
            self.transform_products::<V>(tiles, products);
        }
        *self.scratch = scratch;
    }
}

/// Tiles that are in work together.
#[derive(Clone, Copy)]
struct Tiles {
    grid: Grid,
    first: usize,
    count: usize,
}

impl<E: Element> Winograd<'_, '_, E> {
    /// Bᵀ d B of every tile and channel of a group, as `[36, count, C]`.
    #[inline(always)]
    fn transform_windows<V: Vector<Elem = E>>(&self, tiles: Tiles, group: usize, windows: &mut [E]) {
        let group = &self.groups[group];
        let source = &self.sources[group.source];
        let channels = group.channels.len().next_multiple_of(CHANNEL_BLOCK);
        let product_stride = tiles.count * channels;
        assert!(windows.len() >= PRODUCTS * product_stride);
        let (row_step, column_step) = (self.dilation * source.row_stride(), self.dilation * source.channels());
        for tile in 0..tiles.count {
            let (row, column) = tiles.grid.corner(tiles.first + tile);
            for channel in (0..channels).step_by(V::LANES) {
                let at = row * source.row_stride() + column * source.channels() + group.channels.start + channel;
                // SAFETY: the source holds the windows of all whole tiles and the group's channels, `windows` all products of the
                // tiles; `run` and the line above have checked it.
                unsafe {
                    let pixels = source.as_ptr().add(at);
                    let mut columns = [[V::splat(E::ZERO); WINDOW]; WINDOW];
                    for (j, column) in columns.iter_mut().enumerate() {
                        let window = std::array::from_fn(|i| V::load_from(pixels.add(i * row_step + j * column_step)));
                        *column = transformed_window(window);
                    }
                    let target = windows.as_mut_ptr().add(tile * channels + channel);
                    for i in 0..WINDOW {
                        let row = transformed_window(std::array::from_fn(|j| columns[j][i]));
                        for (j, value) in row.into_iter().enumerate() {
                            value.store_to(target.add((i * WINDOW + j) * product_stride));
                        }
                    }
                }
            }
        }
    }

    /// Adds a group's products, `[36, count, O]`; the first group's replace what was there.
    #[inline(always)]
    fn multiply<V: Vector<Elem = E>>(
        &self,
        tiles: Tiles,
        group: usize,
        before: usize,
        windows: &[E],
        products: &mut [E],
    ) {
        let outputs = self.out.channels();
        let depth = self.packed.len() / outputs / PRODUCTS;
        let channels = self.groups[group].channels.len().next_multiple_of(CHANNEL_BLOCK);
        let block_stride = PRODUCTS * depth * CHANNEL_BLOCK;
        assert!(
            products.len() >= PRODUCTS * tiles.count * outputs && windows.len() >= PRODUCTS * tiles.count * channels
        );
        for product in 0..PRODUCTS {
            let mut output = 0;
            while output < outputs {
                let strip = output / CHANNEL_BLOCK * block_stride + (product * depth + before) * CHANNEL_BLOCK;
                let step = Step {
                    windows: windows[product * tiles.count * channels..].as_ptr(),
                    channels,
                    depth: self.groups[group].weights.len(),
                    strip: Strip { start: self.packed[strip..].as_ptr(), block_stride },
                    products: products[product * tiles.count * outputs + output..].as_mut_ptr(),
                    outputs,
                    count: tiles.count,
                    adds: group > 0,
                };
                // SAFETY: the slices hold all tiles of this product, and two blocks of outputs where two are taken.
                unsafe {
                    if V::LANES == CHANNEL_BLOCK && output + 2 * CHANNEL_BLOCK <= outputs {
                        step.run::<V, 2>();
                        output += 2 * CHANNEL_BLOCK;
                        continue;
                    }
                    match CHANNEL_BLOCK / V::LANES {
                        1 => step.run::<V, 1>(),
                        2 => step.run::<V, 2>(),
                        _ => step.run::<V, 4>(),
                    }
                }
                output += CHANNEL_BLOCK;
            }
        }
    }

    /// Aᵀ m A of every tile, finished and written where it lies inside the rectangle.
    #[inline(always)]
    fn transform_products<V: Vector<Elem = E>>(&mut self, tiles: Tiles, products: &[E]) {
        let (rows, columns, outputs) = (self.out.rows(), self.out.columns(), self.out.channels());
        let product_stride = tiles.count * outputs;
        assert!(products.len() >= PRODUCTS * product_stride);
        let row_stride = self.out.row_stride();
        for tile in 0..tiles.count {
            let (row, column) = tiles.grid.corner(tiles.first + tile);
            for output in (0..outputs).step_by(V::LANES) {
                // SAFETY: all products of the tiles are there, and results are written only inside the rectangle, for which
                // `run` has checked the epilogue.
                unsafe {
                    let source = products.as_ptr().add(tile * outputs + output);
                    let mut halves = [[V::splat(E::ZERO); WINDOW]; TILE];
                    for j in 0..WINDOW {
                        let column: [V; WINDOW] =
                            std::array::from_fn(|i| V::load_from(source.add((i * WINDOW + j) * product_stride)));
                        for (halves, value) in halves.iter_mut().zip(transformed_products(column)) {
                            halves[j] = value;
                        }
                    }
                    for (i, half) in halves.into_iter().enumerate() {
                        let row = row + i * self.dilation;
                        if row >= rows {
                            break;
                        }
                        for (j, sum) in transformed_products(half).into_iter().enumerate() {
                            let column = column + j * self.dilation;
                            if column >= columns {
                                break;
                            }
                            let y = self.epilogue.finish(sum, self.bias, (row, column, output));
                            y.store_to(self.out.as_mut_ptr().add(row * row_stride + column * outputs + output));
                        }
                    }
                }
            }
        }
    }
}

/// One product of all tiles: windows `[count, channels]` times weights `[depth, outputs]`.
struct Step<E> {
    windows: *const E,
    channels: usize,
    depth: usize,
    strip: Strip<E>,
    products: *mut E,
    outputs: usize,
    count: usize,
    adds: bool,
}

impl<E: Element> Step<E> {
    /// # Safety
    /// The pointers must reach over `count` tiles and `N` vectors of outputs.
    #[inline(always)]
    unsafe fn run<V: Vector<Elem = E>, const N: usize>(&self) {
        let mut tile = 0;
        while tile < self.count {
            // SAFETY: the tiles of a block are among the `count`.
            unsafe {
                match self.count - tile {
                    left if left >= block_pixels::<V>() && block_pixels::<V>() == 12 => {
                        self.block::<V, 12, N>(tile);
                        tile += 12;
                    }
                    left if left >= 6 => {
                        self.block::<V, 6, N>(tile);
                        tile += 6;
                    }
                    left if left >= 3 => {
                        self.block::<V, 3, N>(tile);
                        tile += 3;
                    }
                    _ => {
                        self.block::<V, 1, N>(tile);
                        tile += 1;
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Self::run`], for `P` tiles from `tile` on.
    #[inline(always)]
    unsafe fn block<V: Vector<Elem = E>, const P: usize, const N: usize>(&self, tile: usize) {
        let mut sums = [[V::splat(E::ZERO); N]; P];
        // SAFETY: the caller vouches for these tiles and outputs.
        unsafe {
            let target = self.products.add(tile * self.outputs);
            if self.adds {
                for (p, sums) in sums.iter_mut().enumerate() {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = V::load_from(target.add(p * self.outputs + n * V::LANES));
                    }
                }
            }
            multiply_add(&mut sums, self.windows.add(tile * self.channels), self.channels, self.strip, self.depth);
            for (p, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store_to(target.add(p * self.outputs + n * V::LANES));
                }
            }
        }
    }
}

/// Bᵀ d for one column of a window.
#[inline(always)]
fn transformed_window<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; WINDOW]) -> [V; WINDOW] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let even = d2.mul_add(of(-4.0), d4);
    let odd = d1.mul_add(of(-4.0), d3);
    let even_wide = d4.sub(d2);
    let odd_wide = d3.sub(d1);
    [
        d0.mul_add(of(4.0), d2.mul_add(of(-5.0), d4)),
        even.add(odd),
        even.sub(odd),
        odd_wide.mul_add(of(2.0), even_wide),
        odd_wide.mul_add(of(-2.0), even_wide),
        d1.mul_add(of(4.0), d3.mul_add(of(-5.0), d5)),
    ]
}

/// Aᵀ m for one column of products.
#[inline(always)]
fn transformed_products<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; WINDOW]) -> [V; TILE] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let (sum, difference) = (m1.add(m2), m1.sub(m2));
    let (sum_wide, difference_wide) = (m3.add(m4), m3.sub(m4));
    [
        m0.add(sum).add(sum_wide),
        difference_wide.mul_add(of(2.0), difference),
        sum_wide.mul_add(of(4.0), sum),
        difference_wide.mul_add(of(8.0), difference).add(m5),
    ]
}
