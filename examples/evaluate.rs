//! Scores a folder of pictures against a folder of truths.
//!
//! ```text
//! cargo run --release --example evaluate -- --reference clean --test derained --protocol y --json scores.json
//! ```
//!
//! Files pair by relative path without extension, else by the only number in the name; a picture without a partner, or with more
//! than one, is an error. The report is `{"protocol", "mean": {"psnr", "ssim"}, "images": [{"name", "psnr", "ssim"}]}`; infinity (a
//! picture that equals its truth) is the string "inf", also in the mean.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Parser;
use derain::data::{find_pictures, load_picture, write_durably};
use derain::metrics::pairing::{Pair, pair};
use derain::metrics::{Protocol, Scores};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Serialize, Serializer};

/// PSNR and SSIM of a folder of pictures against a folder of truths.
#[derive(Parser)]
struct Arguments {
    /// Folder of the true pictures.
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// Folder of the pictures to score.
    #[arg(long, value_name = "DIR")]
    test: PathBuf,
    /// What is compared: rgb (all channels), y (8-bit luma) or spanet (as its release scores).
    #[arg(long, default_value_t)]
    protocol: Protocol,
    /// Write the scores to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    protocol: &'static str,
    mean: Score,
    images: Vec<Image>,
}

#[derive(Serialize)]
struct Image {
    name: String,
    #[serde(flatten)]
    score: Score,
}

#[derive(Serialize)]
struct Score {
    #[serde(serialize_with = "number_or_inf")]
    psnr: f64,
    ssim: f64,
}

/// JSON has no infinity.
fn number_or_inf<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_infinite() { serializer.serialize_str("inf") } else { serializer.serialize_f64(*value) }
}

impl From<Scores> for Score {
    fn from(Scores { psnr, ssim, .. }: Scores) -> Self {
        Self { psnr, ssim }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pairs = pair(&pictures(&arguments.reference)?, &pictures(&arguments.test)?)?;
    let report = score(&arguments, &pairs)?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report)?;
        write_durably(path, &json).with_context(|| format!("{} was not written", path.display()))?;
    }
    match print(&report, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn pictures(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found = find_pictures(folder).with_context(|| format!("{} was not searched", folder.display()))?;
    if found.is_empty() {
        bail!("no pictures in {}", folder.display());
    }
    Ok(found)
}

/// Scores every pair; one that cannot be scored does not keep the others from being tried, so that all faults are shown at once.
fn score(arguments: &Arguments, pairs: &[Pair]) -> anyhow::Result<Report> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta} left {msg}")?;
    let bar = ProgressBar::new(pairs.len() as u64).with_style(style);
    let mut scores = Vec::with_capacity(pairs.len());
    let mut images = Vec::with_capacity(pairs.len());
    let mut failures = Vec::new();
    for pair in pairs {
        let name = pair.test.display().to_string();
        bar.set_message(name.clone());
        let score = || -> anyhow::Result<Scores> {
            let reference = load_picture(arguments.reference.join(&pair.reference))?;
            let test = load_picture(arguments.test.join(&pair.test))?;
            Ok(arguments.protocol.score(&reference.image, &test.image)?)
        };
        match score() {
            Ok(score) => {
                scores.push(score);
                images.push(Image { name, score: score.into() });
            }
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !failures.is_empty() {
        bail!("{} of {} pictures were not scored:\n{}", failures.len(), pairs.len(), failures.join("\n"));
    }
    let mean = Scores::mean(&scores).context("there is nothing to score")?;
    Ok(Report { protocol: arguments.protocol.name(), mean: mean.into(), images })
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let width = report.images.iter().map(|image| image.name.chars().count()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  {:>8}  {:>7}   protocol {}", "", "PSNR dB", "SSIM", report.protocol)?;
    let mean = ("mean", &report.mean);
    let rows = report.images.iter().map(|image| (image.name.as_str(), &image.score)).chain([mean]);
    for (name, Score { psnr, ssim }) in rows {
        writeln!(out, "{name:width$}  {psnr:8.4}  {ssim:7.5}")?;
    }
    Ok(())
}
