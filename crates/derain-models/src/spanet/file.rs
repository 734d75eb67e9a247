//! SPANet's weight files: which network a file holds, and files that say so themselves.

use candle_core::Device;

use super::{Attention, DirectionWeights, SpaNet, SpaNetConfig};
use crate::parameters::{self, Parameters};
use crate::weight_file::Kind;
use crate::weights::WeightFile;
use crate::{Placement, Result};

const KIND: Kind = Kind { network: "spanet", key: "derain.spanet" };

/// The configuration of the SPANet that a weight file holds.
///
/// Files of this project carry it. In any other file it is read off the tensors' names and shapes, and what those leave
/// open is taken as the authors' release has it: shared attention modules, direction weights not used, BGR.
///
/// # Errors
/// When the file does not hold a SPANet.
pub fn recognize(file: &WeightFile) -> Result<SpaNetConfig> {
    if let Some(config) = KIND.configuration(file)? {
        return Ok(config);
    }
    let has = |prefix: &str| file.tensors.keys().any(|name| name.starts_with(prefix));
    let channels = match file.tensors.get("conv_in.0.weight").map(|tensor| &tensor.shape[..]) {
        Some(&[channels, 3, 3, 3]) if has("res_block1.group1.") => channels,
        _ => {
            let problems = "no convolution `conv_in.0.weight` of 3x3 over 3 channels and no `res_block1`";
            return Err(KIND.refusal(problems.into()));
        }
    };
    let attention = match (has("SAM1."), has("SAM2.")) {
        (false, _) => Attention::None,
        (true, false) => Attention::Shared,
        (true, true) => Attention::Separate,
    };
    let with_branch = has("SAM1.attention_layer.") || attention == Attention::None;
    let direction_weights = if with_branch { DirectionWeights::Ignored } else { DirectionWeights::Absent };
    Ok(SpaNetConfig { channels, attention, direction_weights, ..SpaNetConfig::release() })
}

/// Weights as a safetensors file that carries its configuration, for [`recognize`] and `Derainer::from_weights`.
///
/// # Errors
/// When the tensors are not those of the configuration.
pub fn weight_file(config: &SpaNetConfig, tensors: &Parameters) -> Result<Vec<u8>> {
    let bytes = KIND.write(config, tensors)?;
    SpaNet::from_file(&WeightFile::parse(&bytes)?, &Device::Cpu)?;
    Ok(bytes)
}

/// Whether a file says itself which SPANet it holds; of one that does not, [`recognize`] takes part for granted.
pub fn is_configured(file: &WeightFile) -> bool {
    file.metadata.contains_key(KIND.key)
}

/// Makes a file say that it is a SPANet as `config` says, in place of what it said.
///
/// # Errors
/// When the tensors are not those of the configuration.
pub fn set_configuration(file: &mut WeightFile, config: &SpaNetConfig) -> Result<()> {
    SpaNet::with_config(config, file, Placement::default())?;
    file.metadata.insert(KIND.key.to_owned(), KIND.json(config)?);
    Ok(())
}

/// A weight file with the initial values of training, drawn from `seed`.
///
/// # Errors
/// When the configuration describes no network.
pub fn initial_weight_file(config: &SpaNetConfig, seed: u64) -> Result<Vec<u8>> {
    weight_file(config, &config.initial_weights(seed)?)
}

impl SpaNetConfig {
    /// The initial values of training, by parameter name: convolutions uniform within ±1/sqrt(fan_in), IRNN weights
    /// 0.2, IRNN biases uniform in ±1. Equal seeds give equal values.
    ///
    /// # Errors
    /// When the configuration describes no network.
    pub fn initial_weights(&self, seed: u64) -> Result<Parameters> {
        parameters::initial(seed, |vb| SpaNet::new(self, vb))
    }
}

impl SpaNet {
    /// The network that a weight file holds, which takes BGR if it is the authors' (`config().channel_order`); `place`
    /// is a `Device` or `&Device`, or a [`Placement`] to choose the precision too.
    ///
    /// # Errors
    /// When the file does not hold a SPANet, or a tensor is missing, unknown or of another shape.
    pub fn from_file(file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        Self::with_config(&recognize(file)?, file, place)
    }

    /// A weight file's tensors run as `config` says, for what tensors alone cannot tell (see [`recognize`]).
    ///
    /// # Errors
    /// When a tensor is missing, unknown or of another shape.
    pub fn with_config(config: &SpaNetConfig, file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        KIND.build(file, &place.into(), |vb| Self::new(config, vb)?.kept())
    }
}
