//! A training as a TOML file.
//!
//! `output`, `data`, and one of `steps` and `epochs` must be there; what else is left out has the default that its
//! field names. Unknown keys are errors. Paths are relative to the file.
//!
//! ```
//! use derain_train::TrainConfig;
//! let config = TrainConfig::from_toml(r#"
//!     output = "run"
//!     steps = 2000
//!     batch_size = 8
//!     [network]
//!     kind = "spanet"
//!     channels = 16
//!     [data]
//!     kind = "synthesized"
//!     clean = "photos"
//!     held_out = 16
//!     [augment]
//!     crop = { kind = "window", size = 64 }
//!     [schedule]
//!     kind = "cosine"
//!     rate = 0.002
//!     warm_up = 100
//! "#)?;
//! assert_eq!(config.loss.attention, 1.0);
//! assert!(TrainConfig::from_toml("stepps = 1").is_err());
//! # Ok::<(), derain_train::Error>(())
//! ```

mod data;
mod loss;
mod network;
mod pair_place;

use std::fs;
use std::path::{Path, PathBuf};

use derain_data::dataset::AugmentOptions;
use serde::{Deserialize, Serialize};

pub use data::{DataConfig, PairData, SynthesizedData, Truth, ValidationConfig};
pub use loss::LossConfig;
pub use network::NetworkConfig;
pub use pair_place::PairPlace;

use crate::optimizer::AdamConfig;
use crate::{Error, Result, Schedule};

/// Everything that decides a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The folder for checkpoints and weights; made if it is missing.
    pub output: PathBuf,
    /// Decides initial weights, the order of samples, crops and rain. Equal seeds give equal trainings. Default 0.
    pub seed: u64,
    /// Steps of the optimizer in all, 1 or more; this or `epochs`.
    pub steps: Option<u64>,
    /// Passes over the training pairs in all, 1 or more; this or `steps`.
    pub epochs: Option<u64>,
    /// Pairs of a step, 1 or more. Those of an epoch's end that fill no batch are left out. Default 32.
    pub batch_size: usize,
    /// Parts into which a batch is cut to save memory, 1 to `batch_size`; their gradients are combined in order before
    /// the step. Default 1.
    pub micro_batches: usize,
    /// A weight file to start from, safetensors or .pth. Default none: random weights.
    pub init_from: Option<PathBuf>,
    /// Decay of the moving average of weights that is validated and written, at least 0 and below 1. Default none: the
    /// weights themselves.
    pub ema: Option<f64>,
    /// The greatest norm of all gradients together, above 0; longer ones are shortened to it. Default none.
    pub clip_norm: Option<f64>,
    /// Steps between checkpoints, 1 or more: what a kill loses at most. Default 500.
    pub checkpoint_interval: u64,
    /// What is trained. Default SPANet.
    pub network: NetworkConfig,
    /// What it is trained on.
    pub data: DataConfig,
    /// What is done to the pictures first. Default as SPANet's release.
    pub augment: AugmentOptions,
    /// What it is scored by meanwhile.
    pub validation: ValidationConfig,
    /// What is minimized.
    pub loss: LossConfig,
    /// The optimizer.
    pub adam: AdamConfig,
    /// Its learning rate. Default SPANet's paper's.
    pub schedule: Schedule,
}

impl Default for TrainConfig {
    /// SPANet's paper, on no data.
    fn default() -> Self {
        Self {
            output: PathBuf::new(),
            seed: 0,
            steps: None,
            epochs: None,
            batch_size: 32,
            micro_batches: 1,
            init_from: None,
            ema: None,
            clip_norm: None,
            checkpoint_interval: 500,
            network: NetworkConfig::default(),
            data: DataConfig::default(),
            augment: AugmentOptions::default(),
            validation: ValidationConfig::default(),
            loss: LossConfig::default(),
            adam: AdamConfig::default(),
            schedule: Schedule::default(),
        }
    }
}

impl TrainConfig {
    /// Reads a file. Its paths are relative to its folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::ConfigFile`] if it is no such configuration.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        let mut config = Self::parse(&text, path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for path in config.paths() {
            *path = folder.join(&*path);
        }
        Ok(config)
    }

    /// The same from text, its paths as they are.
    ///
    /// # Errors
    /// [`Error::ConfigFile`] if it is no such configuration.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::parse(text, Path::new("the text"))
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|source| Error::ConfigFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// Every path that is set.
    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let data: Vec<&mut PathBuf> = match &mut self.data {
            DataConfig::Pairs(data) => data.paths.iter_mut().flat_map(PairPlace::paths_mut).collect(),
            DataConfig::Synthesized(data) => vec![&mut data.clean],
        };
        let single = std::iter::once(&mut self.output).chain(&mut self.init_from);
        let validation = self.validation.pairs.iter_mut().flat_map(PairPlace::paths_mut);
        single.chain(data).chain(validation).filter(|path| !path.as_os_str().is_empty())
    }

    /// Where training and validation pictures are looked for: folders and lists.
    pub(crate) fn data_paths(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = match &self.data {
            DataConfig::Pairs(data) => data.paths.iter().flat_map(PairPlace::paths).collect(),
            DataConfig::Synthesized(data) => vec![&data.clean],
        };
        paths.extend(self.validation.pairs.iter().flat_map(PairPlace::paths));
        paths
    }

    /// Whether every value makes sense, as far as that can be told without looking at the data.
    ///
    /// # Errors
    /// [`Error::Config`] or what the part says whose value it is.
    pub fn check(&self) -> Result<()> {
        if self.output.as_os_str().is_empty() {
            return Err(Error::config("output", "not set", "a folder"));
        }
        self.check_length()?;
        if self.batch_size == 0 {
            return Err(Error::config("batch_size", 0, "1 or more"));
        }
        if self.micro_batches == 0 || self.micro_batches > self.batch_size {
            return Err(Error::config("micro_batches", self.micro_batches, "from 1 to `batch_size`"));
        }
        if self.checkpoint_interval == 0 {
            return Err(Error::config("checkpoint_interval", 0, "1 or more"));
        }
        if let Some(decay) = self.ema
            && !(0.0..1.0).contains(&decay)
        {
            return Err(Error::config("ema", decay, "at least 0 and below 1"));
        }
        if let Some(norm) = self.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(Error::config("clip_norm", norm, "above 0"));
        }
        self.loss.check(&self.network)?;
        self.augment.check()?;
        self.adam.check()?;
        self.schedule.check()?;
        self.data.check()?;
        self.validation.check(&self.data)
    }

    fn check_length(&self) -> Result<()> {
        Err(match (self.steps, self.epochs) {
            (Some(1..), None) | (None, Some(1..)) => return Ok(()),
            (None, None) => Error::config("steps", "not set", "how long to train, unless `epochs` says it"),
            (Some(steps), Some(_)) => Error::config("steps", steps, "left out where `epochs` is set"),
            (None, Some(_)) => Error::config("epochs", 0, "1 or more"),
            (Some(_), None) => Error::config("steps", 0, "1 or more"),
        })
    }

    /// What decides the weights after a given step, as JSON: a resume must have it as the training was begun. Left out
    /// are folders and files (of data, contents are compared), the length where no schedule hangs on it, and what only
    /// watches.
    ///
    /// # Errors
    /// When a path is not Unicode.
    pub(crate) fn decisive(&self) -> Result<serde_json::Value> {
        let mut config = self.clone();
        config.output = PathBuf::new();
        if !config.schedule.depends_on_length() {
            (config.steps, config.epochs) = (None, None);
        }
        config.checkpoint_interval = 0;
        config.validation = ValidationConfig::default();
        config.data.forget_places();
        let init_from = config.init_from.as_ref().and_then(|path| path.file_name()).map(PathBuf::from);
        config.init_from = init_from;
        Ok(serde_json::to_value(&config).map_err(candle_core::Error::wrap)?)
    }
}
