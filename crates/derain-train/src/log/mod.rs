//! What a training leaves to read: a log of JSON lines, TensorBoard's event files and sample pictures, all in its
//! output folder.
//!
//! | file | holds |
//! | --- | --- |
//! | `log.jsonl` | one JSON object a line ([`Record`]): steps, validations, files, messages |
//! | `events.out.tfevents.*` | losses, rates, scores and sample pictures for `tensorboard --logdir FOLDER` |
//! | `samples/step-STEP-pair-PAIR.png` | input, output, attention, mask and truth side by side |
//!
//! [`RunLog`] writes all of them; it is an [`Observer`]. A line is written whole before the next step begins, so a kill tears the last one at
//! most. A resume cuts off what came after its checkpoint: in the end `log.jsonl` is that of an unbroken run but for
//! times. What the disk refuses ends the training with an error.
//!
//! ```no_run
//! use derain_train::{LogOptions, RunLog, TrainConfig, Trainer};
//! let config = TrainConfig::load("spanet_small.toml")?;
//! let mut log = RunLog::new(LogOptions::default());
//! Trainer::new(config)?.run(&mut log)?;
//! # Ok::<(), derain_train::Error>(())
//! ```
//!
//! [`read_log`] reads the lines back, [`plot_curves`] draws them.

mod both;
mod curves;
mod json_lines;
mod lines_on_disk;
mod record;
mod samples;
mod tensorboard;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use curves::plot_curves;
pub use record::{Event, Record, ScoreValues, read_log};

use crate::observer::{
    Observed, Observer, SamplePictures, Started, StepRecord, ValidationRecord, Written, WrittenKind,
};
use json_lines::JsonLines;
use samples::SampleFolder;
use tensorboard::TensorBoard;

/// The log's name in the output folder.
pub(crate) const LOG: &str = "log.jsonl";

/// What is written beside `log.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// TensorBoard's event files. Default: yes.
    pub tensorboard: bool,
    /// Sample pictures as files. Default: yes.
    pub samples: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { tensorboard: true, samples: true }
    }
}

/// Writes the logs of one training into its output folder.
#[derive(Debug)]
pub struct RunLog {
    options: LogOptions,
    /// Open from the training's start on.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    folder: PathBuf,
    lines: JsonLines,
    tensorboard: Option<TensorBoard>,
    samples: Option<SampleFolder>,
}

impl RunLog {
    /// A log that opens its files when the training starts.
    pub fn new(options: LogOptions) -> Self {
        Self { options, open: None }
    }
}

impl Observer for RunLog {
    fn started(&mut self, started: &Started<'_>) -> Observed {
        let folder = started.config.output.clone();
        let lines = JsonLines::open(&folder.join(LOG), started)?;
        let tensorboard = self.options.tensorboard.then(|| TensorBoard::open(&folder, started.step)).transpose()?;
        let samples = self.options.samples.then(|| SampleFolder::open(&folder)).transpose()?;
        self.open = Some(Open { folder, lines, tensorboard, samples });
        Ok(())
    }

    fn step(&mut self, step: &StepRecord) -> Observed {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.lines.append(Event::Step(step.clone()))?;
        if let Some(tensorboard) = &mut open.tensorboard {
            tensorboard.step(step)?;
        }
        Ok(())
    }

    fn validating(&mut self, done: usize, _of: usize) -> Observed {
        // A checkpoint may have been written just before, which is told of only when it is written again behind the
        // validation.
        match &mut self.open {
            Some(open) if done <= 1 => Ok(open.lines.sync()?),
            _ => Ok(()),
        }
    }

    fn validation(&mut self, validation: &ValidationRecord) -> Observed {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.lines.append(Event::from(validation))?;
        if let Some(tensorboard) = &mut open.tensorboard {
            tensorboard.validation(validation)?;
        }
        Ok(())
    }

    fn samples(&mut self, step: u64, samples: &[SamplePictures]) -> Observed {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut files = Vec::new();
        for pictures in samples {
            let strip = samples::strip(pictures);
            let png = samples::png(&strip)?;
            if let Some(folder) = &open.samples {
                files.push(folder.write(step, pictures.pair, &png)?);
            }
            if let Some(tensorboard) = &mut open.tensorboard {
                tensorboard.sample(step, pictures.pair, &strip, png)?;
            }
        }
        if !files.is_empty() {
            open.lines.append(Event::Samples { step, files })?;
        }
        Ok(())
    }

    fn written(&mut self, written: &Written<'_>) -> Observed {
        let Some(open) = &mut self.open else { return Ok(()) };
        let file = relative(written.path, &open.folder);
        open.lines.append(Event::Written { step: written.step, kind: written.kind, file })?;
        // So that a power cut takes no more of the log than the lines of this step; a line that is missing later leaves
        // a `gap`.
        if written.kind == WrittenKind::Checkpoint {
            open.lines.sync()?;
            if let Some(tensorboard) = &mut open.tensorboard {
                tensorboard.sync()?;
            }
        }
        Ok(())
    }

    fn message(&mut self, text: &str) -> Observed {
        let Some(open) = &mut self.open else { return Ok(()) };
        Ok(open.lines.message(text)?)
    }
}

/// Whether a log has a line about a checkpoint that was written.
///
/// # Errors
/// As [`read_log`].
pub(crate) fn tells_of_a_checkpoint(path: &Path) -> crate::Result<bool> {
    let is_one = |event: &Event| matches!(event, Event::Written { kind: WrittenKind::Checkpoint, .. });
    Ok(read_log(path)?.iter().any(|record| is_one(&record.event)))
}

/// A path as it is found from the output folder, with forward slashes on every system.
fn relative(path: &Path, folder: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
