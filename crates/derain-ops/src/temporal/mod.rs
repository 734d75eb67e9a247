//! Statistics over time of a still scene: what every byte or pixel of N frames shows most often, and its percentiles.
//!
//! Sorted in time, the values of pixel l are o_0 <= … <= o_(N-1). [`modes`] gives phi, the value that occurs most
//! often, and the ranks of the first and the last value equal to it; [`at_rank`] gives the value at a rank, between two
//! ranks interpolated linearly and rounded down. Integers throughout: results are exact, for every instruction set the
//! same. SPANet (CVPR 2019), Eq. 2-4, is built on these two.
//!
//! Frames are slices of bytes, all of the same length, in any order: whole pictures or the same part of each. The
//! statistics do not depend on where pixels lie, so callers cut frames as suits memory and threads. Nothing here starts
//! threads.
//!
//! ```
//! use derain_ops::temporal::{Mode, ModeTie, Rank, Values, at_rank, modes};
//!
//! let frames: [&[u8]; 4] = [&[9, 0], &[7, 0], &[9, 5], &[8, 7]];
//! let mut found = [Mode::default(); 2];
//! modes(&frames, Values::Bytes, ModeTie::Smallest, &mut found)?;
//! assert_eq!(found[0], Mode { value: 9, first: 2, last: 3 }); // 7 8 9 9
//! assert_eq!(found[1], Mode { value: 0, first: 0, last: 1 }); // 0 0 5 7
//!
//! let mut middle = [0; 2];
//! at_rank(&frames, Rank { below: 1, hundredths: 50 }, &mut middle)?;
//! assert_eq!(middle, [8, 2]); // 8.5 and 2.5, rounded down
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use crate::simd::bytes::run;
use crate::{Error, Isa, Result};

/// The most frames that one call takes: ranks are 16-bit.
pub const MAX_FRAMES: usize = u16::MAX as usize;

/// Channels of a pixel.
const RGB: usize = 3;

/// Which values of a frame are compared over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Values {
    /// One for every RGB pixel: its BT.601 luma, floor((299 R + 587 G + 114 B) / 1000).
    #[default]
    Luma,
    /// Every byte for itself.
    Bytes,
}

impl Values {
    /// Bytes of a frame that make one value.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Luma => RGB,
            Self::Bytes => 1,
        }
    }
}

/// Which of several values that occur equally often is the mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeTie {
    /// The smallest.
    #[default]
    Smallest,
    /// The largest.
    Largest,
}

/// The value that occurs most often, and where it lies among the sorted values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// The value itself.
    pub value: u8,
    /// How many values are smaller: the rank of the first that is equal.
    pub first: u16,
    /// The rank of the last that is equal, counted from 0.
    pub last: u16,
}

/// A place among N sorted values: `below + hundredths / 100`, at most N − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// Whole ranks, counted from 0.
    pub below: usize,
    /// Hundredths of the way to the next rank, 0..=99.
    pub hundredths: u8,
}

/// Writes the mode over time of every value of the frames to `out`.
///
/// # Errors
/// [`Error::Option`] if there are no frames or more than [`MAX_FRAMES`]; [`Error::Length`] if a frame does not hold as many values as `out`.
pub fn modes(frames: &[&[u8]], values: Values, tie: ModeTie, out: &mut [Mode]) -> Result<()> {
    check_frames("modes", frames, values.bytes().saturating_mul(out.len()))?;
    modes_with(Isa::current(), frames, values, tie, out);
    Ok(())
}

fn modes_with(isa: Isa, frames: &[&[u8]], values: Values, tie: ModeTie, out: &mut [Mode]) {
    run(isa, cpu::Modes { frames, values, tie, out });
}

/// Writes the value at a rank over time of every byte of the frames to `out`.
///
/// # Errors
/// [`Error::Option`] if there are no frames or more than [`MAX_FRAMES`]; [`Error::Length`] if a frame does not have the length of `out`;
/// [`Error::Option`] if the rank lies beyond the last value or its hundredths beyond 99.
pub fn at_rank(frames: &[&[u8]], rank: Rank, out: &mut [u8]) -> Result<()> {
    const OP: &str = "at_rank";
    check_frames(OP, frames, out.len())?;
    let last = frames.len() - 1;
    if rank.hundredths > 99 || rank.below > last || (rank.below == last && rank.hundredths > 0) {
        let got = format!("{rank:?} of {} values", frames.len());
        return Err(Error::Option { op: OP, option: "rank", expected: "at most the last value's", got });
    }
    at_rank_with(Isa::current(), frames, rank, out);
    Ok(())
}

fn at_rank_with(isa: Isa, frames: &[&[u8]], rank: Rank, out: &mut [u8]) {
    run(isa, cpu::AtRank { frames, rank, out });
}

fn check_frames(op: &'static str, frames: &[&[u8]], length: usize) -> Result<()> {
    if frames.is_empty() || frames.len() > MAX_FRAMES {
        return Err(Error::Option {
            op,
            option: "number of frames",
            expected: "between 1 and 65535",
            got: frames.len().to_string(),
        });
    }
    match frames.iter().find(|frame| frame.len() != length) {
        Some(frame) => Err(Error::Length { op, argument: "frames", expected: length, got: frame.len() }),
        None => Ok(()),
    }
}
