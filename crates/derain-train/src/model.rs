//! The networks that can be trained, behind one interface.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use derain_models::rranet::{self, BatchStatistics};
use derain_models::spanet::{self, ChannelOrder};
use derain_models::weights::WeightFile;
use derain_models::{Error as ModelError, RraNet, SpaNet};
use derain_ops::update::approach;

use crate::{NetworkConfig, Result};

/// Parameters whose names end like this are running statistics of batch norms: they follow the batches instead of a
/// gradient.
const RUNNING_MEAN: &str = ".running_mean";
const RUNNING_VARIANCE: &str = ".running_var";

/// The share of a batch in running statistics, PyTorch's.
const MOMENTUM: f64 = 0.1;

/// A network of any kind, built over parameters that others hold.
#[derive(Clone, Debug)]
pub(crate) enum AnyNetwork {
    SpaNet(SpaNet),
    RraNet(RraNet),
}

/// What a network makes of a batch.
pub(crate) struct Output {
    /// `[B, 3, H, W]`, not clamped.
    pub clean: Tensor,
    /// `[B, 1, H, W]` in 0..1.
    pub attention: Option<Tensor>,
}

/// A network with its parameters as variables.
#[derive(Debug)]
pub(crate) struct Trainable {
    /// As training runs it.
    pub network: AnyNetwork,
    /// Names of all parameters, in the order of everything that goes by parameter.
    pub names: Vec<String>,
    /// The parameters.
    pub variables: Vec<Var>,
    /// Places in that order of those that a gradient changes.
    pub trained: Vec<usize>,
}

impl AnyNetwork {
    pub(crate) fn new(config: &NetworkConfig, builder: VarBuilder<'_>) -> Result<Self> {
        Ok(match config {
            NetworkConfig::SpaNet(config) => Self::SpaNet(SpaNet::new(config, builder)?),
            NetworkConfig::RraNet(config) => Self::RraNet(RraNet::new(config, builder)?),
        })
    }

    /// Over tensors by name.
    pub(crate) fn over<'a>(
        config: &NetworkConfig,
        tensors: impl Iterator<Item = (&'a String, Tensor)>,
        device: &Device,
    ) -> Result<Self> {
        let tensors: HashMap<String, Tensor> = tensors.map(|(name, tensor)| (name.clone(), tensor)).collect();
        Self::new(config, VarBuilder::from_tensors(tensors, DType::F32, device))
    }

    /// Runs the network on `[B, 3, H, W]`, in the network's order of colours, as it will be used.
    pub(crate) fn forward(&self, pictures: &Tensor) -> Result<Output> {
        match self {
            Self::SpaNet(network) => {
                let output = network.forward(pictures)?;
                Ok(Output { clean: output.clean, attention: output.attention })
            }
            Self::RraNet(network) => Ok(network.forward(pictures)?.into()),
        }
    }

    /// The same as training has it, with what batch norms saw, in order of use.
    pub(crate) fn forward_train(&self, pictures: &Tensor) -> Result<(Output, Vec<BatchStatistics>)> {
        match self {
            Self::SpaNet(_) => Ok((self.forward(pictures)?, Vec::new())),
            Self::RraNet(network) => {
                let training = network.forward_train(pictures)?;
                Ok((training.output.into(), training.statistics))
            }
        }
    }
}

impl From<rranet::RraNetOutput> for Output {
    /// The map of full size.
    fn from(output: rranet::RraNetOutput) -> Self {
        Self { clean: output.clean, attention: output.attention.last().cloned() }
    }
}

impl Trainable {
    /// A network with these parameters, which become variables on `device`.
    pub(crate) fn new(config: &NetworkConfig, parameters: &BTreeMap<String, Tensor>, device: &Device) -> Result<Self> {
        let names: Vec<String> = parameters.keys().cloned().collect();
        let variables = parameters.values().map(|tensor| Ok(Var::from_tensor(&tensor.to_device(device)?)?));
        let variables: Vec<Var> = variables.collect::<Result<_>>()?;
        let tensors = names.iter().zip(variables.iter().map(|variable| variable.as_tensor().clone()));
        let network = AnyNetwork::over(config, tensors, device)?;
        let is_trained = |name: &String| !name.ends_with(RUNNING_MEAN) && !name.ends_with(RUNNING_VARIANCE);
        let trained = (0..names.len()).filter(|&index| is_trained(&names[index])).collect();
        Ok(Self { network, names, variables, trained })
    }

    /// The variables that a gradient changes.
    pub(crate) fn trained(&self) -> Vec<Var> {
        self.trained.iter().map(|&index| self.variables[index].clone()).collect()
    }

    /// Takes what batch norms saw into their running statistics: running = running + momentum · (batch - running), once
    /// for each use.
    pub(crate) fn follow(&self, statistics: &[BatchStatistics]) -> Result<()> {
        for BatchStatistics { name, mean, variance } in statistics {
            for (ending, seen) in [(RUNNING_MEAN, mean), (RUNNING_VARIANCE, variance)] {
                let name = format!("{name}{ending}");
                let Ok(place) = self.names.binary_search(&name) else {
                    return Err(candle_core::Error::Msg(format!("the network has no parameter {name}")).into());
                };
                approach(&self.variables[place], seen, MOMENTUM)?;
            }
        }
        Ok(())
    }

    /// All parameters as tensors without gradients, which share memory with the variables.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        self.variables.iter().map(Var::as_detached_tensor).collect()
    }
}

impl NetworkConfig {
    /// Whether the network takes and gives blue first.
    pub(crate) fn is_bgr(&self) -> bool {
        match self {
            Self::SpaNet(config) => config.channel_order == ChannelOrder::Bgr,
            Self::RraNet(_) => false,
        }
    }

    /// Random initial values by name.
    pub(crate) fn initial_weights(&self, seed: u64) -> Result<BTreeMap<String, Tensor>> {
        Ok(match self {
            Self::SpaNet(config) => config.initial_weights(seed)?,
            Self::RraNet(config) => config.initial_weights(seed)?,
        })
    }

    /// The values of a weight file, if it is this network's.
    pub(crate) fn weights_of(&self, path: &Path) -> Result<BTreeMap<String, Tensor>> {
        let file = WeightFile::open(path).map_err(ModelError::from)?;
        match self {
            // Checks names, shapes and values.
            Self::SpaNet(config) => drop(SpaNet::with_config(config, &file, &Device::Cpu)?),
            Self::RraNet(config) => drop(RraNet::with_config(config, &file, &Device::Cpu)?),
        }
        // Counts of batches, which PyTorch's batch norms carry, are no parameters.
        let parameters = file.tensors.iter().filter(|(name, _)| !name.ends_with(".num_batches_tracked"));
        let tensors = parameters.map(|(name, tensor)| {
            Ok((name.clone(), tensor.to_candle(DType::F32, &Device::Cpu).map_err(ModelError::from)?))
        });
        tensors.collect()
    }

    /// A weight file that `Derainer` reads.
    pub(crate) fn weight_file(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
        Ok(match self {
            Self::SpaNet(config) => spanet::weight_file(config, tensors)?,
            Self::RraNet(config) => rranet::weight_file(config, tensors)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use derain_models::rranet::RraNetConfig;

    use super::*;

    /// From mean 0 and variance 1: 0.9 · 0 + 0.1 · 2 = 0.2, 0.9 · 1 + 0.1 · 3 = 1.2; once more with 4 and 0.2: 0.58,
    /// 1.1.
    #[test]
    fn running_statistics_follow_each_use_of_a_norm() -> Result<()> {
        let config = NetworkConfig::RraNet(RraNetConfig { widths: [4; 4], stages: 1, ..RraNetConfig::paper() });
        let model = Trainable::new(&config, &config.initial_weights(1)?, &Device::Cpu)?;
        let name = "encoder.1.conv1.1";
        let value = |ending: &str| -> Result<Vec<f32>> {
            let place = model.names.binary_search(&format!("{name}{ending}")).expect("a norm of that name");
            Ok(model.variables[place].to_vec1()?)
        };
        let seen = |mean: f32, variance: f32| -> Result<BatchStatistics> {
            let of = |value: f32| Tensor::full(value, 4, &Device::Cpu);
            Ok(BatchStatistics { name: name.to_owned(), mean: of(mean)?, variance: of(variance)? })
        };
        assert_eq!((value(RUNNING_MEAN)?, value(RUNNING_VARIANCE)?), (vec![0.0; 4], vec![1.0; 4]));
        model.follow(&[seen(2.0, 3.0)?, seen(4.0, 0.2)?])?;
        for (ending, expected) in [(RUNNING_MEAN, 0.58), (RUNNING_VARIANCE, 1.1)] {
            assert!(value(ending)?.iter().all(|&got| (got - expected).abs() < 1e-6), "{ending}: {:?}", value(ending)?);
        }
        let unknown = BatchStatistics { name: "nobody".into(), ..seen(1.0, 1.0)? };
        assert!(model.follow(&[unknown]).is_err_and(|error| error.to_string().contains("nobody.running_mean")));
        Ok(())
    }
}
