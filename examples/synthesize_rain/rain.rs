//! Which rain falls on a picture.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use derain::data::paths::Shown;
use derain::data::synthesis::{RainOptions, RainRange};
use image::RgbImage;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::arguments::Arguments;

/// Pixels of a picture that the presets suit: 640x480.
const PRESET_AREA: f32 = 640.0 * 480.0;

/// Rain does not get finer than this against the presets: pixels would no longer show streaks.
const FINEST: f32 = 0.5;

/// Frames of a film that its PSNR is set by; their mean is within a few hundredths of a decibel of the whole film's.
const SOUNDINGS: u64 = 8;

/// What all pictures share.
pub(crate) enum Kind {
    Fixed(RainOptions),
    /// Grows with the picture.
    Preset(RainOptions),
    Varied(RainRange),
}

impl Kind {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        Ok(match &arguments.options {
            Some(path) => Self::Fixed(read_options(path)?),
            None if arguments.vary => Self::Varied(RainRange::default()),
            None => Self::Preset(RainOptions::preset(arguments.density)),
        })
    }

    /// The rain for a picture of this size.
    pub(crate) fn options(&self, arguments: &Arguments, seed: u64, width: u32, height: u32) -> Result<RainOptions> {
        let (options, natural_scale) = match self {
            Self::Fixed(options) => (options.clone(), 1.0),
            Self::Preset(options) => {
                let scale = (width as f32 * height as f32 / PRESET_AREA).sqrt().max(FINEST);
                // From 229 megapixels on, streaks would be thicker than they may be.
                (options.clone(), scale.min(options.largest_scale()))
            }
            Self::Varied(range) => (range.sample(&mut Pcg64Mcg::seed_from_u64(seed))?, 1.0),
        };
        let mut options = options.scaled(arguments.scale.unwrap_or(natural_scale));
        for (option, argument) in [
            (&mut options.angle, arguments.angle),
            (&mut options.veil, arguments.veil),
            (&mut options.noise, arguments.noise),
        ] {
            *option = argument.unwrap_or(*option);
        }
        options.jpeg = arguments.jpeg.or(options.jpeg);
        options.check()?;
        Ok(options)
    }
}

/// The same rain at the wanted PSNR, if one is wanted.
pub(crate) fn fit(options: RainOptions, picture: &RgbImage, seed: u64, arguments: &Arguments) -> Result<RainOptions> {
    let Some(decibels) = arguments.psnr else {
        return Ok(options);
    };
    let frames = u64::from(arguments.frame_count());
    let step = frames.div_ceil(SOUNDINGS);
    let soundings: Vec<u64> = (0..frames).step_by(step as usize).collect();
    Ok(options.with_psnr(picture, seed, &soundings, decibels)?)
}

/// The seed of one picture, which does not depend on the others: FNV-1a over the name, mixed with the common seed.
pub(crate) fn seed_of(name: &Path, seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The same on every system, whatever separates folders there.
    let parts = name.components().map(|part| part.as_os_str().as_encoded_bytes());
    parts
        .flat_map(|part| part.iter().chain(b"/"))
        .fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn read_options(path: &Path) -> Result<RainOptions> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.shown()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no rain options", path.shown()))
}
