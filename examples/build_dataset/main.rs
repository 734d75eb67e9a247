//! Builds a data set of rainy and clean patches from rain videos of still scenes.
//!
//! ```text
//! cargo run --release --example build_dataset -- -i DIR_OF_VIDEOS -o DIR
//! ```
//!
//! The clean image of each video comes from its frames; patches of frames and the same patches of the clean image are
//! the pairs, on the training or the test side by video. `--resume` goes on after a kill, with the same judge, to the
//! same files as an unbroken run. A video that fails is reported and the others are done. With `--shard I/N`, N
//! machines build one data set. The exit status is 0 only if no video failed; one that was rejected has not failed.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use derain::data::dataset::{BuildReport, RecordedVerdict, Split, build_dataset};
use derain::data::judge::{AcceptAll, AutoJudge, Judge, TerminalJudge};
use indicatif::ProgressBar;

mod arguments;
mod progress;
#[path = "../support/mod.rs"]
mod support;

use arguments::{Arguments, JudgeName};
use progress::Progress;
use support::counted;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(run(&Arguments::parse()))
}

/// Whether every video was done.
fn run(arguments: &Arguments) -> Result<bool> {
    let report = build(arguments)?;
    // If standard error is gone, the status still tells.
    let _ = summarize(&report, &mut io::stderr().lock());
    Ok(report.failed.is_empty())
}

fn build(arguments: &Arguments) -> Result<BuildReport> {
    arguments.check()?;
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let review = arguments.review.as_deref().unwrap_or(temporary.path());
    let (mut judge, bar): (Box<dyn Judge>, _) = match arguments.judge {
        JudgeName::None => (Box::new(AcceptAll), ProgressBar::new(0)),
        JudgeName::Auto => (Box::new(AutoJudge::default()), ProgressBar::new(0)),
        JudgeName::Web => return build_with_page(arguments),
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

/// Asks on a page that only this machine can reach; verdicts stay in a file beside the data set.
#[cfg(feature = "review")]
fn build_with_page(arguments: &Arguments) -> Result<BuildReport> {
    use derain::data::dataset::BuildEvent;
    use derain::data::review::{ReviewOptions, ReviewServer};

    let server = ReviewServer::start(arguments.verdicts()?, &ReviewOptions::default())?;
    writeln!(io::stderr(), "judge the clean images at {}", server.url())?;
    let mut judge = server.judge().with_density(arguments.density());
    let (options, resume) = (arguments.options(), arguments.resume());
    let mut observe = |event: BuildEvent<'_>| {
        match &event {
            BuildEvent::PassedOver { files } => progress::warn_of_passed_over(files),
            BuildEvent::Failed { video, error } => progress::say_failed(video, error),
            _ => {}
        }
        server.observe(&event);
    };
    Ok(build_dataset(&arguments.input, &arguments.output, &options, resume, &mut judge, &mut observe)?)
}

#[cfg(not(feature = "review"))]
fn build_with_page(_: &Arguments) -> Result<BuildReport> {
    anyhow::bail!("the review page is a feature: cargo run --release --features review --example build_dataset -- …")
}

/// Says what the data set holds and which videos failed.
fn summarize(report: &BuildReport, out: &mut impl Write) -> Result<()> {
    let videos = &report.manifest.videos;
    let rejected = videos.iter().filter(|video| video.verdict == RecordedVerdict::Rejected).count();
    let [train, test] = [Split::Train, Split::Test].map(|split| report.manifest.pairs(split).count());
    let all = videos.len() + report.failed.len() + report.elsewhere.len();
    write!(out, "{} of {} done", videos.len(), counted(all, "video"))?;
    if rejected > 0 {
        write!(out, ", {rejected} of them rejected")?;
    }
    writeln!(out, ": {} for training, {test} for the test", counted(train, "pair"))?;
    if !report.elsewhere.is_empty() {
        writeln!(
            out,
            "other shards have still to do {}: the last one writes the lists and the manifest, or a run with --resume and without --shard",
            report.elsewhere.join(", ")
        )?;
    }
    // Why has been said.
    for (name, _) in &report.failed {
        writeln!(out, "  {name} failed")?;
    }
    Ok(())
}
