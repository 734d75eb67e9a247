//! Loads, derains and saves pictures: the next one is loaded and the last one saved while the network computes.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use derain::data::paths::Shown;
use derain::data::{self, Picture};
use derain::{DerainedPicture, Derainer};
use image::{DynamicImage, GrayImage, ImageFormat};

use crate::arguments::{Arguments, AttentionStyle};
use crate::plan::{Task, folders, plan};
use crate::progress::Progress;
use crate::report::{Entry, PathText, Report};
use crate::support::{describe, files, pages};

/// Pictures in memory beside what the network takes, at most: the one in work and its result, one that is loaded ahead,
/// and one that is saved.
const IN_FLIGHT: usize = 4;

/// A task and what has come of it so far; nothing if its outputs exist already.
type Step<T> = (Task, Result<Option<T>>);

/// A picture to do.
struct Loaded {
    picture: Picture,
    /// That of the output.
    format: ImageFormat,
}

/// A picture that is done.
struct Clean {
    picture: Picture,
    format: ImageFormat,
    attention: Option<GrayImage>,
    /// Inference alone.
    seconds: f64,
}

/// Does what the arguments ask for. What fails once work has begun is in the report; an error means that nothing was
/// written, or a fault of ours.
pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    // What may not be done is found by all tasks.
    let tasks: Vec<Task> = arguments.shard.of(plan(arguments)?).collect();
    if tasks.iter().any(|task| !is_done(task, arguments)) {
        files::check_writable(folders(&tasks, arguments))?;
    }
    let derainer = arguments.engine.derainer()?;
    ensure!(arguments.attention.is_none() || derainer.has_attention(), "{}", no_attention(&derainer));
    files::remove_orphans(tasks.iter().flat_map(Task::targets).chain(&arguments.json).map(PathBuf::as_path));
    let progress = Progress::new(tasks.len());
    let images = side_by_side(&derainer, tasks, arguments, &progress)?;
    let (network, weights_sha256) = (derainer.network().to_string(), derainer.weights_sha256().to_owned());
    Ok(Report { network, weights_sha256, images })
}

fn no_attention(derainer: &Derainer) -> String {
    format!("{} has no attention to show", derainer.network())
}

/// Loading and saving each have a thread; nothing waits between them and the network, so that few pictures are in
/// memory at once. All tasks go through all three, in order, also those that fail at the first.
fn side_by_side(
    derainer: &Derainer,
    tasks: Vec<Task>,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<Vec<Entry>> {
    let in_flight = IN_FLIGHT.min(tasks.len() + 1);
    let (loaded, rainy) = sync_channel(0);
    let (clean, derained) = sync_channel(0);
    thread::scope(|scope| {
        let loading = scope.spawn(move || load_all(tasks, arguments, &loaded));
        let saving = scope.spawn(move || save_all(&derained, arguments, progress));
        derain_all(derainer, in_flight, rainy, clean, arguments, progress);
        let panicked = || anyhow!("a thread panicked");
        loading.join().map_err(|_| panicked())?;
        saving.join().map_err(|_| panicked())
    })
}

/// A receiver that has gone has panicked, which is said where it is waited for.
fn load_all(tasks: Vec<Task>, arguments: &Arguments, loaded: &SyncSender<Step<Loaded>>) {
    for task in tasks {
        let picture = load(&task, arguments);
        if loaded.send((task, picture)).is_err() {
            break;
        }
    }
}

fn load(task: &Task, arguments: &Arguments) -> Result<Option<Loaded>> {
    if let Some(refusal) = &task.refusal {
        bail!("{refusal}");
    }
    if is_done(task, arguments) {
        return Ok(None);
    }
    let picture = data::load_picture(&task.input)?;
    pages::warn_of_others(&task.input, &picture);
    let format = data::output_format(&task.output)?;
    data::check_format(format, picture.image.color())?;
    Ok(Some(Loaded { picture, format }))
}

/// Outputs are renamed into place when whole, so one that exists is whole.
fn is_done(task: &Task, arguments: &Arguments) -> bool {
    arguments.resume && task.targets().all(|target| target.is_file())
}

/// Ends when either of the others has: this holds the ends of the queues between them.
fn derain_all(
    derainer: &Derainer,
    in_flight: usize,
    rainy: Receiver<Step<Loaded>>,
    clean: SyncSender<Step<Clean>>,
    arguments: &Arguments,
    progress: &Progress,
) {
    for (task, loaded) in rainy {
        progress.begin(&task.input);
        let infer = |loaded| infer(derainer, in_flight, &task, loaded, arguments, progress);
        let picture = loaded.and_then(|loaded| loaded.map(infer).transpose());
        if clean.send((task, picture)).is_err() {
            break;
        }
    }
}

fn infer(
    derainer: &Derainer,
    in_flight: usize,
    task: &Task,
    Loaded { picture, format }: Loaded,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<Clean> {
    // What was free at the start must hold the pictures as well. Those before and behind are taken to be as large as
    // this one.
    let left = derainer.max_memory().filter(|_| arguments.engine.max_memory.is_none());
    let left = left.map(|free| free.saturating_sub((in_flight * picture.image.as_bytes().len()) as u64));
    let limited = left.map(|left| derainer.clone().with_max_memory(Some(left)));
    let derainer = limited.as_ref().unwrap_or(derainer);

    let begun = Instant::now();
    let DerainedPicture { image, attention, bands, .. } =
        derainer.derain_dynamic_with_progress(&picture.image, &|share| progress.within(share))?;
    let seconds = begun.elapsed().as_secs_f64();
    if bands > 1 {
        tracing::warn!("{}: done in {bands} bands, for want of memory on the GPU", task.input.shown());
    }
    let attention = match task.attention {
        Some(_) => Some(attention.with_context(|| no_attention(derainer))?),
        None => None,
    };
    Ok(Clean { picture: picture.with_image(image), format, attention, seconds })
}

/// Saves what there is to save, and says how each task went.
fn save_all(derained: &Receiver<Step<Clean>>, arguments: &Arguments, progress: &Progress) -> Vec<Entry> {
    let entry = |(task, clean): Step<Clean>| {
        let save = |clean| save(&task, clean, arguments);
        let outcome = clean.and_then(|clean| clean.map(save).transpose());
        finish(task, outcome, progress)
    };
    derained.iter().map(entry).collect()
}

/// Gives back the seconds of inference.
fn save(task: &Task, clean: Clean, arguments: &Arguments) -> Result<f64> {
    let Clean { picture, format, attention, seconds } = clean;
    // Both are encoded before either is written.
    let clean = data::encode_picture(&picture, format)?;
    let attention = match task.attention.as_ref().zip(attention) {
        Some((path, map)) => {
            let picture = attention_picture(map, arguments.attention_style);
            Some((path, data::encode_picture(&picture, data::output_format(path)?)?))
        }
        None => None,
    };
    if let Some((path, bytes)) = attention {
        files::write(path, &bytes)?;
    }
    files::write(&task.output, &clean)?;
    Ok(seconds)
}

fn finish(task: Task, outcome: Result<Option<f64>>, progress: &Progress) -> Entry {
    let (mut seconds, mut error, mut skipped) = (None, None, false);
    match outcome {
        Ok(Some(taken)) => {
            progress.done(&task.input, taken);
            seconds = Some(taken);
        }
        Ok(None) => {
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

fn attention_picture(map: GrayImage, style: AttentionStyle) -> Picture {
    let image: DynamicImage = match style {
        AttentionStyle::Grey => map.into(),
        AttentionStyle::Heat => derain::models::heat_map(&map).into(),
    };
    image.into()
}
