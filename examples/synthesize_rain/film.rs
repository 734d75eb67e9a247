//! One photograph's rain, frame by frame; a single picture is frame 0.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result};
use derain::data::paths::Shown;
use derain::data::synthesis::{Backdrop, CameraShake, RainScene, RainyPicture, psnr};
use derain::data::{Y4mWriter, write_durably_with};
use image::RgbImage;
use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::arguments::Arguments;
use crate::output::{Output, save};
use crate::rain::{Kind, fit};
use crate::report::{Decibels, Rain};
use crate::support::files;

pub(crate) struct Film<'a> {
    arguments: &'a Arguments,
    seed: u64,
    photograph: RgbImage,
    shake: Option<CameraShake>,
    scene: RainScene,
    /// What frame 0 sees.
    clean: RgbImage,
    still: Backdrop,
}

/// What the report says about a frame.
struct Measured {
    psnr: f64,
    marked: f64,
}

impl<'a> Film<'a> {
    pub(crate) fn new(photograph: RgbImage, kind: &Kind, seed: u64, arguments: &'a Arguments) -> Result<Self> {
        let steps = arguments.shake_steps.into();
        let shake = arguments.shake.map(|amplitude| CameraShake { amplitude, steps, seed });
        let clean = see(&photograph, shake.as_ref(), 0)?;
        let (width, height) = clean.dimensions();
        let options = kind.options(arguments, seed, width, height)?;
        let options = fit(options, &clean, seed, arguments)?;
        let scene = RainScene::new(&options, width, height, seed)?;
        let still = Backdrop::new(&clean, &options)?;
        Ok(Self { arguments, seed, photograph, shake, scene, clean, still })
    }

    /// Writes everything and says what it is.
    pub(crate) fn write(&self, output: &Output, bar: &ProgressBar) -> Result<Rain> {
        let count = self.arguments.frame_count();
        if self.arguments.frames.is_some() {
            for kind in if self.arguments.y4m { &["mask"][..] } else { &["rain", "mask"] } {
                output.check_frames(kind, count)?;
            }
        }
        // The truth first, so that no rain is without it.
        save(&output.file("clean", "png"), self.clean.clone())?;
        if self.still.background() != &self.clean {
            save(&output.file("veiled", "png"), self.still.background().clone())?;
        }
        let frames = match self.arguments.y4m {
            true => self.write_video(output, count, bar)?,
            false => self.write_pictures(output, 0..count, bar)?,
        };
        let mean = |value: fn(&Measured) -> f64| frames.iter().map(value).sum::<f64>() / f64::from(count);
        let offsets = self.shake.map(|shake| (0..count).map(|frame| shake.offset(frame.into())).collect());
        let (width, height) = self.clean.dimensions();
        Ok(Rain {
            width,
            height,
            frames: count,
            seed: self.seed,
            psnr: Decibels(mean(|frame| frame.psnr)),
            rainy_share: mean(|frame| frame.marked),
            offsets: offsets.unwrap_or_default(),
            options: self.scene.options().clone(),
        })
    }

    /// Masks as pictures, rain as one file, which wants its frames in order: as many at a time as there are threads
    /// bound memory.
    fn write_video(&self, output: &Output, count: u32, bar: &ProgressBar) -> Result<Vec<Measured>> {
        let path = output.file("rain", "y4m");
        let (width, height) = self.clean.dimensions();
        // Thousandths of a frame per second.
        let rate = [(1000.0 / self.scene.options().frame_time).round().max(1.0) as u32, 1000];
        files::make_folder_of(&path)?;
        write_durably_with(&path, |file| {
            let failed = || format!("cannot write {}", path.shown());
            let mut video = Y4mWriter::with_frame_rate(file, width, height, rate).with_context(failed)?;
            let mut measured = Vec::new();
            let batch = rayon::current_num_threads() as u32;
            for first in (0..count).step_by(batch as usize) {
                let frames = first..count.min(first + batch);
                let made: Vec<(RgbImage, Measured)> =
                    frames.into_par_iter().map(|frame| self.write_mask(output, frame, bar)).collect::<Result<_>>()?;
                for (rainy, frame) in made {
                    video.write(&rainy).with_context(failed)?;
                    measured.push(frame);
                }
            }
            Ok(measured)
        })
    }

    fn write_pictures(&self, output: &Output, frames: Range<u32>, bar: &ProgressBar) -> Result<Vec<Measured>> {
        let write = |frame| {
            let (rainy, measured) = self.write_mask(output, frame, bar)?;
            save(&self.path(output, "rain", frame), rainy)?;
            Ok(measured)
        };
        frames.into_par_iter().map(write).collect()
    }

    /// Makes a frame and writes its mask.
    fn write_mask(&self, output: &Output, frame: u32, bar: &ProgressBar) -> Result<(RgbImage, Measured)> {
        let layer = self.scene.frame(frame.into());
        let (seen, made) = match self.shake {
            Some(_) => {
                let seen = see(&self.photograph, self.shake.as_ref(), frame)?;
                let made = Backdrop::new(&seen, self.scene.options())?.apply(&layer)?;
                (seen, made)
            }
            None => (self.clean.clone(), self.still.apply(&layer)?),
        };
        let RainyPicture { rainy, mask, .. } = made;
        let marked = mask.iter().filter(|&&value| value > 0).count() as f64 / mask.len() as f64;
        let measured = Measured { psnr: psnr(&rainy, &seen)?, marked };
        save(&self.path(output, "mask", frame), mask)?;
        bar.inc(1);
        Ok((rainy, measured))
    }

    fn path(&self, output: &Output, kind: &str, frame: u32) -> PathBuf {
        match self.arguments.frames {
            Some(_) => output.frame(kind, frame),
            None => output.file(kind, "png"),
        }
    }
}

fn see(photograph: &RgbImage, shake: Option<&CameraShake>, frame: u32) -> Result<RgbImage> {
    match shake {
        Some(shake) => shake.see(photograph, frame.into()).context("--shake"),
        None => Ok(photograph.clone()),
    }
}
