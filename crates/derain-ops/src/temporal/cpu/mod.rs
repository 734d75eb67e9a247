//! Slices in, slices out, one vector lane per value: those of 64 pixels or bytes are brought together frame by frame and then sorted
//! or counted side by side.

mod mode;
mod rank;
mod sort;

use super::{Mode, ModeTie, Rank, Values};
use crate::simd::bytes::{Bytes, BytesKernel, LANES, PIXELS, Row};

/// Bytes gathered at a time: with what is read to gather them, they stay in a core's second-level cache (1 MiB and up).
const GATHERED: usize = 256 << 10;

/// The most blocks of 64 values gathered at a time: 4 KiB of each frame, a page, is as far as processors read ahead.
const MOST_BLOCKS: usize = 64;

/// Blocks gathered at a time from so many frames.
fn blocks(frames: usize) -> usize {
    (GATHERED / (frames * LANES)).clamp(1, MOST_BLOCKS)
}

/// [`modes`](super::modes).
pub(super) struct Modes<'a> {
    pub(super) frames: &'a [&'a [u8]],
    pub(super) values: Values,
    pub(super) tie: ModeTie,
    pub(super) out: &'a mut [Mode],
}

impl BytesKernel for Modes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<B: Bytes>(self) {
        let Self { frames, values, tie, out } = self;
        let count = frames.len();
        let group = blocks(count) * LANES;
        let mut gathered = vec![[0; LANES]; count * blocks(count)];
        for (at, out) in out.chunks_mut(group).enumerate() {
            match values {
                Values::Luma => gather_luma::<B>(frames, at * group, out.len(), &mut gathered),
                Values::Bytes => gather(frames, at * group, out.len(), &mut gathered),
            }
            for (rows, out) in gathered.chunks_exact_mut(count).zip(out.chunks_mut(LANES)) {
                sort::sort::<B>(rows);
                mode::longest_run::<B>(rows, tie, out);
            }
        }
    }
}

/// [`at_rank`](super::at_rank).
pub(super) struct AtRank<'a> {
    pub(super) frames: &'a [&'a [u8]],
    pub(super) rank: Rank,
    pub(super) out: &'a mut [u8],
}

impl BytesKernel for AtRank<'_> {
    type Output = ();

    #[inline(always)]
    fn run<B: Bytes>(self) {
        let Self { frames, rank, out } = self;
        let count = frames.len();
        let group = blocks(count) * LANES;
        let mut gathered = vec![[0; LANES]; count * blocks(count)];
        for (at, out) in out.chunks_mut(group).enumerate() {
            gather(frames, at * group, out.len(), &mut gathered);
            for (rows, out) in gathered.chunks_exact(count).zip(out.chunks_mut(LANES)) {
                let found = rank::at_rank::<B>(rows, rank);
                out.copy_from_slice(&found[..out.len()]);
            }
        }
    }
}

/// Brings together the bytes `start..start + length` of all frames: block by block, in a block a row per frame. Lanes beyond the
/// last byte keep what they hold.
#[inline(always)]
fn gather(frames: &[&[u8]], start: usize, length: usize, gathered: &mut [Row]) {
    for (n, frame) in frames.iter().enumerate() {
        let rows = gathered.iter_mut().skip(n).step_by(frames.len());
        for (part, row) in frame[start..start + length].chunks(LANES).zip(rows) {
            match part.try_into() {
                Ok(part) => *row = part,
                Err(_) => row[..part.len()].copy_from_slice(part),
            }
        }
    }
}

/// The same with the luma of pixels.
#[inline(always)]
fn gather_luma<B: Bytes>(frames: &[&[u8]], start: usize, length: usize, gathered: &mut [Row]) {
    let channels = Values::Luma.bytes();
    for (n, frame) in frames.iter().enumerate() {
        let rows = gathered.iter_mut().skip(n).step_by(frames.len());
        for (part, row) in frame[channels * start..channels * (start + length)].chunks(PIXELS).zip(rows) {
            match part.try_into() {
                Ok(part) => B::luma(part).store(row),
                Err(_) => {
                    let mut padded = [0; PIXELS];
                    padded[..part.len()].copy_from_slice(part);
                    B::luma(&padded).store(row);
                }
            }
        }
    }
}
