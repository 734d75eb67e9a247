//! The clean image of N frames of a still scene in the rain: SPANet (Wang et al., CVPR 2019), section 3, Eq. 2-4.
//!
//! For pixel l with values O_l = {o_1l … o_Nl} over time:
//! - Eq. 2: phi_l = mode(O_l), the value that occurs most often.
//! - Eq. 3: the percentiles that the mode occupies among the sorted values: R_min = 100/N · #{o < phi} and
//!   R_max = 100/N · (#{o <= phi} − 1).
//! - Eq. 4: one percentile for the whole picture, p = argmax over p in 0..=100 of #{l : R_min_l <= p <= R_max_l}. The
//!   clean image is the p-th percentile of every pixel and channel: the value at rank p · (N − 1) / 100, between two
//!   ranks interpolated.
//!
//! By default as in the authors' release, in exact integers where that has rounding noise: the mode is that of BT.601
//! luma floor((299 R + 587 G + 114 B) / 1000), its smallest value on ties; p is the smallest on ties; interpolation is
//! linear and rounded down. [`CleanOptions`] has the alternatives. Nothing depends on the number of threads or on the
//! memory limit.
//!
//! Frames beyond [`CleanOptions::max_memory`] go to a file without a name and are read back band by band.
//!
//! ```
//! use derain_data::{CleanImage, CleanOptions};
//! use image::{Rgb, RgbImage};
//!
//! let frame = |value| RgbImage::from_pixel(1, 1, Rgb([value; 3]));
//! let mut clean = CleanImage::new(CleanOptions::default());
//! for value in [40, 200, 40, 41] {
//!     clean.push(&frame(value))?;
//! }
//! let result = clean.result()?;
//! assert_eq!(result.image, frame(40)); // 40 40 41 200: the mode lies at ranks 0 and 1
//! assert_eq!(result.votes[..=25], [1; 26]); // R_min = 0, R_max = 25
//! assert_eq!(result.percentile, 0);
//!
//! clean.push(&frame(41))?; // more frames, without starting over
//! clean.push(&frame(41))?;
//! assert_eq!(clean.finish()?.percentile, 34); // 40 40 41 41 41 200: R_min = 33.3
//! # Ok::<(), derain_data::Error>(())
//! ```

mod again;
mod choice;
mod options;
mod pass;
mod plot;
#[cfg(test)]
mod reference;
pub(crate) mod spool;
mod store;
#[cfg(test)]
mod tests;

pub use derain_ops::temporal::ModeTie;
pub use options::{CleanOptions, Interpolation, ModeOf, PercentileTie};
pub use plot::plot;

use derain_ops::temporal::{MAX_FRAMES, Mode, Values, at_rank, modes};
use image::RgbImage;

use crate::Error;
use crate::brief_debug::brief_debug;
use pass::Progress;
use store::Frames;

/// Counts for the percentiles 0..=100.
pub type Percentiles = [u64; 101];

/// Gathers frames and makes their clean image.
#[derive(Debug)]
pub struct CleanImage {
    options: CleanOptions,
    frames: Option<Frames>,
}

/// A clean image and how it was chosen.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanResult {
    /// The percentile of every pixel and channel.
    pub image: RgbImage,
    /// The percentile, 0..=100: chosen by the votes, or [`CleanOptions::percentile`].
    pub percentile: u8,
    /// For every percentile, how many pixels (of [`ModeOf::Channels`]: bytes) have their mode there.
    pub votes: Percentiles,
    /// Where modes begin and end.
    pub mode_ranges: ModeRanges,
    /// How many frames were seen.
    pub frames: usize,
}

brief_debug!(CleanResult, |result| {
    image: result.image.dimensions(),
    percentile: result.percentile,
    frames: result.frames,
});

/// Histograms of R_min and R_max over all pixels (of [`ModeOf::Channels`]: bytes), rounded down to whole percent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeRanges {
    /// How many modes begin at a percentile.
    pub min: Percentiles,
    /// How many modes end at a percentile.
    pub max: Percentiles,
}

impl CleanImage {
    /// Without frames yet.
    #[must_use]
    pub fn new(options: CleanOptions) -> Self {
        Self { options, frames: None }
    }

    /// How many frames were given.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames.as_ref().map_or(0, Frames::count)
    }

    /// Adds a copy of a frame. After an error the frames are what they were before.
    ///
    /// # Errors
    /// [`Error::FrameSize`] or [`Error::EmptyFrame`] if it does not fit; [`Error::TooManyFrames`] after 65,535, at once if more are expected;
    /// [`Error::SpoolSpace`] or [`Error::Io`] if it has to be spooled and the disk does not take it; [`Error::InvalidOption`].
    pub fn push(&mut self, frame: &RgbImage) -> Result<(), Error> {
        let length = self.check(frame)?;
        let frames = store(&mut self.frames, frame.dimensions());
        frames.push(&frame.as_raw()[..length], &self.options)
    }

    /// Adds a frame, taking over its memory.
    ///
    /// # Errors
    /// As [`CleanImage::push`].
    pub fn push_owned(&mut self, frame: RgbImage) -> Result<(), Error> {
        let length = self.check(&frame)?;
        let frames = store(&mut self.frames, frame.dimensions());
        let mut bytes = frame.into_raw();
        bytes.truncate(length);
        frames.push_owned(bytes, &self.options)
    }

    /// The clean image of the frames so far. More may be added afterwards.
    ///
    /// # Errors
    /// [`Error::NoFramesGiven`]; [`Error::Io`] if spooled frames cannot be read back.
    pub fn result(&self) -> Result<CleanResult, Error> {
        self.result_with_progress(&|_| {})
    }

    /// The same, saying what share is done, 0..=1, from whichever thread did it.
    ///
    /// # Errors
    /// As [`CleanImage::result`].
    pub fn result_with_progress(&self, progress: &(dyn Fn(f64) + Sync)) -> Result<CleanResult, Error> {
        let frames = self.given()?;
        let progress = Progress::new(progress, 2 * frames.bytes());
        let ranks = pass::ranks(frames, &self.options, &progress)?;
        let (votes, mode_ranges) = (ranks.votes(), ranks.ranges());
        let percentile = self.options.percentile.unwrap_or_else(|| choice::choose(&votes, self.options.percentile_tie));
        let rank = choice::rank(percentile, frames.count(), self.options.interpolation);
        let image = pass::picture(frames, &self.options, |slices, out| {
            at_rank(slices, rank, out)?;
            progress.advance(out.len());
            Ok(())
        })?;
        Ok(CleanResult { image, percentile, votes, mode_ranges, frames: frames.count() })
    }

    /// [`CleanImage::result`] of all frames, which are then gone.
    ///
    /// # Errors
    /// As [`CleanImage::result`].
    pub fn finish(self) -> Result<CleanResult, Error> {
        self.result()
    }

    /// The mode of every pixel and channel on its own, what the paper calls the mode filter: noisier than the clean
    /// image, for comparison.
    ///
    /// # Errors
    /// As [`CleanImage::result`].
    pub fn mode_image(&self) -> Result<RgbImage, Error> {
        let frames = self.given()?;
        pass::picture(frames, &self.options, |slices, out| {
            let mut found = vec![Mode::default(); out.len()];
            modes(slices, Values::Bytes, self.options.mode_tie, &mut found)?;
            for (out, mode) in out.iter_mut().zip(found) {
                *out = mode.value;
            }
            Ok(())
        })
    }

    /// The frames, of which there must be one.
    fn given(&self) -> Result<&Frames, Error> {
        self.frames.as_ref().filter(|frames| frames.count() > 0).ok_or(Error::NoFramesGiven)
    }

    /// The bytes of a frame that fits the earlier ones.
    fn check(&self, frame: &RgbImage) -> Result<usize, Error> {
        let (width, height) = frame.dimensions();
        let index = self.frames();
        self.options.check()?;
        if width == 0 || height == 0 {
            return Err(Error::EmptyFrame { index, width, height });
        }
        // Where it is known that there will be too many, before hours are spent on them.
        let will_be_too_many = index == 0 && self.options.expected_frames.is_some_and(|expected| expected > MAX_FRAMES);
        if index == MAX_FRAMES || will_be_too_many {
            return Err(Error::TooManyFrames { limit: MAX_FRAMES });
        }
        match &self.frames {
            Some(frames) if index > 0 && frames.size() != (width, height) => {
                Err(Error::FrameSize { frame: index, expected: frames.size(), found: (width, height) })
            }
            // Such a picture is in memory, so its size in bytes is a number.
            _ => Ok(3 * width as usize * height as usize),
        }
    }
}

/// Where frames of a size go: a first one that was refused sets no size for others.
fn store(frames: &mut Option<Frames>, size: (u32, u32)) -> &mut Frames {
    let kept = frames.take().filter(|frames| frames.size() == size);
    frames.insert(kept.unwrap_or_else(|| Frames::new(size)))
}
