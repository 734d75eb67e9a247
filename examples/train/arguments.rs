//! The command line, and what of it stands above the configuration.

use std::path::PathBuf;

use clap::Parser;
use derain::train::{DataConfig, TrainConfig};

use crate::support::device::DeviceName;

#[derive(Debug, Parser)]
#[command(about = "Trains a deraining network")]
pub(crate) struct Arguments {
    /// The training, as a TOML file; see examples/configs
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Goes on with the training in the output folder, if there is one
    #[arg(long)]
    pub(crate) resume: bool,
    /// Where to compute; GPUs need a build with the feature `cuda`
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda:N")]
    pub(crate) device: DeviceName,
    /// Folder of clean photographs, or list or folder of pairs, instead of the configuration's
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Output folder instead of the configuration's
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    /// Steps instead of the configuration's
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// Seed instead of the configuration's
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl Arguments {
    /// The configuration with what the command line puts in its place; paths there are relative to the current folder.
    pub(crate) fn configuration(&self) -> derain::train::Result<TrainConfig> {
        let mut config = TrainConfig::load(&self.config)?;
        if let Some(path) = &self.data {
            match &mut config.data {
                DataConfig::Synthesized(data) => data.clean.clone_from(path),
                DataConfig::Pairs(data) => data.paths = vec![path.clone().into()],
                _ => {}
            }
        }
        if let Some(output) = &self.output {
            config.output.clone_from(output);
        }
        if self.steps.is_some() {
            (config.steps, config.epochs) = (self.steps, None);
        }
        config.seed = self.seed.unwrap_or(config.seed);
        Ok(config)
    }
}
