//! What examples share: how they log and end, how paths, sizes and devices are read, how results are written.
#![allow(dead_code, reason = "each example uses its part")]

pub(crate) mod choices;
pub(crate) mod device;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod pages;
pub(crate) mod paths;
pub(crate) mod signals;
pub(crate) mod size;
pub(crate) mod unreadable;
pub(crate) mod values;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use derain::data::paths::Shown;
use tracing_subscriber::EnvFilter;

/// Logs to standard error; `RUST_LOG` filters. If nobody reads it any more (`2>&1 | head`), the work goes on.
pub(crate) fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    // Else what could not be said would be complained about on standard error, by a macro that panics.
    log.log_internal_errors(false).init();
}

/// Success if all that was asked for was done; an error is said with its causes.
pub(crate) fn exit_code(done: Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Not by the log, which a filter may silence. If standard error is gone, the status still tells.
            let _ = writeln!(io::stderr(), "error: {}", describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes. Those of decoders say their cause themselves, so what is said already is left out.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    for cause in causes.map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// `1 frame`, `2 frames`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// The reason with the picture's name before it, unless it names that itself.
pub(crate) fn about(input: &Path, reason: &str) -> String {
    let name = input.shown().to_string();
    let names_it = reason.starts_with(&name) || reason.contains(&format!(" {name}"));
    if names_it { reason.to_owned() } else { format!("{name}: {reason}") }
}
