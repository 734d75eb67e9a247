//! The direct form: every output is summed over input channels and taps as the formula reads.

use super::epilogue::Epilogue;
use super::multiply::{Strip, block_pixels, multiply_add};
use super::{Group, Weights};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// Weights as `[O / 16, groups, K·K, C of the group, 16]`, zero where there is no such output channel.
pub(super) fn pack<E: Element>(weights: &Weights<'_, E>, groups: &[Group]) -> Aligned<E> {
    let taps = weights.size * weights.size;
    let channels = weights.channels();
    let mut packed = Aligned::zeroed(weights.outputs.next_multiple_of(CHANNEL_BLOCK) * channels * taps);
    let mut rest = packed.chunks_exact_mut(CHANNEL_BLOCK);
    for block in (0..weights.outputs).step_by(CHANNEL_BLOCK) {
        for group in groups {
            for tap in 0..taps {
                for (channel, row) in group.weights.clone().zip(&mut rest) {
                    for (output, value) in (block..).zip(row) {
                        *value = weights.at(output, channel, tap);
                    }
                }
            }
        }
    }
    packed
}

/// One rectangle of results. Sources reach `size / 2 · dilation` pixels beyond it on every side.
pub(super) struct Direct<'a, 'o, E> {
    pub sources: &'a [Rect<'a, E>],
    pub groups: &'a [Group],
    pub packed: &'a [E],
    pub bias: &'a [E],
    pub size: usize,
    pub dilation: usize,
    pub epilogue: &'a Epilogue<'a, E>,
    pub out: RectMut<'o, E>,
}

impl<E: Element> Kernel<E> for Direct<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let (rows, columns, outputs) = (self.out.rows(), self.out.columns(), self.out.channels());
        let last_tap = (self.size - 1) * self.dilation;
        for group in self.groups {
            let source = &self.sources[group.source];
            assert!(
                source.rows() >= rows + last_tap && source.columns() >= columns + last_tap,
                "a source is too small"
            );
            assert!(source.channels() >= group.channels.end, "a source has too few channels");
        }
        let taps = self.size * self.size;
        let depth: usize = self.groups.iter().map(|group| group.weights.len()).sum();
        assert!(self.packed.len() >= outputs * depth * taps, "weights of another shape");
        assert!(outputs.is_multiple_of(CHANNEL_BLOCK) && (self.bias.is_empty() || self.bias.len() == outputs));
        self.epilogue.check(rows, columns, outputs);

        let mut output = 0;
        while output < outputs {
            // Each pixel's broadcast should serve several vectors of outputs: two blocks' where one vector holds a
            // whole block, else the two or four of a single block.
            if V::LANES == CHANNEL_BLOCK && output + 2 * CHANNEL_BLOCK <= outputs {
                self.outputs::<V, 2>(output);
                output += 2 * CHANNEL_BLOCK;
            } else {
                match CHANNEL_BLOCK / V::LANES {
                    1 => self.outputs::<V, 1>(output),
                    2 => self.outputs::<V, 2>(output),
                    _ => self.outputs::<V, 4>(output),
                }
                output += CHANNEL_BLOCK;
            }
        }
    }
}

impl<E: Element> Direct<'_, '_, E> {
    /// All pixels of `N` vectors of output channels, one group of input channels after the other, whose weights stay in
    /// the cache.
    #[inline(always)]
    fn outputs<V: Vector<Elem = E>, const N: usize>(&mut self, output: usize) {
        let mut before = 0;
        for index in 0..self.groups.len() {
            let group = &self.groups[index];
            for row in 0..self.out.rows() {
                let at = Place { row, column: 0, output, group: index, before };
                // The usual distances between pixels as constants: they become part of the instructions.
                match self.sources[group.source].channels() {
                    16 => self.row::<V, N, 16>(at),
                    32 => self.row::<V, N, 32>(at),
                    _ => self.row::<V, N, 0>(at),
                }
            }
            before += group.weights.len();
        }
    }

    /// One row; pixels of the source lie `S` elements apart, or as many as the source says where that is 0.
    #[inline(always)]
    fn row<V: Vector<Elem = E>, const N: usize, const S: usize>(&mut self, mut at: Place) {
        let columns = self.out.columns();
        while at.column < columns {
            match columns - at.column {
                left if left >= 12 && block_pixels::<V>() == 12 => {
                    self.block::<V, 12, N, S>(at);
                    at.column += 12;
                }
                left if left >= 6 => {
                    self.block::<V, 6, N, S>(at);
                    at.column += 6;
                }
                left if left >= 3 => {
                    self.block::<V, 3, N, S>(at);
                    at.column += 3;
                }
                _ => {
                    self.block::<V, 1, N, S>(at);
                    at.column += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn block<V: Vector<Elem = E>, const P: usize, const N: usize, const S: usize>(&mut self, at: Place) {
        let Place { row, column, output, group: index, before } = at;
        let taps = self.size * self.size;
        let group = &self.groups[index];
        let source = &self.sources[group.source];
        let channels = group.weights.len();
        let stride = if S > 0 { S } else { source.channels() };
        let depth = self.packed.len() / self.out.channels() / taps;
        let block_stride = depth * taps * CHANNEL_BLOCK;
        let start = output / CHANNEL_BLOCK * block_stride + before * taps * CHANNEL_BLOCK;
        let row_stride = self.out.row_stride();
        let out_stride = self.out.channels();
        let target = self.out.as_mut_ptr();
        let mut sums = [[V::splat(E::ZERO); N]; P];
        // SAFETY: the result holds the block's pixels and channels (the loops above stay inside it); sources, weights
        // and epilogue were checked against the result's size by `run`.
        unsafe {
            let target = target.add(row * row_stride + column * out_stride + output);
            if index > 0 {
                for (p, sums) in sums.iter_mut().enumerate() {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = V::load_from(target.add(p * out_stride + n * V::LANES));
                    }
                }
            }
            let first = source.as_ptr().add(group.channels.start);
            for tap in 0..taps {
                let (u, v) = (tap / self.size * self.dilation, tap % self.size * self.dilation);
                let pixels = first.add((row + u) * source.row_stride() + (column + v) * stride);
                let strip = self.packed.as_ptr().add(start + tap * channels * CHANNEL_BLOCK);
                multiply_add(&mut sums, pixels, stride, Strip { start: strip, block_stride }, channels);
            }
            if index + 1 == self.groups.len() {
                self.epilogue.apply_and_store(sums, self.bias, (row, column, output), 1, &mut self.out);
                return;
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store_to(target.add(p * out_stride + n * V::LANES));
                }
            }
        }
    }
}

/// Where a register block starts: pixel, output channel, group of input channels and how many channels lie before it.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    output: usize,
    group: usize,
    before: usize,
}
