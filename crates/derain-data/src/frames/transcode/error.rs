//! What can be wrong with making a video.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::amounts::counted;
use crate::paths::Shown;

/// Why a video could not be made from another; a variant of [`Error`](crate::Error).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// The file name ends in no container that keeps the times of a video's frames.
    #[error("{}: the name must end in .mp4, .m4v, .mov or .mkv", path.shown())]
    UnknownContainer {
        /// The file name.
        path: PathBuf,
    },
    /// FFmpeg was built without the encoder.
    #[error("this FFmpeg cannot encode with {wanted}: install one that can, or choose another encoder")]
    NoVideoEncoder {
        /// The encoders that would do.
        wanted: &'static str,
    },
    /// FFmpeg's encoder failed.
    #[error("the video encoder {encoder} failed: {reason}")]
    VideoEncoder {
        /// FFmpeg's name of it.
        encoder: &'static str,
        /// What it said or did.
        reason: String,
    },
    /// FFmpeg could not put streams into a file.
    #[error("cannot write the video {}: {reason}", path.shown())]
    VideoWrite {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The folder for a video's parts holds something else.
    #[error("{} holds {name:?}, which is no part of a video: move it away, or choose another output", folder.shown())]
    NotParts {
        /// The folder.
        folder: PathBuf,
        /// What was found.
        name: OsString,
    },
    /// The folder for a video's parts holds some that would be lost.
    #[error(
        "{} holds finished groups of frames of an earlier run ({groups}): go on with them, or have them removed",
        folder.shown()
    )]
    PartsThere {
        /// The folder.
        folder: PathBuf,
        /// How many groups there are.
        groups: usize,
    },
    /// The folder for a video's parts holds groups that were made from something else.
    #[error(
        "{} holds finished groups of frames ({groups}) that were made otherwise, {change}: ask for what they were made with, or have \
         them removed",
        folder.shown()
    )]
    PartsDiffer {
        /// The folder.
        folder: PathBuf,
        /// How many groups there are.
        groups: usize,
        /// What has changed since.
        change: String,
    },
    /// The folder for a video's parts holds more frames than the video is to have.
    #[error(
        "{} holds {}, more than the {frames} that are wanted: take as many, or have them removed",
        folder.shown(), counted(*done, "finished frame")
    )]
    PartsPastEnd {
        /// The folder.
        folder: PathBuf,
        /// Frames of its full groups.
        done: usize,
        /// Frames that the video is to have.
        frames: usize,
    },
    /// Another program makes the same video.
    #[error("another run is using {}: end it, or choose another output", folder.shown())]
    PartsInUse {
        /// The folder for the video's parts.
        folder: PathBuf,
    },
    /// A part of a video was there and is not, or is damaged.
    #[error("{} is damaged or missing: start again", path.shown())]
    PartLost {
        /// The part.
        path: PathBuf,
    },
}
