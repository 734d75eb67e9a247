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

use std::process::ExitCode;

mod arguments;
mod film;
mod output;
mod plan;
mod rain;
mod report;
mod run;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(run::run(&Arguments::read()))
}
