//! What a training tells whoever watches it: a progress bar, a log, a test.

use std::fmt;
use std::path::Path;

use derain_metrics::Scores;
use image::{GrayImage, RgbImage};
use serde::{Deserialize, Serialize};

use crate::TrainConfig;

/// What an observer's methods return; an error ends the training as soon as it is seen, with what the last checkpoint
/// holds.
pub type Observed = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Watches a training. Every method does nothing unless it is written.
///
/// After a resume, steps between the last checkpoint and the end of the broken run come again, with the same values: a
/// log drops what it has after [`Started::step`].
pub trait Observer {
    /// Once, before the first step.
    ///
    /// # Errors
    /// When the observer cannot go on; so for all methods.
    fn started(&mut self, _started: &Started<'_>) -> Observed {
        Ok(())
    }

    /// After each step.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn step(&mut self, _step: &StepRecord) -> Observed {
        Ok(())
    }

    /// While a validation runs, which may take long: after each of its pairs.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn validating(&mut self, _done: usize, _of: usize) -> Observed {
        Ok(())
    }

    /// After each validation.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn validation(&mut self, _validation: &ValidationRecord) -> Observed {
        Ok(())
    }

    /// Pictures of a validation: the same pairs each time.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn samples(&mut self, _step: u64, _samples: &[SamplePictures]) -> Observed {
        Ok(())
    }

    /// A file is on disk: a checkpoint, or the best weights so far.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn written(&mut self, _written: &Written<'_>) -> Observed {
        Ok(())
    }

    /// Something that a person should read.
    ///
    /// # Errors
    /// See [`started`](Self::started).
    fn message(&mut self, _text: &str) -> Observed {
        Ok(())
    }
}

/// Watches nothing.
impl Observer for () {}

/// How a training begins or goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Started<'a> {
    /// What is trained, and how.
    pub config: &'a TrainConfig,
    /// Steps that earlier runs have done; 0 for a new training.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Trained values of the network.
    pub parameters: usize,
    /// Training pairs in an epoch.
    pub pairs: usize,
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// Pairs of the validation.
    pub validation_pairs: usize,
    /// Whether an earlier run was stopped before the validation of `step` was done: it comes first.
    pub validation_due: bool,
}

/// A step of the optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepRecord {
    /// Which step, counted from 1.
    pub step: u64,
    /// The epoch its batch belongs to, counted from 0.
    pub epoch: u64,
    /// The loss over the whole batch, before the step.
    pub losses: Losses,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// What the step took in all.
    pub seconds: f64,
    /// How much of that it waited for its batch: more than a little means that making samples holds training up.
    pub waited: f64,
}

/// A loss and its terms, weighted as they are summed; a term that the configuration leaves out is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// The sum, which is minimized.
    pub total: f64,
    /// Weighted mean absolute difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1: Option<f64>,
    /// Weighted 1 − SSIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssim: Option<f64>,
    /// Weighted mean squared difference of attention map and rain mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<f64>,
}

/// Mean scores of the validation pairs, clamped to 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidationRecord {
    /// Steps done before.
    pub step: u64,
    /// Rainy against clean pictures.
    pub input: Scores,
    /// The network's results against clean pictures.
    pub output: Scores,
    /// Pairs that were scored.
    pub pairs: usize,
    /// Whether the PSNR is the best so far, a pair counting at most 100 dB.
    pub is_best: bool,
    /// What it took.
    pub seconds: f64,
}

/// One validation pair in pictures, all of one size.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplePictures {
    /// Which pair, counted from 0.
    pub pair: usize,
    /// The rainy picture.
    pub input: RgbImage,
    /// The network's result.
    pub output: RgbImage,
    /// The clean picture.
    pub truth: RgbImage,
    /// Where the network sees rain; none where the network has no attention.
    pub attention: Option<GrayImage>,
    /// Where rain is, by the threshold of the loss: 255, elsewhere 0.
    pub mask: GrayImage,
}

/// Sizes in place of pixels.
impl fmt::Debug for SamplePictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplePictures")
            .field("pair", &self.pair)
            .field("size", &self.input.dimensions())
            .field("attention", &self.attention.is_some())
            .finish_non_exhaustive()
    }
}

/// A file that is on disk for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written<'a> {
    /// Steps done before.
    pub step: u64,
    /// The file.
    pub path: &'a Path,
    /// What it is for.
    pub kind: WrittenKind,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WrittenKind {
    /// All that a resume needs.
    Checkpoint,
    /// Weights of the checkpoint, for `Derainer`.
    LastWeights,
    /// Weights of the best validation, for `Derainer`.
    BestWeights,
}
