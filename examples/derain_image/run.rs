//! Loads, derains and saves one picture after the other.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use derain::data::{self, Picture};
use derain::{DerainedPicture, Derainer};
use image::{DynamicImage, GrayImage};

use crate::arguments::{Arguments, AttentionStyle};
use crate::plan::{Task, plan};
use crate::progress::Progress;
use crate::report::{Entry, PathText, Report};
use crate::support::{describe, files};

enum Outcome {
    Done { seconds: f64 },
    Skipped,
}

/// Does what the arguments ask for. An error means that nothing was written; what fails later is in the report.
pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    // What may not be done is found by all tasks.
    let tasks: Vec<Task> = arguments.shard.of(plan(arguments)?).collect();
    let derainer = arguments.engine.derainer()?;
    ensure!(arguments.attention.is_none() || derainer.has_attention(), "{}", no_attention(&derainer));
    files::remove_orphans(tasks.iter().flat_map(Task::targets).chain(&arguments.json).map(PathBuf::as_path));
    let progress = Progress::new(tasks.len());
    let images = tasks.into_iter().map(|task| finish(&derainer, task, arguments, &progress)).collect();
    let (network, weights_sha256) = (derainer.network().to_string(), derainer.weights_sha256().to_owned());
    Ok(Report { network, weights_sha256, images })
}

fn no_attention(derainer: &Derainer) -> String {
    format!("{} has no attention to show", derainer.network())
}

/// Does a task and says how it went.
fn finish(derainer: &Derainer, task: Task, arguments: &Arguments, progress: &Progress) -> Entry {
    progress.begin(&task.input);
    let outcome = process(derainer, &task, arguments, progress);
    let (mut seconds, mut error, mut skipped) = (None, None, false);
    match outcome {
        Ok(Outcome::Done { seconds: taken }) => {
            progress.done(&task.input, taken);
            seconds = Some(taken);
        }
        Ok(Outcome::Skipped) => {
            progress.skipped(&task.input);
            skipped = true;
        }
        Err(reason) => {
            let reason = describe(reason.as_ref());
            progress.failed(&task.input, &reason);
            error = Some(reason);
        }
    }
    Entry { input: PathText(task.input), output: PathText(task.output), seconds, error, skipped }
}

fn process(derainer: &Derainer, task: &Task, arguments: &Arguments, progress: &Progress) -> Result<Outcome> {
    if let Some(refusal) = &task.refusal {
        bail!("{refusal}");
    }
    // Outputs are renamed into place when whole, so one that exists is whole.
    if arguments.resume && task.targets().all(|target| target.is_file()) {
        return Ok(Outcome::Skipped);
    }
    let picture = data::load_picture(&task.input)?;
    let format = data::output_format(&task.output)?;
    data::check_format(format, picture.image.color())?;

    let begun = Instant::now();
    let DerainedPicture { image, attention, bands, .. } =
        derainer.derain_dynamic_with_progress(&picture.image, &|share| progress.within(share))?;
    let seconds = begun.elapsed().as_secs_f64();
    if bands > 1 {
        tracing::warn!("{}: done in {bands} bands, for want of memory on the GPU", task.input.display());
    }

    // Both are encoded before either is written.
    let clean = data::encode_picture(&picture.with_image(image), format)?;
    let attention = match &task.attention {
        Some(path) => {
            let map = attention.with_context(|| no_attention(derainer))?;
            let picture = attention_picture(map, arguments.attention_style);
            Some((path, data::encode_picture(&picture, data::output_format(path)?)?))
        }
        None => None,
    };
    if let Some((path, bytes)) = attention {
        files::write(path, &bytes)?;
    }
    files::write(&task.output, &clean)?;
    Ok(Outcome::Done { seconds })
}

fn attention_picture(map: GrayImage, style: AttentionStyle) -> Picture {
    let image: DynamicImage = match style {
        AttentionStyle::Grey => map.into(),
        AttentionStyle::Heat => derain::models::heat_map(&map).into(),
    };
    image.into()
}
