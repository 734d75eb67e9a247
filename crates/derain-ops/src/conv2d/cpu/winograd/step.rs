//! The products: for each of the 36, a small matrix of tiles times weights.

use super::super::Group;
use super::super::multiply::{Strip, block_pixels, multiply_add};
use super::tiles::BLOCK_STRIDE;
use crate::element::Element;
use crate::rect::CHANNEL_BLOCK;
use crate::simd::Vector;

/// One product of all tiles: windows times weights.
pub(super) struct Step<'a, E> {
    pub windows: *const E,
    /// Their channels: each group starts with a block of its own.
    pub groups: &'a [Group],
    pub strip: Strip<E>,
    pub products: *mut E,
    pub count: usize,
}

impl<E: Element> Step<'_, E> {
    /// # Safety
    /// The pointers must reach over `count` tiles and the blocks of `N` vectors of outputs.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector<Elem = E>, const N: usize>(&self) {
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
        let place = |n: usize| n * V::LANES / CHANNEL_BLOCK * BLOCK_STRIDE + n * V::LANES % CHANNEL_BLOCK;
        // SAFETY: the caller vouches for these tiles and outputs.
        unsafe {
            let target = self.products.add(tile * CHANNEL_BLOCK);
            let mut windows = self.windows.add(tile * CHANNEL_BLOCK);
            let mut strip = self.strip;
            for group in self.groups {
                let channels = group.channels.len();
                for channel in (0..channels).step_by(CHANNEL_BLOCK) {
                    let count = CHANNEL_BLOCK.min(channels - channel);
                    multiply_add(&mut sums, windows, CHANNEL_BLOCK, strip, count);
                    windows = windows.wrapping_add(BLOCK_STRIDE);
                    strip.start = strip.start.wrapping_add(count * CHANNEL_BLOCK);
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store_to(target.add(p * CHANNEL_BLOCK + place(n)));
                }
            }
        }
    }
}
