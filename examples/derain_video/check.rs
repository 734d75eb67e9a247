//! Every frame is decoded once before the work: a fault near the end would otherwise be met after hours.

use anyhow::{Result, anyhow};
use derain::data;
use derain::data::paths::Shown;
use derain::data::transcode::{Checked, Parts};

use crate::arguments::Arguments;
use crate::progress::Progress;
use crate::support::{counted, describe};

/// How much of the input can be derained, which an earlier run may have found out. `expected` is what the container
/// says.
pub(crate) fn check(arguments: &Arguments, expected: Option<usize>, parts: &mut Parts) -> Result<Checked> {
    let (input, length) = (&arguments.input, arguments.length());
    if let Some(checked) = parts.checked().filter(|checked| checked.covers(length)) {
        return Ok(checked);
    }
    let frames = expected.map_or(length, |all| Some(length.map_or(all, |length| length.min(all))));
    match frames {
        Some(frames) => tracing::info!("checking {} of {}", counted(frames, "frame"), input.shown()),
        None => tracing::info!("checking all frames of {}", input.shown()),
    }
    let progress = Progress::new("checking", frames, 0);
    let mut good = 0;
    let checked = Checked::of(input, length, || {
        good += 1;
        progress.advance();
    });
    drop(progress);
    let checked = checked.map_err(|error| advised(error, good))?;
    parts.save_checked(checked)?;
    Ok(checked)
}

fn advised(error: data::Error, good: usize) -> anyhow::Error {
    if good == 0 {
        return error.into();
    }
    let reason = describe(&error);
    anyhow!("{reason}; --length {good} takes the frames before the fault, and what is done of them")
}
