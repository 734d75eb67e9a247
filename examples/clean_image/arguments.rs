//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use derain::data::judge::Density;
use derain::data::{Camera, MotionModel, MotionOptions};
use serde::Serialize;

use crate::support::choices::CleanChoices;
use crate::support::size;
use crate::support::values::{named, number};

/// Makes the clean image of a rain video of a still scene.
#[derive(Parser, Debug)]
#[command(name = "clean_image")]
pub(crate) struct Arguments {
    /// Video, folder of frames in natural order, or Y4M file.
    #[arg(short, long, value_name = "VIDEO|DIR|FILE.y4m")]
    pub(crate) input: PathBuf,

    /// Where the clean image goes. Missing folders are made.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// How many frames to take, or a judge to begin with, whatever the density. Without either, all. If there are
    /// fewer, the picture is made of them and the status is 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,

    /// How heavy the rain is: sparse takes 20 frames, normal 100, dense 200, with status 1 if there are fewer. For a
    /// judge it is the number to begin with, which without it is measured from the clip.
    #[arg(long, value_name = "sparse|normal|dense", value_parser = named::<Density>)]
    pub(crate) density: Option<Density>,

    /// Takes this percentile, 0 to 100, whatever the votes.
    #[arg(long, value_name = "P", value_parser = number::<u8>(0..=100))]
    pub(crate) percentile: Option<u8>,

    #[command(flatten)]
    pub(crate) choices: CleanChoices,

    /// Who looks at the clean image and asks for more frames if it is not clean.
    #[arg(long, value_enum, default_value_t, value_name = "JUDGE")]
    pub(crate) judge: JudgeName,

    /// What the camera did. A clip that moves although the camera should be still is refused.
    #[arg(long, value_enum, default_value_t, value_name = "CAMERA")]
    pub(crate) camera: CameraName,

    /// Writes the frames, the percentile, the votes and the mode ranges.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Draws the votes over the percentiles.
    #[arg(long, value_name = "FILE")]
    pub(crate) votes_plot: Option<PathBuf>,

    /// Also writes the mode of every pixel and channel, for comparison.
    #[arg(long, value_name = "FILE")]
    pub(crate) mode_image: Option<PathBuf>,

    /// Leaves out the first N frames.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) start: u64,

    /// Takes every Nth frame.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) stride: u64,

    /// Memory that frames may take, such as 2GiB, 500MB or 1073741824; the result is the same for any.
    #[arg(long, default_value = "2GiB", value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_memory: u64,

    /// Folder for frames that memory does not hold, instead of the output's. 300 frames of 3840x2160 take 6 GB there.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
}

impl Arguments {
    /// How many frames are asked for.
    pub(crate) fn wanted(&self) -> Option<usize> {
        self.wanted_frames().or(self.density.map(Density::frames))
    }

    /// The same by their number alone.
    pub(crate) fn wanted_frames(&self) -> Option<usize> {
        self.frames.map(|frames| usize::try_from(frames).unwrap_or(usize::MAX))
    }
}

#[derive(ValueEnum, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JudgeName {
    /// Measures what rain is left and how the estimate still changes.
    Auto,
    /// Asks at the terminal.
    Terminal,
    /// Asks in a local web page.
    Web,
    /// Nobody: the first clean image is kept.
    #[default]
    None,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CameraName {
    /// It stood still.
    #[default]
    Still,
    /// A hand held it: shifts are undone, and borders that not all frames show are cut off.
    Handheld,
    /// The same with rotation and scale.
    Turning,
    /// Take the frames as they are.
    Unchecked,
}

impl CameraName {
    pub(crate) fn as_library(self) -> Camera {
        let handheld = |model| Camera::Handheld(MotionOptions { model, ..MotionOptions::default() });
        match self {
            Self::Still => Camera::Still,
            Self::Handheld => handheld(MotionModel::Translation),
            Self::Turning => handheld(MotionModel::Similarity),
            Self::Unchecked => Camera::Unchecked,
        }
    }
}
