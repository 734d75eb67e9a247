//! Trains a deraining network.
//!
//! ```text
//! cargo run --release --example train -- --config FILE.toml [--resume]
//! ```
//!
//! Checkpoints, weights and logs (docs/logs.md) go to the configuration's output folder. Ctrl-C and SIGTERM finish the
//! step, write a checkpoint and end; `--resume` goes on, to the same weights bit by bit as if training had never been
//! broken off, after a kill as well. The exit status is 0 only if all steps are done.
//!
//! Built with `--features mpi`, `mpirun -n N` trains on several processes or machines:
//! docs/training-on-several-machines.md.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use derain::train::Ranks;

mod arguments;
mod progress;
mod run;
#[path = "../support/mod.rs"]
mod support;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    support::start_log();
    // Dropped last, as MPI's end waits for the other ranks.
    let ranks = match start_ranks() {
        Ok(ranks) => ranks,
        Err(error) => return support::exit_code(Err(error.into())),
    };
    support::exit_code(match run::run(&arguments, &ranks) {
        Err(error) if run::is_told_elsewhere(&error) => Ok(false),
        done => done,
    })
}

/// The processes that `mpirun` or a scheduler started; this one alone if nothing did.
#[cfg(feature = "mpi")]
fn start_ranks() -> derain::train::Result<Arc<dyn Ranks>> {
    Ok(Arc::new(derain::train::Mpi::start()?))
}

/// This process alone.
#[cfg(not(feature = "mpi"))]
fn start_ranks() -> derain::train::Result<Arc<dyn Ranks>> {
    Ok(Arc::new(derain::train::Alone))
}
