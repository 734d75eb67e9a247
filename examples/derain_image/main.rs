//! Takes the rain out of a picture, or of every picture in a folder and below.
//!
//! ```text
//! cargo run --release --example derain_image -- -i FILE|DIR -o FILE|DIR --weights FILE
//! ```
//!
//! A folder's tree is kept and its outputs are PNG; a single output has the format that its name
//! says. Pictures come out upright, with the bit depth, alpha channel and colour profile that they
//! had. A picture that fails is reported and the others are done. With `--shard I/N`, N machines do a folder. The exit status is 0 only if
//! everything asked for was done.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::EnvFilter;

mod arguments;
mod engine;
mod paths;
mod plan;
mod progress;
mod report;
mod run;
mod size;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr).init();
    match derain(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything asked for was done.
fn derain(arguments: Arguments) -> Result<bool> {
    let report = run::run(&arguments)?;
    // Whatever comes of the report file, what failed is said first.
    let said = report.summarize(&mut io::stderr().lock());
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    said?;
    Ok(report.is_complete())
}
