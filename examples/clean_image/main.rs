//! Makes the clean image of a rain video of a still scene.
//!
//! ```text
//! cargo run --release --example clean_image -- -i VIDEO|DIR|FILE.y4m -o FILE.png
//! ```
//!
//! Frames that `--max-memory` does not hold go to a file without a name in `--spool` (else beside the output). Nothing is written
//! unless everything asked for could be made. The exit status is 0 only then.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

mod arguments;
mod choices;
mod judged;
#[path = "../derain_image/paths.rs"]
mod paths;
mod plan;
mod progress;
mod report;
mod run;
#[path = "../derain_image/size.rs"]
mod size;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr).init();
    match run::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
