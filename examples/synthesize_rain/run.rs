//! Rains on one photograph after the other.

use std::io::{self, Write};

use anyhow::{Context, Result, ensure};
use derain::data;
use derain::data::synthesis::{Backdrop, CameraShake, RainScene, RainyPicture, psnr};
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::arguments::Arguments;
use crate::output::{Output, save};
use crate::plan::{Task, plan};
use crate::rain::{Kind, fit, seed_of};
use crate::report::{Decibels, Entry, Rain, Report};
use crate::y4m::Y4m;

/// Whether everything asked for was done.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let kind = Kind::new(arguments)?;
    let tasks = plan(arguments)?;
    let frames = tasks.len() as u64 * u64::from(frames(arguments));
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new(frames);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut pictures = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        bar.set_message(task.name.display().to_string());
        let outcome = rain_on(task, &kind, arguments, &bar);
        let (rain, error) = match outcome {
            Ok(rain) => {
                let (name, of) = (task.name.display(), tasks.len());
                let shown = format!("[{}/{of}] {name}: {:.2} dB", index + 1, rain.psnr.0);
                bar.suspend(|| tracing::info!("{shown}"));
                (Some(rain), None)
            }
            Err(reason) => {
                let reason = format!("{reason:#}");
                let _ = bar.suspend(|| writeln!(io::stderr(), "error: {}: {reason}", task.input.display()));
                (None, Some(reason))
            }
        };
        bar.set_position((index as u64 + 1) * (frames / tasks.len() as u64));
        let (input, name) = (task.input.to_string_lossy().into_owned(), task.name.to_string_lossy().into_owned());
        pictures.push(Entry { input, name, rain, error });
    }
    bar.finish_and_clear();
    let failed = pictures.iter().filter(|entry| entry.error.is_some()).count();
    if let Some(path) = &arguments.json {
        Report { seed: arguments.seed, pictures }.write(path)?;
    }
    if failed > 0 {
        writeln!(io::stderr(), "{failed} of {} failed", tasks.len())?;
    }
    Ok(failed == 0)
}

fn frames(arguments: &Arguments) -> u32 {
    arguments.frames.map_or(1, std::num::NonZeroU32::get)
}

fn rain_on(task: &Task, kind: &Kind, arguments: &Arguments, bar: &ProgressBar) -> Result<Rain> {
    let output = Output { folder: &arguments.output, name: &task.name };
    let photograph = data::load_picture(&task.input)?.image.into_rgb8();
    let seed = seed_of(&task.name, arguments.seed);
    let steps = arguments.shake_steps.into();
    let shake = arguments.shake.map(|amplitude| CameraShake { amplitude, steps, seed });
    let see = |frame: u32| match &shake {
        Some(shake) => shake.see(&photograph, frame.into()).context("--shake"),
        None => Ok(photograph.clone()),
    };
    let clean = see(0)?;
    let (width, height) = clean.dimensions();
    let options = kind.options(arguments, seed, width, height)?;
    let options = fit(options, &clean, seed, arguments)?;
    let film = Film {
        scene: RainScene::new(&options, width, height, seed)?,
        still: Backdrop::new(&clean, &options)?,
        is_still: shake.is_none(),
    };

    // The truth first, so that no rain is without it.
    let count = frames(arguments);
    let mut files = Vec::new();
    if arguments.frames.is_some() {
        for folder in if arguments.y4m { &["mask"][..] } else { &["rain", "mask"] } {
            output.check_frames(folder, count)?;
        }
    }
    save(&output.file("clean", "png"), clean.clone())?;
    if film.still.background() != &clean {
        save(&output.file("veiled", "png"), film.still.background().clone())?;
    }
    let path = |folder: &str, frame| match arguments.frames {
        Some(_) => output.frame(folder, frame),
        None => output.file(folder, "png"),
    };
    let video = output.file("rain", "y4m");
    let mut video = match arguments.y4m {
        true => Some(Y4m::create(&video, width, height, options.frame_time)?),
        false => None,
    };
    // As many at a time as there are threads, which bounds memory; a film file wants them in order.
    let batch = rayon::current_num_threads() as u32;
    for first in (0..count).step_by(batch as usize) {
        let made: Vec<Result<(Option<RgbImage>, Measured)>> = (first..count.min(first + batch))
            .into_par_iter()
            .map(|frame| {
                let seen = see(frame)?;
                let RainyPicture { rainy, mask, .. } = film.frame(&seen, frame)?;
                let marked = mask.iter().filter(|&&value| value > 0).count() as f64 / mask.len() as f64;
                let measured = Measured { psnr: psnr(&rainy, &seen)?, marked };
                save(&path("mask", frame), mask)?;
                let kept = match arguments.y4m {
                    true => Some(rainy),
                    false => {
                        save(&path("rain", frame), rainy)?;
                        None
                    }
                };
                bar.inc(1);
                Ok((kept, measured))
            })
            .collect();
        for result in made {
            let (rainy, measured) = result?;
            if let (Some(video), Some(rainy)) = (&mut video, rainy) {
                video.push(&rainy)?;
            }
            files.push(measured);
        }
    }
    if let Some(video) = video {
        video.finish()?;
    }
    ensure!(files.len() == count as usize, "{} of {count} frames were made", files.len());
    let mean = |value: fn(&Measured) -> f64| files.iter().map(value).sum::<f64>() / f64::from(count);
    Ok(Rain {
        width,
        height,
        frames: count,
        seed,
        psnr: Decibels(mean(|measured| measured.psnr)),
        rainy_share: mean(|measured| measured.marked),
        offsets: shake.map_or(Vec::new(), |shake| (0..count).map(|frame| shake.offset(frame.into())).collect()),
        options,
    })
}

/// What the report says about a frame.
struct Measured {
    psnr: f64,
    marked: f64,
}

struct Film {
    scene: RainScene,
    still: Backdrop,
    is_still: bool,
}

impl Film {
    fn frame(&self, seen: &RgbImage, frame: u32) -> Result<RainyPicture> {
        let layer = self.scene.frame(frame.into());
        Ok(match self.is_still {
            true => self.still.apply(&layer)?,
            false => Backdrop::new(seen, self.scene.options())?.apply(&layer)?,
        })
    }
}
