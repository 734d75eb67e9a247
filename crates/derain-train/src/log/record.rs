//! The lines of `log.jsonl`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use derain_metrics::Scores;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lines_on_disk::Lines;
use crate::observer::{StepRecord, ValidationRecord, WrittenKind};
use crate::{Error, Result};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// When: seconds since 1970, UTC.
    pub time: f64,
}

/// What happened. The JSON key `event` says which, in `snake_case`; the fields stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The training began. One line for a training, however often it is resumed.
    Start {
        /// 0, or the checkpoint's step where an older log is missing.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Trained values of the network.
        parameters: usize,
        /// Training pairs in an epoch.
        pairs: usize,
        /// Steps in an epoch.
        steps_per_epoch: usize,
        /// Pairs of the validation.
        validation_pairs: usize,
    },
    /// A step of the optimizer.
    Step(StepRecord),
    /// Scores of the validation pairs.
    Validation {
        /// Steps done before.
        step: u64,
        /// Rainy against clean pictures.
        input: ScoreValues,
        /// The network's results against clean pictures.
        output: ScoreValues,
        /// Pairs that were scored.
        pairs: usize,
        /// Whether the PSNR is the best so far, a pair counting at most 100 dB.
        best: bool,
        /// What it took.
        seconds: f64,
    },
    /// Sample pictures were written.
    Samples {
        /// Steps done before.
        step: u64,
        /// Their names, relative to the output folder.
        files: Vec<String>,
    },
    /// Weights or a checkpoint were written.
    Written {
        /// Steps done before.
        step: u64,
        /// What the file is for.
        kind: WrittenKind,
        /// Its name, relative to the output folder.
        file: String,
    },
    /// Something that a person should read.
    Message {
        /// The last step before.
        step: u64,
        /// The message.
        text: String,
    },
    /// Lines are missing: the log was deleted or lost in a power cut, while the checkpoint was not.
    Gap {
        /// The checkpoint's step.
        step: u64,
        /// The last step that the log has.
        after: u64,
    },
}

impl Event {
    /// Steps done when it happened.
    pub fn step(&self) -> u64 {
        match *self {
            Self::Step(StepRecord { step, .. })
            | Self::Start { step, .. }
            | Self::Validation { step, .. }
            | Self::Samples { step, .. }
            | Self::Written { step, .. }
            | Self::Message { step, .. }
            | Self::Gap { step, .. } => step,
        }
    }
}

impl From<&ValidationRecord> for Event {
    fn from(validation: &ValidationRecord) -> Self {
        let ValidationRecord { step, input, output, pairs, is_best, seconds } = *validation;
        Self::Validation { step, input: input.into(), output: output.into(), pairs, best: is_best, seconds }
    }
}

/// PSNR and SSIM.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreValues {
    /// In dB; `"inf"` in JSON where all pictures are equal.
    #[serde(serialize_with = "number_or_inf", deserialize_with = "number_or_from_inf")]
    pub psnr: f64,
    /// At most 1.
    pub ssim: f64,
}

impl From<Scores> for ScoreValues {
    fn from(Scores { psnr, ssim, .. }: Scores) -> Self {
        Self { psnr, ssim }
    }
}

/// JSON has no number for infinity.
fn number_or_inf<S: Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    if *value == f64::INFINITY { serializer.serialize_str("inf") } else { serializer.serialize_f64(*value) }
}

fn number_or_from_inf<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrText {
        Number(f64),
        Text(String),
    }
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => Ok(number),
        NumberOrText::Text(text) if text == "inf" => Ok(f64::INFINITY),
        NumberOrText::Text(text) => Err(serde::de::Error::custom(format!("`{text}` is no PSNR"))),
    }
}

/// Reads a `log.jsonl`, of a training that still runs too: a last line that is not whole is left out.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Log`] if a line before the last is damaged.
pub fn read_log(path: impl AsRef<Path>) -> Result<Vec<Record>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io("open", path))?;
    Lines::new(path, BufReader::new(file)).map(|line| Ok(line?.record)).collect()
}
