//! What was done, as JSON.

use anyhow::Result;
use derain::Derainer;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::run::Outcome;
use crate::support::describe;

#[derive(Serialize, Debug)]
pub(crate) struct Report {
    network: String,
    weights_sha256: String,
    videos: [Entry; 1],
}

#[derive(Serialize, Debug)]
struct Entry {
    /// Paths that are not Unicode have U+FFFD for what is not.
    input: String,
    /// Where the output is, or would have been.
    output: String,
    /// All frames of the output; null if there is none.
    frames: Option<usize>,
    /// How many of them an earlier run had done.
    resumed: Option<usize>,
    /// Inference alone; null if there was none.
    seconds: Option<f64>,
    /// How long the network waited for frames to be decoded.
    decoding_wait: Option<f64>,
    /// How long the network waited for frames to be encoded.
    encoding_wait: Option<f64>,
    encoder: Option<String>,
    error: Option<String>,
    /// The output existed and `--resume` was given.
    #[serde(skip_serializing_if = "is_false")]
    skipped: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, derainer: &Derainer, outcome: &Result<Outcome>) -> Self {
        let done = match outcome {
            Ok(Outcome::Done(done)) => Some(done),
            _ => None,
        };
        let seconds = done.map(|done| done.times);
        let entry = Entry {
            input: arguments.input.to_string_lossy().into_owned(),
            output: arguments.output.to_string_lossy().into_owned(),
            frames: done.map(|done| done.frames),
            resumed: done.map(|done| done.resumed),
            seconds: seconds.map(|times| times.inference.as_secs_f64()),
            decoding_wait: seconds.map(|times| times.decoder.as_secs_f64()),
            encoding_wait: seconds.map(|times| times.encoder.as_secs_f64()),
            encoder: done.map(|done| done.encoder.to_string()),
            error: outcome.as_ref().err().map(|error| describe(error.as_ref())),
            skipped: matches!(outcome, Ok(Outcome::Skipped)),
        };
        let (network, weights_sha256) = (derainer.network().to_string(), derainer.weights_sha256().to_owned());
        Self { network, weights_sha256, videos: [entry] }
    }
}
