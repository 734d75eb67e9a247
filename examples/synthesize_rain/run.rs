//! Rains on the photographs: on single pictures a few at a time, on films one after the other.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use derain::data;
use derain::data::paths::Shown;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::arguments::Arguments;
use crate::film::Film;
use crate::output::{KINDS, Output};
use crate::plan::{Task, plan};
use crate::rain::{Kind, seed_of};
use crate::report::{Entry, Rain, Report};
use crate::support::{about, describe, files, pages};

/// Single pictures that are made at once, at most: most of the work on one is for one core.
const AT_ONCE: usize = 4;
/// Their pixels together, unless one has more: each takes some 25 bytes.
const PIXELS_AT_ONCE: u64 = 24_000_000;

/// Whether everything asked for was done.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let kind = Kind::new(arguments)?;
    // What is wrong with options that all pictures share is said once.
    if !arguments.vary {
        kind.options(arguments, arguments.seed, 640, 480)?;
    }
    // What may not be done is found by all tasks.
    let tasks: Vec<Task> = arguments.shard.of(plan(arguments)?).collect();
    clean_up(arguments, &tasks);
    let frames = u64::from(arguments.frame_count());
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new(tasks.len() as u64 * frames);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (mut pictures, mut left) = (Vec::new(), &tasks[..]);
    while !left.is_empty() {
        // A film keeps all cores busy by its frames.
        let (some, later) = left.split_at(if arguments.frames.is_some() { 1 } else { at_once(left) });
        left = later;
        let done: Vec<Result<Rain>> = some.par_iter().map(|task| rain_on(task, &kind, arguments, &bar)).collect();
        for (task, done) in some.iter().zip(done) {
            let (rain, error) = match done {
                Ok(rain) => {
                    bar.suspend(|| {
                        tracing::info!(
                            "[{}/{}] {}: {:.2} dB against the clean picture",
                            pictures.len() + 1,
                            tasks.len(),
                            task.name.shown(),
                            rain.psnr.0
                        )
                    });
                    (Some(rain), None)
                }
                Err(reason) => {
                    let reason = describe(reason.as_ref());
                    let _ = bar.suspend(|| writeln!(io::stderr(), "error: {}", about(&task.input, &reason)));
                    (None, Some(reason))
                }
            };
            let (input, name) = (task.input.to_string_lossy().into_owned(), task.name.to_string_lossy().into_owned());
            pictures.push(Entry { input, name, rain, error });
        }
        // What failed leaves frames out.
        bar.set_position(pictures.len() as u64 * frames);
    }
    bar.finish_and_clear();
    let failed = pictures.iter().filter(|entry| entry.error.is_some()).count();
    if let Some(path) = &arguments.json {
        files::write(path, &files::to_json(&Report { seed: arguments.seed, pictures })?)?;
    }
    if failed > 0 {
        let _ = writeln!(io::stderr(), "{failed} of {} failed", tasks.len());
    }
    Ok(failed == 0)
}

/// How many of the next pictures are made at once.
fn at_once(tasks: &[Task]) -> usize {
    let mut pixels = 0;
    let fits = |task: &&Task| {
        let size = data::picture_size(&task.input);
        pixels += size.map_or(PIXELS_AT_ONCE, |(width, height)| u64::from(width) * u64::from(height));
        pixels <= PIXELS_AT_ONCE
    };
    tasks.iter().take(AT_ONCE).take_while(fits).count().max(1)
}

/// Removes what a killed run left beside the results.
fn clean_up(arguments: &Arguments, tasks: &[Task]) {
    let results = tasks.iter().flat_map(|task| KINDS.map(|kind| arguments.output.join(kind).join(&task.name)));
    let results: Vec<PathBuf> = results.chain(arguments.json.clone()).collect();
    files::remove_orphans(results.iter().map(PathBuf::as_path));
}

fn rain_on(task: &Task, kind: &Kind, arguments: &Arguments, bar: &ProgressBar) -> Result<Rain> {
    bar.set_message(task.name.shown().to_string());
    let photograph = data::load_picture(&task.input)?;
    pages::warn_of_others(&task.input, &photograph);
    let photograph = photograph.image.into_rgb8();
    let film = Film::new(photograph, kind, seed_of(&task.name, arguments.seed), arguments)?;
    film.write(&Output { folder: &arguments.output, name: &task.name }, bar)
}
