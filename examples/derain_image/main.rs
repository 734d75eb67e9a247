//! Takes the rain out of a picture, or of every picture in a folder and below.
//!
//! ```text
//! cargo run --release --example derain_image -- -i FILE|DIR -o FILE|DIR
//! ```
//!
//! A folder's tree is kept and its outputs are PNG; a single output has the format that its name says. Pictures come
//! out upright, with the bit depth, alpha channel, colour profile and, from and to JPEG, PNG and WebP, EXIF that they
//! had. A picture that fails is reported and the others are done. With `--shard I/N`, N machines do a folder. The exit
//! status is 0 only if everything asked for was done.

use std::io;
use std::process::ExitCode;

use anyhow::Result;

mod arguments;
mod plan;
mod progress;
mod report;
mod run;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;
use support::files;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(derain(Arguments::read()))
}

/// Whether everything asked for was done.
fn derain(arguments: Arguments) -> Result<bool> {
    let report = run::run(&arguments)?;
    // Whatever comes of the report file, what failed is said first. If standard error is gone, the status still tells.
    let _ = report.summarize(&mut io::stderr().lock());
    if let Some(path) = &arguments.json {
        files::write(path, &files::to_json(&report)?)?;
    }
    Ok(report.is_complete())
}
