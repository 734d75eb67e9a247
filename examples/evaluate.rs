//! PSNR and SSIM of a folder of pictures against a folder of truths.
//!
//! ```text
//! cargo run --release --example evaluate -- --reference DIR --test DIR [--protocol rgb|y|spanet] [--json FILE]
//! ```
//!
//! Both folders are searched recursively. Pictures pair by their relative path without extension, else by the only
//! number in their names. What does not pair with exactly one picture is an error, and nothing is scored then.
//!
//! A table goes to standard output, and with `--json` a report to a file:
//!
//! ```json
//! {"protocol": "y", "mean": {"psnr": 29.32, "ssim": 0.9012}, "images": [{"name": "1.png", "psnr": 29.32, "ssim": 0.9012}]}
//! ```
//!
//! `name` is the test picture. Identical pictures have `"psnr": "inf"`, and so has then the mean. A pair that cannot be
//! scored is reported on standard error and the others are scored, but there is no mean and no report file without it.
//! The exit status is 0 only if everything was scored and written.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use derain::data;
use derain::data::paths::Shown;
use derain::metrics::pairing::{Pair, pair};
use derain::metrics::{Protocol, Scores};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

/// Scores a folder of pictures against a folder of truths by PSNR and SSIM.
#[derive(Parser)]
#[command(name = "evaluate")]
struct Arguments {
    /// Folder of truths (BMP, JPEG, PNG, PNM, TIFF, WebP).
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,

    /// Folder of pictures to score.
    #[arg(long, value_name = "DIR")]
    test: PathBuf,

    /// What is compared: `rgb` (all channels), `y` (luma) or `spanet` (as the SPANet release scores).
    #[arg(long, default_value_t, value_name = "rgb|y|spanet")]
    protocol: Protocol,

    /// Writes the scores to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    protocol: String,
    mean: Figures,
    images: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Figures {
    #[serde(serialize_with = "number_or_inf")]
    psnr: f64,
    ssim: f64,
}

impl From<Scores> for Figures {
    fn from(Scores { psnr, ssim }: Scores) -> Self {
        Self { psnr, ssim }
    }
}

/// JSON has no number for infinity.
fn number_or_inf<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value.is_infinite() {
        true => serializer.serialize_str("inf"),
        false => serializer.serialize_f64(*value),
    }
}

#[path = "support/mod.rs"]
mod support;

use support::{describe, files};

fn main() -> ExitCode {
    support::exit_code(evaluate(&Arguments::parse()))
}

/// Whether everything was scored.
fn evaluate(arguments: &Arguments) -> Result<bool> {
    let pairs = find_pairs(arguments)?;
    let results = score_all(&pairs, arguments);
    let names: Vec<String> = pairs.iter().map(|pair| name(&pair.test)).collect();
    let scored: Option<Vec<Scores>> = results.iter().map(|result| result.as_ref().ok().copied()).collect();
    let mean = scored.as_deref().and_then(Scores::mean);

    // Before the table, whose reader may go away; but a report that fails does not take the table with it.
    let written = match (&arguments.json, scored, mean) {
        (Some(path), Some(scored), Some(mean)) => {
            let entry = |(name, scores): (&String, Scores)| Entry { name: name.clone(), figures: scores.into() };
            let images = names.iter().zip(scored).map(entry).collect();
            files::remove_orphans([path.as_path()]);
            let report = Report { protocol: arguments.protocol.to_string(), mean: mean.into(), images };
            files::to_json(&report).and_then(|json| files::write(path, &json))
        }
        _ => Ok(()),
    };
    let rows: Vec<(&str, Scores)> =
        names.iter().zip(&results).filter_map(|(name, result)| Some((name.as_str(), *result.as_ref().ok()?))).collect();
    match print_table(&rows, mean, arguments.protocol, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("cannot print the scores");
        }
        _ => {}
    }
    written?;
    let failures = results.len() - rows.len();
    if failures > 0 {
        let report = if arguments.json.is_some() { " and no report file" } else { "" };
        let _ = writeln!(
            io::stderr(),
            "{failures} of {} pairs were not scored, so there is no mean{report}",
            results.len()
        );
    }
    Ok(failures == 0)
}

/// The pairs in both folders, of which there is at least one.
fn find_pairs(arguments: &Arguments) -> Result<Vec<Pair>> {
    if let Some(json) = &arguments.json {
        let is_picture = data::is_picture_name(json);
        ensure!(!is_picture, "{} has the name of a picture; give another to --json", json.shown());
    }
    for path in [&arguments.reference, &arguments.test] {
        ensure!(!path.is_file(), "{} is a file: a folder is scored against a folder", path.shown());
    }
    let references = data::find_pictures(&arguments.reference)?;
    let tests = data::find_pictures(&arguments.test)?;
    let (reference, test) = (arguments.reference.shown(), arguments.test.shown());
    ensure!(!(references.is_empty() && tests.is_empty()), "there are no pictures in {reference} and {test}");
    pair(&references, &tests).with_context(|| format!("{reference} (reference) and {test} (test)"))
}

/// Scores in the order of the pairs. Failures are said at once, too.
fn score_all(pairs: &[Pair], arguments: &Arguments) -> Vec<Result<Scores>> {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new(pairs.len() as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.tick();
    let score = |pair: &Pair| {
        let result = score_pair(pair, arguments);
        if let Err(error) = &result {
            let (test, reason) = (pair.test.shown(), describe(error.as_ref()));
            let _ = bar.suspend(|| writeln!(io::stderr(), "error: {test}: {reason}"));
        }
        bar.inc(1);
        result
    };
    // One pair a thread and no more: a thread that waits for its rows would load yet another.
    let results =
        pairs.chunks(rayon::current_num_threads()).flat_map(|chunk| chunk.par_iter().map(score).collect::<Vec<_>>());
    let results = results.collect();
    bar.finish_and_clear();
    results
}

fn score_pair(pair: &Pair, arguments: &Arguments) -> Result<Scores> {
    let reference = data::load_picture(arguments.reference.join(&pair.reference))?;
    let test = data::load_picture(arguments.test.join(&pair.test))?;
    let scores = arguments.protocol.score(&reference.image, &test.image);
    scores.with_context(|| format!("cannot be scored against {}", pair.reference.shown()))
}

/// The path with `/` between its parts on every system.
fn name(path: &Path) -> String {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn print_table(
    rows: &[(&str, Scores)],
    mean: Option<Scores>,
    protocol: Protocol,
    out: &mut impl Write,
) -> io::Result<()> {
    let heading = format!("protocol {protocol}");
    let names = rows.iter().map(|(name, _)| *name);
    let width = names.chain([heading.as_str()]).map(|name| name.chars().count()).max().unwrap_or_default();
    writeln!(out, "{heading:width$}  PSNR [dB]    SSIM")?;
    for (name, Scores { psnr, ssim }) in rows.iter().copied().chain(mean.map(|mean| ("mean", mean))) {
        writeln!(out, "{name:width$}  {psnr:9.4}  {ssim:.4}")?;
    }
    out.flush()
}
