//! Takes the rain out of a video, frame by frame.
//!
//! ```text
//! cargo run --release --features video --example derain_video -- -i VIDEO -o VIDEO --weights FILE
//! ```
//!
//! Sound, subtitles, the number of frames and the time of each stay what they were. All frames are decoded once beforehand, so that damage is
//! found before the work; `--length` takes the frames before it. Decoding, inference and encoding run side by side.
//! Finished groups of frames are kept in a folder beside the output, `OUTPUT.parts`, until the output is whole: `--resume` goes on from
//! there, and ends with the video that an unbroken run makes; only `--restart` removes them unfinished. The exit status is 0 only if
//! everything asked for was done.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod arguments;
mod check;
#[path = "../derain_image/engine.rs"]
mod engine;
#[path = "../derain_image/paths.rs"]
mod paths;
mod pipeline;
mod plan;
mod progress;
mod report;
mod run;
#[path = "../derain_image/size.rs"]
mod size;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;
use report::Report;

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
        Some(path) => Report::new(arguments, &derainer, &outcome).write(path),
        None => Ok(()),
    };
    // Whatever comes of the report, the video's failure is said.
    outcome?;
    reported
}
