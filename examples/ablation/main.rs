//! Trains the variants of SPANet's Table 4 alike and compares them.
//!
//! ```text
//! cargo run --release --example ablation -- --config FILE.toml --output DIR [--data PHOTOS] [--steps N] [--resume]
//! ```
//!
//! The configuration is a training of SPANet with a validation; each variant trains into a folder of its own below DIR,
//! from the same seed on the same batches. `DIR/table.md` and `DIR/table.json` hold the scores of the last validations.
//! `--resume` goes on after a kill. The exit status is 0 only if all variants are done.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

mod run;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod variants;

#[derive(Debug, Parser)]
#[command(about = "Trains and compares the variants of SPANet's Table 4")]
pub(crate) struct Arguments {
    /// A training of SPANet, as a TOML file; see examples/configs/spanet_small.toml
    #[arg(long)]
    config: PathBuf,
    /// Folder for the trainings and the table
    #[arg(short, long)]
    output: PathBuf,
    /// Goes on with what is in the output folder
    #[arg(long)]
    resume: bool,
    /// Folder of clean photographs instead of the configuration's
    #[arg(long)]
    data: Option<PathBuf>,
    /// Steps of each variant instead of the configuration's
    #[arg(long)]
    steps: Option<u64>,
}

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(run::run(&Arguments::parse()))
}
