//! One training from start, or checkpoint, to end.

use std::sync::Arc;

use anyhow::{Context, Result};
use derain::train::{Error, LogOptions, Outcome, Ranks, RunLog, Trainer, agree};

use crate::arguments::Arguments;
use crate::progress::Progress;
use crate::support::signals::on_stop_signal;

/// Whether all steps are done.
pub(crate) fn run(arguments: &Arguments, ranks: &Arc<dyn Ranks>) -> Result<bool> {
    let config = agree(&**ranks, arguments.configuration())?;
    let begin = if arguments.resume { Trainer::resume_among } else { Trainer::new_among };
    let device = agree(&**ranks, arguments.device.open().map_err(Error::from))?;
    if ranks.rank() == 0 {
        tracing::info!("looking at the training pictures");
    }
    let mut trainer = begin(config, &device, Arc::clone(ranks))?;
    let (stop, leads) = (trainer.stop_handle(), ranks.rank() == 0);
    let asked = move || {
        if leads {
            tracing::info!("finishing the step, then a checkpoint");
        }
        stop.stop();
    };
    let listens = on_stop_signal(asked).map_err(|error| Error::Observer(error.into()));
    agree(&**ranks, listens).context("cannot listen for Ctrl-C")?;
    let mut progress = Progress::new(arguments.resume);
    let mut log = RunLog::new(LogOptions::default());
    Ok(match trainer.run(&mut (&mut log, &mut progress))? {
        Outcome::Finished => true,
        Outcome::Stopped { step } => {
            progress.clear();
            if leads {
                tracing::warn!("stopped after step {step}; --resume goes on");
            }
            false
        }
    })
}

/// Whether the rank that failed says so itself.
pub(crate) fn is_told_elsewhere(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::OtherRank { .. }))
}
