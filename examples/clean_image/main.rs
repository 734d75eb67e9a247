//! Makes the clean image of a rain video of a still scene.
//!
//! ```text
//! cargo run --release --example clean_image -- -i VIDEO|DIR|FILE.y4m -o FILE.png
//! ```
//!
//! Frames that `--max-memory` does not hold go to a file without a name in `--spool` (else beside the output). Nothing
//! is written unless everything asked for could be made, and the exit status is 0 only then. Of fewer frames than
//! `--frames` or, without a judge, `--density` asks for, but 3 or more, the picture is made and written all the same,
//! with status 1.

use std::process::ExitCode;

use clap::Parser;

mod arguments;
mod judged;
mod plan;
mod progress;
mod report;
mod run;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(run::run(&Arguments::parse()))
}
