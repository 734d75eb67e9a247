//! From arguments to files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use derain::data::judge::{Density, Schedule};
use derain::data::paths::Shown;
use derain::data::{
    self, CleanImage, CleanOptions, CleanResult, FrameOptions, Insets, Picture, clean, open_frames, steady,
};
use image::{DynamicImage, RgbImage};

use crate::arguments::{Arguments, JudgeName};
use crate::judged::{self, Accepted};
use crate::plan;
use crate::progress::Progress;
use crate::report::{Ranges, Report};
use crate::support::counted;
use crate::support::files::{remove_orphans, to_json, write};

/// A clean image and what it took.
struct Made {
    clean: CleanResult,
    mode_image: Option<RgbImage>,
    density: Option<Density>,
    /// Borders that not all frames show.
    unseen: Insets,
    decoding: Duration,
    computing: Duration,
}

/// Whether there were as many frames as asked for. After an error, files that were there are as they were.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    plan::check(arguments)?;
    let mut options = arguments.choices.options();
    options.percentile = arguments.percentile;
    options.max_memory = arguments.max_memory;
    options.spool_folder = Some(plan::spool_folder(arguments)?);
    let made = match arguments.judge {
        JudgeName::None => unjudged(arguments, options)?,
        _ => {
            let begun = Instant::now();
            let Accepted { clean, density, unseen, decoding } = judged::make(arguments, &options)?;
            let computing = begun.elapsed().saturating_sub(decoding);
            Made { clean, mode_image: None, density: Some(density), unseen, decoding, computing }
        }
    };
    let frames = made.clean.frames;
    write_all(arguments, made)?;
    // A judge begins with the density's number and takes what there is.
    let wanted = if arguments.judge == JudgeName::None { arguments.wanted() } else { arguments.wanted_frames() };
    let wanted = wanted.filter(|&wanted| frames < wanted);
    if let Some(wanted) = wanted {
        // Not by the log, which a filter may silence.
        let input = arguments.input.shown();
        let _ = writeln!(
            io::stderr(),
            "error: {input} has only {frames} of the {wanted} frames asked for: rain may be left"
        );
    }
    Ok(wanted.is_none())
}

fn write_all(arguments: &Arguments, made: Made) -> Result<()> {
    let Made { clean: result, mode_image, density, unseen, decoding, computing } = made;
    let seconds = computing.as_secs_f64();
    // Everything is encoded before anything is written; the clean image comes last.
    let mut files: Vec<(&Path, Vec<u8>)> = Vec::new();
    if let Some(path) = &arguments.votes_plot {
        files.push((path, encode(path, clean::plot(&result))?));
    }
    if let (Some(path), Some(image)) = (&arguments.mode_image, mode_image) {
        files.push((path, encode(path, unseen.crop(&image))?));
    }
    if let Some(path) = &arguments.json {
        let report = Report {
            frames: result.frames,
            percentile: result.percentile,
            votes: &result.votes,
            mode_ranges: Ranges::of(&result),
            density,
            unseen,
            judge: arguments.judge,
            choices: arguments.choices,
            seconds,
            decoding_seconds: decoding.as_secs_f64(),
        };
        files.push((path, to_json(&report)?));
    }
    let (frames, percentile) = (result.frames, result.percentile);
    files.push((&arguments.output, encode(&arguments.output, unseen.crop(&result.image))?));
    remove_orphans(files.iter().map(|&(path, _)| path));
    for (path, bytes) in files {
        write(path, &bytes)?;
    }
    if unseen != Insets::default() {
        let Insets { left, top, right, bottom, .. } = unseen;
        tracing::warn!(
            "the camera moved: {left} columns at the left, {right} at the right, {top} rows at the top and {bottom} at the bottom \
             are not in all frames and were cut off"
        );
    }
    tracing::info!(
        "{}: percentile {percentile} of {}, decoded in {:.2} s, computed in {seconds:.2} s",
        arguments.output.shown(),
        counted(frames, "frame"),
        decoding.as_secs_f64(),
    );
    Ok(())
}

/// The clean image of all frames that are asked for.
fn unjudged(arguments: &Arguments, mut options: CleanOptions) -> Result<Made> {
    let frames = FrameOptions {
        start: usize::try_from(arguments.start).unwrap_or(usize::MAX),
        stride: usize::try_from(arguments.stride).unwrap_or(usize::MAX),
        length: arguments.wanted(),
    };
    let mut source = steady(open_frames(&arguments.input, &frames)?, &arguments.camera.as_library())?;
    options.expected_frames = source.expected();
    let mut clean = CleanImage::new(options);

    let progress = Progress::reading(source.expected());
    let (mut decoding, mut computing) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begun = Instant::now();
        let Some(frame) = source.next_frame()? else { break };
        decoding += begun.elapsed();
        let begun = Instant::now();
        clean.push_owned(frame)?;
        computing += begun.elapsed();
        progress.frame();
    }
    drop(progress);
    check_number(arguments, clean.frames())?;

    let begun = Instant::now();
    let progress = Progress::computing();
    let result = clean.result_with_progress(&|share| progress.share(share))?;
    drop(progress);
    computing += begun.elapsed();
    let mode_image = arguments.mode_image.as_ref().map(|_| clean.mode_image()).transpose()?;
    Ok(Made { clean: result, mode_image, density: arguments.density, unseen: source.unseen(), decoding, computing })
}

/// Fails if nobody asked for so few frames that the rain is among the most frequent values, and warns of numbers below
/// the paper's.
fn check_number(arguments: &Arguments, frames: usize) -> Result<()> {
    let fewest = Schedule::default().fewest;
    if frames < fewest && arguments.wanted_frames().is_none_or(|wanted| wanted > frames) {
        let video = arguments.input.shown().to_string();
        return Err(data::Error::TooFewFrames { video, frames, fewest }.into());
    }
    let sparse = Density::Sparse.frames();
    if frames < fewest {
        tracing::warn!("of fewer than {fewest} frames no value is the most frequent: the rain is in the picture");
    } else if arguments.wanted().is_none() && frames < sparse {
        tracing::warn!("{frames} are fewer than the {sparse} frames that sparse rain takes: rain may be left");
    }
    Ok(())
}

fn encode(path: &PathBuf, image: RgbImage) -> Result<Vec<u8>> {
    Ok(data::encode_picture(&Picture::from(DynamicImage::from(image)), data::output_format(path)?)?)
}
