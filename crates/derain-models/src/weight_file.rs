//! Weight files of this project: safetensors that carry their network's configuration.

use std::collections::HashMap;

use candle_core::Device;
use candle_nn::VarBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::parameters::{self, Parameters};
use crate::weights::{WeightError, WeightFile, printable};
use crate::{Error, Placement, Result};

/// The metadata of a training's checkpoint, `derain-train`'s, have this key.
const CHECKPOINT_KEY: &str = "derain.training";

/// How one network's weight files are told from others.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The network's name, for errors.
    pub(crate) network: &'static str,
    /// The key under which the safetensors metadata hold the configuration, as JSON.
    pub(crate) key: &'static str,
}

impl Kind {
    /// That a file does not hold such a network, and why.
    pub(crate) fn refusal(self, problems: String) -> Error {
        Error::Weights { network: self.network, problems }
    }

    /// The configuration that a file carries, if it is one of this project's.
    pub(crate) fn configuration<C: DeserializeOwned>(self, file: &WeightFile) -> Result<Option<C>> {
        if file.metadata.contains_key(CHECKPOINT_KEY) {
            let what = "this is the checkpoint of a training, for it to go on from: take `best.safetensors` or `last.safetensors` beside it";
            return Err(self.refusal(what.into()));
        }
        let Some(json) = file.metadata.get(self.key) else { return Ok(None) };
        let config = serde_json::from_str(json);
        let config =
            config.map_err(|error| self.refusal(format!("metadata `{}`: {}", self.key, printable(&error.to_string()))));
        config.map(Some)
    }

    /// A configuration as files carry it.
    pub(crate) fn json<C: Serialize>(self, config: &C) -> Result<String> {
        Ok(serde_json::to_string(config).map_err(candle_core::Error::wrap)?)
    }

    /// Tensors, wherever they are, and their configuration as a file.
    pub(crate) fn write<C: Serialize>(self, config: &C, tensors: &Parameters) -> Result<Vec<u8>> {
        let on_cpu = tensors.iter().map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?)));
        let tensors = on_cpu.collect::<candle_core::Result<Vec<_>>>()?;
        let metadata = HashMap::from([(self.key.to_owned(), self.json(config)?)]);
        Ok(safetensors::serialize(tensors, Some(metadata)).map_err(WeightError::from)?)
    }

    /// The network that `build` makes from a file's tensors.
    pub(crate) fn build<N>(
        self,
        file: &WeightFile,
        place: &Placement,
        build: impl Fn(VarBuilder<'_>) -> Result<N>,
    ) -> Result<N> {
        place.check()?;
        let expected = parameters::shapes(&build)?;
        let parameters = parameters::check(self.network, &expected, file, &place.device)?;
        build(parameters::builder(parameters, place.precision.dtype(), &place.device))
    }
}
