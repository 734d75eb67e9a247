//! RRANet's weight files: which network a file holds, and files that say so themselves.

use candle_core::Device;

use super::{DECODERS, RraNet, RraNetConfig, SCALES};
use crate::parameters::{self, Parameters};
use crate::weight_file::Kind;
use crate::weights::WeightFile;
use crate::{Placement, Result};

const KIND: Kind = Kind { network: "rranet", key: "derain.rranet" };

/// The configuration of the RRANet that a weight file holds.
///
/// Files of this project carry it. In any other file the widths are read off the tensors' shapes, and what those leave
/// open (stages, RLCN) is taken as the default.
///
/// # Errors
/// When the file does not hold an RRANet.
pub fn recognize(file: &WeightFile) -> Result<RraNetConfig> {
    if let Some(config) = KIND.configuration(file)? {
        return Ok(config);
    }
    let channels = |name: String, axis: usize| {
        let width = file.tensors.get(&name).and_then(|tensor| tensor.shape.get(axis).copied());
        width.ok_or_else(|| KIND.refusal(format!("no convolution `{name}`")))
    };
    let (mut widths, mut attention_widths) = ([0; SCALES], [0; DECODERS]);
    for (k, width) in widths.iter_mut().enumerate() {
        *width = channels(format!("encoder.{k}.conv1.0.weight"), 0)?;
    }
    for (k, width) in attention_widths.iter_mut().enumerate() {
        *width = channels(format!("decoder.{k}.gam.w_a.0.weight"), 1)?;
    }
    Ok(RraNetConfig { widths, attention_widths: Some(attention_widths), ..RraNetConfig::default() })
}

/// Weights and running statistics as a safetensors file that carries its configuration, for [`recognize`] and
/// `Derainer::from_weights`.
///
/// # Errors
/// When the tensors are not those of the configuration.
pub fn weight_file(config: &RraNetConfig, tensors: &Parameters) -> Result<Vec<u8>> {
    let bytes = KIND.write(config, tensors)?;
    RraNet::from_file(&WeightFile::parse(&bytes)?, &Device::Cpu)?;
    Ok(bytes)
}

/// Whether a file says itself which RRANet it holds; of one that does not, [`recognize`] takes part for granted.
pub fn is_configured(file: &WeightFile) -> bool {
    file.metadata.contains_key(KIND.key)
}

/// Makes a file say that it is an RRANet as `config` says, in place of what it said.
///
/// # Errors
/// When the tensors are not those of the configuration.
pub fn set_configuration(file: &mut WeightFile, config: &RraNetConfig) -> Result<()> {
    RraNet::with_config(config, file, Placement::default())?;
    file.metadata.insert(KIND.key.to_owned(), KIND.json(config)?);
    Ok(())
}

/// A weight file with the initial values of training, drawn from `seed`.
///
/// # Errors
/// When the configuration describes no network.
pub fn initial_weight_file(config: &RraNetConfig, seed: u64) -> Result<Vec<u8>> {
    weight_file(config, &config.initial_weights(seed)?)
}

impl RraNetConfig {
    /// The initial values of training, by parameter name: convolutions from N(0, 0.02), gains of batch norms from N(1,
    /// 0.02), biases and running means 0, running variances 1. Equal seeds give equal values.
    ///
    /// # Errors
    /// When the configuration describes no network.
    pub fn initial_weights(&self, seed: u64) -> Result<Parameters> {
        parameters::initial(seed, |vb| RraNet::new(self, vb))
    }
}

impl RraNet {
    /// The network that a weight file holds; `place` is a `Device` or `&Device`, or a [`Placement`] to choose the
    /// precision too.
    ///
    /// # Errors
    /// When the file does not hold an RRANet, or a tensor is missing, unknown or of another shape.
    pub fn from_file(file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        Self::with_config(&recognize(file)?, file, place)
    }

    /// A weight file's tensors run as `config` says, for what tensors alone cannot tell (see [`recognize`]).
    ///
    /// # Errors
    /// When a tensor is missing, unknown or of another shape.
    pub fn with_config(config: &RraNetConfig, file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        KIND.build(file, &place.into(), |vb| Self::new(config, vb))
    }
}
