//! One training from start, or checkpoint, to end.

use anyhow::{Context, Result};
use derain::train::{Outcome, Trainer};

use crate::arguments::Arguments;
use crate::progress::Progress;

/// Whether all steps are done.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let config = arguments.configuration()?;
    let mut trainer = if arguments.resume { Trainer::resume(config) } else { Trainer::new(config) }?;
    let stop = trainer.stop_handle();
    let asked = move || {
        tracing::info!("finishing the step, then a checkpoint");
        stop.stop();
    };
    ctrlc::set_handler(asked).context("cannot listen for Ctrl-C")?;
    let mut progress = Progress::default();
    Ok(match trainer.run(&mut progress)? {
        Outcome::Finished => true,
        Outcome::Stopped { step } => {
            progress.clear();
            tracing::warn!("stopped after step {step}; --resume goes on");
            false
        }
    })
}
