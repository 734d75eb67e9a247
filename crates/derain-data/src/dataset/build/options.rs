//! What a build may choose.

use serde::{Deserialize, Serialize};

use crate::clean::CleanOptions;
use crate::frames::FrameOptions;
use crate::judge::Schedule;
use crate::{Error, Shard};

/// Side of the patches in the paper's release.
const RELEASED_PATCH: u32 = 256;
/// The paper's 29,500 pairs from 170 videos.
const RELEASED_PAIRS: usize = 174;
/// More than SPA-Data's 1,000 of 29,500 pairs (3.4 %), since whole videos are kept and most sets have few.
const TEST_FRACTION: f64 = 0.1;

/// How a data set is built.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildOptions {
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Pairs of a video, at most.
    pub pairs_per_video: usize,
    /// Where in a frame patches lie.
    pub placement: PatchPlacement,
    /// Leaves out pairs in which no channel of any pixel differs from the clean image by more than this (0..=254);
    /// `None` keeps all.
    pub least_difference: Option<u8>,
    /// Share of the videos that go to the test side, 0..=1. With two videos or more, both sides get one unless this is
    /// 0 or 1.
    pub test_fraction: f64,
    /// Chooses the test videos and the patches.
    pub seed: u64,
    /// The first frame that is used, counted from 0.
    pub start: usize,
    /// Every `stride`-th frame is used from there; at least 1.
    pub stride: usize,
    /// What to do with a video whose camera moves.
    pub moving: MovingScenes,
    /// Frames of the clean image.
    pub schedule: Schedule,
    /// How the clean image is made. A [`Manifest`](super::Manifest) keeps what of it shows in the pictures.
    pub clean: CleanOptions,
    /// The share of the videos that this call does; others do the others. Every share needs the same input and options.
    #[serde(skip)]
    pub shard: Shard,
    /// Goes on although another judge began, whose verdicts stay; the rest of the build is this call's judge's.
    /// Otherwise a judge who was merely forgotten would let everything pass.
    #[serde(skip)]
    pub judge_changed: bool,
}

/// Where in a frame patches lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatchPlacement {
    /// On a grid without overlap in the middle of the frame, places chosen by the seed where not all are needed.
    #[default]
    Grid,
    /// Anywhere, chosen by the seed; patches may overlap.
    Random,
}

/// What to do with a video whose camera moves: its clean image shows no place as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovingScenes {
    /// Report it and go on with the others ([`StillnessCheck`](crate::StillnessCheck)). There is no registering
    /// instead: the patches are those of the frames as they were taken.
    #[default]
    Refuse,
    /// Use it all the same: the judge must know.
    Keep,
}

/// What to do with an output folder that a build was begun in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on with it. An empty folder, or none, is begun.
    Continue,
    /// Refuse it.
    Refuse,
}

impl Default for BuildOptions {
    /// As the paper's set: patches of 256, 174 pairs of a video, on a grid, all kept. A tenth of the videos is for the
    /// test side, where the paper's set has 3.4 % of the pairs.
    fn default() -> Self {
        Self {
            patch: RELEASED_PATCH,
            pairs_per_video: RELEASED_PAIRS,
            placement: PatchPlacement::Grid,
            least_difference: None,
            test_fraction: TEST_FRACTION,
            seed: 0,
            start: 0,
            stride: 1,
            moving: MovingScenes::Refuse,
            schedule: Schedule::default(),
            clean: CleanOptions::default(),
            shard: Shard::WHOLE,
            judge_changed: false,
        }
    }
}

impl BuildOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        let invalid = |option, value: String, expected: &'static str| Err(Error::option(option, value, expected));
        if self.patch == 0 {
            return invalid("patch", "0".into(), "1 or more");
        }
        if self.pairs_per_video == 0 {
            return invalid("pairs_per_video", "0".into(), "1 or more");
        }
        if self.stride == 0 {
            return invalid("stride", "0".into(), "1 or more");
        }
        if self.least_difference == Some(u8::MAX) {
            return invalid(
                "least_difference",
                "255".into(),
                "at most 254, as no 8-bit samples differ by more than 255",
            );
        }
        if !(0.0..=1.0).contains(&self.test_fraction) {
            return invalid("test_fraction", self.test_fraction.to_string(), "from 0 to 1");
        }
        self.schedule.check()?;
        self.clean.check()
    }

    /// The frames that clean images and patches are made from.
    pub(super) fn frames(&self) -> FrameOptions {
        FrameOptions { start: self.start, stride: self.stride, length: None }
    }

    /// The number in its video of the frame that is used as number `index`.
    pub(super) fn frame_number(&self, index: usize) -> usize {
        self.start + index * self.stride
    }
}
