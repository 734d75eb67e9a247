//! Slices in, slices out, one vector lane per value: those of 64 pixels or bytes are brought together frame by frame
//! and then sorted or counted side by side.

mod mode;
mod rank;
mod sort;

use super::{Mode, ModeTie, Rank, Values};
use crate::simd::bytes::{Bytes, BytesKernel, LANES, PIXELS, Row, prefetch};

/// Bytes gathered at a time: they stay in a core's second-level cache (1 MiB and up) beside what is read to
/// gather them. Twice as many took a tenth longer.
const GATHERED: usize = 256 << 10;

/// The most blocks of 64 values gathered at a time: 4 KiB of each frame, a page, is as far as processors read ahead.
const MOST_BLOCKS: usize = 64;

/// Blocks gathered at a time from each of `frames` frames.
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
                Values::Bytes => gather(frames, at * group, out.len(), &mut gathered, |bytes: B| bytes),
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
            gather(frames, at * group, out.len(), &mut gathered, B::signed);
            for (rows, out) in gathered.chunks_exact(count).zip(out.chunks_mut(LANES)) {
                let found = rank::at_rank::<B>(rows, rank);
                out.copy_from_slice(&found[..out.len()]);
            }
        }
    }
}

/// Brings together the bytes `start..start + length` of all frames, in the form that `change` gives them: block by
/// block, in a block a row per frame. Lanes beyond the last byte hold anything.
#[inline(always)]
fn gather<B: Bytes>(frames: &[&[u8]], start: usize, length: usize, gathered: &mut [Row], change: impl Fn(B) -> B) {
    for (n, (part, next)) in with_next(frames, start, length).enumerate() {
        let rows = gathered.iter_mut().skip(n).step_by(frames.len());
        for ((part, next), row) in part.chunks(LANES).zip(next.chunks(LANES)).zip(rows) {
            prefetch(next);
            match part.try_into() {
                Ok(part) => change(B::load(part)).store(row),
                Err(_) => {
                    row[..part.len()].copy_from_slice(part);
                    change(B::load(row)).store(row);
                }
            }
        }
    }
}

/// The same with the luma of pixels.
#[inline(always)]
fn gather_luma<B: Bytes>(frames: &[&[u8]], start: usize, length: usize, gathered: &mut [Row]) {
    let channels = Values::Luma.bytes();
    for (n, (part, next)) in with_next(frames, channels * start, channels * length).enumerate() {
        let rows = gathered.iter_mut().skip(n).step_by(frames.len());
        for ((part, next), row) in part.chunks(PIXELS).zip(next.chunks(PIXELS)).zip(rows) {
            prefetch(next);
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

/// The bytes `start..start + length` of every frame and those of the next.
#[inline(always)]
fn with_next<'a>(frames: &[&'a [u8]], start: usize, length: usize) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let parts = frames.iter().map(move |frame| &frame[start..start + length]);
    let next = frames.iter().skip(1).chain(frames.last()).map(move |frame| &frame[start..start + length]);
    parts.zip(next)
}
