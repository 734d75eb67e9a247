//! Takes the rain out of a video, frame by frame.
//!
//! ```text
//! cargo run --release --features video --example derain_video -- -i VIDEO -o VIDEO --weights FILE
//! ```
//!
//! Sound, subtitles, the number of frames and the time of each stay what they were. All frames are decoded once
//! beforehand, so that damage is found before the work; `--length` takes the frames before it. Decoding, inference and
//! encoding run side by side. Finished groups of frames are kept in a folder beside the output, `OUTPUT.parts`, until
//! the output is whole: `--resume` goes on from there, and ends with the video that an unbroken run makes; only
//! `--restart` removes them unfinished. The exit status is 0 only if everything asked for was done.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod arguments;
mod check;
mod pipeline;
mod plan;
mod progress;
mod report;
mod run;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;
use report::Report;
use support::files;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(derain(&Arguments::parse()).map(|()| true))
}

/// An error that is found before any work leaves no report.
fn derain(arguments: &Arguments) -> Result<()> {
    plan::check(arguments)?;
    let derainer = arguments.engine.derainer()?;
    let outcome = run::run(arguments, &derainer);
    let reported = match &arguments.json {
        Some(path) => {
            files::to_json(&Report::new(arguments, &derainer, &outcome)).and_then(|json| files::write(path, &json))
        }
        None => Ok(()),
    };
    // Whatever comes of the report, the video's failure is said.
    outcome?;
    reported
}
