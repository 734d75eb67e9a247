//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use derain::data::Shard;
use derain::data::synthesis::{self, Density};

use crate::support::values::{above_zero, named, number};

/// Lets it rain on a photograph, or on every photograph in a folder and below.
///
/// Below the output folder, NAME being the input's name without extension: rain/NAME.png, mask/NAME.png (white where it
/// rains) and clean/NAME.png, 8-bit RGB. With --frames, rain/NAME/000001.png and so on, and masks alike. Where a veil
/// or dimming belongs to the rain, veiled/NAME.png is the clean picture under both: what a perfect remover of streaks
/// gives. Equal arguments give equal files.
#[derive(Parser, Debug)]
#[command(name = "synthesize_rain")]
pub(crate) struct Arguments {
    /// Picture, or folder of pictures (BMP, JPEG, PNG, PNM, TIFF, WebP).
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) input: PathBuf,

    /// Folder for the results. Missing folders are made.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Makes a film of N frames over each picture, 25 a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) frames: Option<u32>,

    /// How densely it rains.
    #[arg(long, default_value = "normal", value_name = "sparse|normal|dense", value_parser = named::<Density>)]
    pub(crate) density: Density,

    /// Another kind of rain for every picture, drawn wide enough for training: direction, length, thickness, blur,
    /// light, veil, noise and more.
    #[arg(long, conflicts_with_all = ["density", "options"])]
    pub(crate) vary: bool,

    /// Rain options as JSON, such as the report's; what the file leaves out is as in --density normal.
    #[arg(long, value_name = "FILE", conflicts_with = "density")]
    pub(crate) options: Option<PathBuf>,

    /// Size of the rain against the picture. Without it, rain of a --density grows with the picture, and other rain is
    /// left as it is.
    #[arg(long, value_name = "FACTOR", value_parser = above_zero)]
    pub(crate) scale: Option<f32>,

    /// Direction of the fall in degrees from straight down, -60 to 60; positive drifts to the right.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true, value_parser = number::<f32>(-60.0..=60.0))]
    pub(crate) angle: Option<f32>,

    /// Where all chance starts from.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,

    /// Share of the light that a veil of far rain replaces, 0 to 0.95.
    #[arg(long, value_name = "SHARE", value_parser = number::<f32>(0.0..=0.95))]
    pub(crate) veil: Option<f32>,

    /// Standard deviation of sensor noise in 8-bit steps, 0 to 64.
    #[arg(long, value_name = "SIGMA", value_parser = number::<f32>(0.0..=64.0))]
    pub(crate) noise: Option<f32>,

    /// Compresses every rainy picture as JPEG of this quality, 1 to 100; the result is still written as PNG.
    #[arg(long, value_name = "QUALITY", value_parser = number::<u8>(1..=100))]
    pub(crate) jpeg: Option<u8>,

    /// Makes the rain as dense as gives this mean PSNR against the clean picture, to about 0.1 dB over the whole film.
    #[arg(long, value_name = "DB")]
    pub(crate) psnr: Option<f64>,

    /// Moves the camera by up to PIXELS pixels along each axis from frame to frame, the first being where
    /// clean/NAME.png is. The picture loses a margin. The report holds every frame's movement.
    #[arg(long, value_name = "PIXELS", requires = "frames", value_parser = number::<f32>(0.0..=100.0))]
    pub(crate) shake: Option<f32>,

    /// Whether the camera moves by whole pixels or anyhow (bicubic).
    #[arg(long, value_enum, default_value_t, value_name = "STEPS", requires = "shake")]
    pub(crate) shake_steps: ShakeSteps,

    /// Writes each film as rain/NAME.y4m (4:4:4, BT.601, which rounds colours) instead of a folder of PNGs.
    #[arg(long, requires = "frames")]
    pub(crate) y4m: bool,

    /// Writes what was done: options, seeds, PSNR, camera movement, what failed. With `--shard`, `report.json` becomes
    /// `report.I-of-N.json`.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Does the Ith of N shares of a folder's pictures, counted from 1; others do the other shares, with the same
    /// arguments.
    #[arg(long, default_value_t, value_name = "I/N", value_parser = named::<Shard>)]
    pub(crate) shard: Shard,
}

impl Arguments {
    /// As given, but for what every shard writes for itself.
    pub(crate) fn read() -> Self {
        let mut arguments = Self::parse();
        arguments.json = arguments.json.map(|path| arguments.shard.own_path(&path));
        arguments
    }

    /// How many frames each picture becomes.
    pub(crate) fn frame_count(&self) -> u32 {
        self.frames.unwrap_or(1)
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ShakeSteps {
    /// By whole pixels: every frame holds the picture's own pixels.
    Whole,
    /// By any fraction of a pixel.
    #[default]
    Sub,
}

impl From<ShakeSteps> for synthesis::ShakeSteps {
    fn from(steps: ShakeSteps) -> Self {
        match steps {
            ShakeSteps::Whole => Self::Whole,
            ShakeSteps::Sub => Self::Sub,
        }
    }
}
