//! Lets it rain on photographs: single pictures or films, with the truth beside them.
//!
//! ```text
//! cargo run --release --example synthesize_rain -- -i FILE|DIR -o DIR [--frames 100] [--density dense]
//! ```
//!
//! Writes `rain/NAME.png` (or `rain/NAME/000001.png` and so on), `mask/…` alike, `clean/NAME.png`, and, where
//! a veil or dimming belongs to the rain, `veiled/NAME.png`: the clean picture under both. Every file is
//! whole or not there. A picture that fails is reported and the others are done. With `--shard I/N`, N
//! machines do a folder. The exit status is 0 only if
//! everything asked for was done.

use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

mod arguments;
mod film;
mod output;
mod plan;
mod rain;
mod report;
mod run;
mod y4m;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr).init();
    match run::run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
