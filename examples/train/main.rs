//! Trains a deraining network.
//!
//! ```text
//! cargo run --release --example train -- --config FILE.toml [--resume]
//! ```
//!
//! Checkpoints and weights go to the configuration's output folder. Ctrl-C and SIGTERM finish the step, write a checkpoint and end; `--resume`
//! goes on, to the same weights bit by bit as if training had never been broken off, after a kill as well. The exit status is 0 only if all
//! steps are done.
//!
//! Built with `--features mpi`, `mpirun -n N` trains on several processes or machines: docs/training-on-several-machines.md.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use derain::train::Ranks;
use tracing_subscriber::EnvFilter;

mod arguments;
mod progress;
mod run;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr).init();
    // Dropped last, as MPI's end waits for the other ranks.
    let ranks = match start_ranks() {
        Ok(ranks) => ranks,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run::run(&arguments, &ranks) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if run::is_told_elsewhere(&error) => ExitCode::FAILURE,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
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
