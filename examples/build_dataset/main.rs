//! Builds a data set of rainy and clean patches from rain videos of still scenes.
//!
//! ```text
//! cargo run --release --example build_dataset -- -i DIR_OF_VIDEOS -o DIR
//! ```
//!
//! The clean image of each video comes from its frames; patches of frames and the same patches of the clean image are the pairs, on the
//! training or the test side by video. `--resume` goes on after a kill, to the same files as an unbroken run. A video that fails is
//! reported and the others are done. The exit status is 0 only if no video failed; one that was rejected has not failed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use derain::data;
use derain::data::dataset::{BuildReport, RecordedVerdict, Split, build_dataset};
use derain::data::judge::{AcceptAll, AutoJudge, Judge, TerminalJudge};
use indicatif::ProgressBar;
use tracing_subscriber::EnvFilter;

mod arguments;
mod progress;

use arguments::{Arguments, JudgeName};
use progress::Progress;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr).init();
    match build(&arguments).and_then(|report| Ok((summarize(&report, &mut io::stderr().lock())?, report))) {
        Ok(((), report)) if report.failed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(arguments: &Arguments) -> Result<BuildReport> {
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let review = arguments.review.as_deref().unwrap_or(temporary.path());
    let (mut judge, bar): (Box<dyn Judge>, _) = match arguments.judge {
        JudgeName::None => (Box::new(AcceptAll), ProgressBar::new(0)),
        JudgeName::Auto => (Box::new(AutoJudge::default()), ProgressBar::new(0)),
        JudgeName::Terminal => {
            (Box::new(TerminalJudge::new(io::stdin().lock(), io::stderr(), review)), ProgressBar::hidden())
        }
    };
    let mut progress = Progress::new(bar);
    let report = build_dataset(
        &arguments.input,
        &arguments.output,
        &arguments.options(),
        arguments.resume(),
        judge.as_mut(),
        &mut |event| progress.event(event),
    )?;
    Ok(report)
}

/// Says what the data set holds and which videos failed.
fn summarize(report: &BuildReport, out: &mut impl Write) -> Result<()> {
    let videos = &report.manifest.videos;
    let rejected = videos.iter().filter(|video| video.verdict == RecordedVerdict::Rejected).count();
    let [train, test] = [Split::Train, Split::Test].map(|split| report.manifest.pairs(split).count());
    write!(out, "{} of {} videos done", videos.len(), videos.len() + report.failed.len())?;
    if rejected > 0 {
        write!(out, ", {rejected} of them rejected")?;
    }
    writeln!(out, ": {train} pairs for training, {test} for the test")?;
    for (name, error) in &report.failed {
        writeln!(out, "  {name} failed: {}", describe(error))?;
    }
    Ok(())
}

/// An error with its causes.
fn describe(error: &data::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
