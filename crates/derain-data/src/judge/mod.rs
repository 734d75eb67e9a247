//! Judging a clean image, and asking for more frames until it passes.
//!
//! No reference exists for a real scene, so somebody has to look. SPANet's authors begin with few frames, since more of
//! them bring noise, blur and shake, and add some whenever the result fails (CVPR 2019, section 3): [`Schedule`] holds
//! these numbers, [`judged_clean_image`] the loop, [`Judge`] whoever looks: a person ([`TerminalJudge`]) or measurement
//! ([`AutoJudge`]). [`estimate_density`] tells from a clip how many frames to begin with.
//!
//! ```
//! use derain_data::Error;
//! use derain_data::judge::{Candidate, Judge, Verdict};
//!
//! /// Accepts what at least 30 frames were used for.
//! struct Patient;
//! impl Judge for Patient {
//!     fn name(&self) -> &str { "patient" }
//!     fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
//!         Ok(if candidate.frames < 30 { Verdict::MoreFrames } else { Verdict::Accept })
//!     }
//! }
//! ```

mod auto;
mod judged;
mod schedule;
mod terminal;

use image::RgbImage;

use crate::brief_debug::brief_debug;
use crate::{CleanImage, Error};

pub use crate::Density;
pub use auto::{AutoJudge, DensityEstimate, Measures, Thresholds, estimate_density};
pub use judged::{Judged, judged_clean_image};
pub use schedule::Schedule;
pub use terminal::TerminalJudge;

/// A clean image to judge.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// The video's name.
    pub video: &'a str,
    /// Frames that the image was made from.
    pub frames: usize,
    /// The image.
    pub image: &'a RgbImage,
    /// The global percentile p, 0..=100.
    pub percentile: u8,
    /// Pixels whose mode range holds each p.
    pub votes: &'a [u64; 101],
    /// The first frame, with its rain.
    pub input: &'a RgbImage,
    /// The frames that the image was made from.
    pub clip: &'a CleanImage,
    /// Frames that the next image would be made from, if the video has them; `None` if the schedule or the video ends
    /// here.
    pub next: Option<usize>,
}

brief_debug!(Candidate<'_>, |candidate| {
    video: candidate.video,
    frames: candidate.frames,
    image: candidate.image.dimensions(),
    percentile: candidate.percentile,
    next: candidate.next,
});

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The image is clean.
    Accept,
    /// Rain is left: try with more frames.
    MoreFrames,
    /// No number of frames would help.
    Reject {
        /// Why, for the record.
        reason: String,
    },
}

/// Whoever judges clean images.
pub trait Judge {
    /// The name under which verdicts are recorded.
    fn name(&self) -> &str;

    /// Judges one candidate.
    ///
    /// # Errors
    /// When no verdict can be had, such as when the person has left. That ends the work; it is not a rejection.
    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error>;
}

/// Accepts everything: nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptAll;

impl Judge for AcceptAll {
    fn name(&self) -> &str {
        "none"
    }

    fn judge(&mut self, _: &Candidate<'_>) -> Result<Verdict, Error> {
        Ok(Verdict::Accept)
    }
}
