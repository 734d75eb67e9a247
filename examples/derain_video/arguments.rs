//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use derain::data::transcode::{EncodeOptions, EncoderName};

use crate::support::engine::EngineArguments;
use crate::support::values::{named, number};

/// Takes the rain out of a video. Sound, subtitles and times are kept.
#[derive(Parser, Debug)]
#[command(name = "derain_video")]
pub(crate) struct Arguments {
    /// Video with rain, of any kind that FFmpeg decodes.
    #[arg(short, long, value_name = "VIDEO")]
    pub(crate) input: PathBuf,

    /// Where the video without rain goes: a name that ends in .mp4, .m4v, .mov or .mkv. Missing folders are made.
    #[arg(short, long, value_name = "VIDEO")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) engine: EngineArguments,

    /// Only the first N frames are derained and written; the sound ends with them. Without it, all frames.
    #[arg(long, value_name = "N")]
    pub(crate) length: Option<NonZeroUsize>,

    /// Quality of the encoding, as x264's rate factor: 0 is the best and largest, 51 the worst.
    #[arg(long, default_value_t = EncodeOptions::default().rate_factor, value_name = "0..51", value_parser = number::<u8>(0..=51))]
    pub(crate) quality: u8,

    /// Encoder, by FFmpeg's name: libx264 (H.264), or mpeg4 where FFmpeg has no libx264. Without it, the first that is
    /// there.
    #[arg(long, value_name = "NAME", value_parser = named::<EncoderName>)]
    pub(crate) encoder: Option<EncoderName>,

    /// Writes what was done, how long it took and what failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Goes on after a kill, from the finished parts in the folder OUTPUT.parts, if input, weights and options are the
    /// same; --length may be another, but no less than what is done. A video that is finished is left alone, and an
    /// error if it was made from another input or length.
    #[arg(long)]
    pub(crate) resume: bool,

    /// Removes the finished parts of an earlier run and begins anew. Without this and without --resume, the example
    /// refuses to lose them.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) restart: bool,
}

impl Arguments {
    pub(crate) fn length(&self) -> Option<usize> {
        self.length.map(NonZeroUsize::get)
    }

    pub(crate) fn encode_options(&self) -> EncodeOptions {
        EncodeOptions { rate_factor: self.quality, encoder: self.encoder }
    }
}
