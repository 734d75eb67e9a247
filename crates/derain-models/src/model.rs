//! The networks, made ready for pictures, behind one face.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use derain_ops::device::release_freed_memory;

use crate::bands::{self, Room};
use crate::engine::{Progress, Storage};
use crate::output::{Map, ModelOutput};
use crate::pixels::RgbPixels;
use crate::rranet::{self, RraNet, RraNetConfig, RraNetOutput};
use crate::spanet::{self, Attention, ChannelOrder, SpaNet, SpaNetConfig, SpaNetOutput};
use crate::weights::WeightFile;
use crate::{Error, Network, Placement, Precision, Result};

/// A network with its weights.
#[derive(Clone)]
pub(crate) enum Model {
    SpaNet {
        network: SpaNet,
        /// The network made ready for the CPU; none on other devices.
        planned: Option<Arc<spanet::Planned>>,
        room: Arc<Room>,
    },
    RraNet {
        network: RraNet,
        /// Likewise.
        planned: Option<Arc<rranet::Planned>>,
        room: Arc<Room>,
    },
}

impl Model {
    pub(crate) fn spanet(config: &SpaNetConfig, file: &WeightFile, place: &Placement) -> Result<Self> {
        let network = SpaNet::with_config(config, file, place.clone())?;
        let planned = place.device.is_cpu().then(|| spanet::Planned::new(&network)).transpose()?.map(Arc::new);
        Ok(Self::SpaNet { network, planned, room: Arc::default() })
    }

    pub(crate) fn rranet(config: &RraNetConfig, file: &WeightFile, place: &Placement) -> Result<Self> {
        let network = RraNet::with_config(config, file, place.clone())?.without_norms()?;
        let planned = place.device.is_cpu().then(|| rranet::Planned::new(&network)).transpose()?.map(Arc::new);
        Ok(Self::RraNet { network, planned, room: Arc::default() })
    }

    /// The network that a file holds, its variant recognised.
    pub(crate) fn from_file(network: Network, file: &WeightFile, place: &Placement) -> Result<Self> {
        let model = match network {
            Network::SpaNet => spanet::recognize(file).and_then(|config| Self::spanet(&config, file, place)),
            Network::RraNet => rranet::recognize(file).and_then(|config| Self::rranet(&config, file, place)),
        };
        let is_of = |other| match other {
            Network::SpaNet => spanet::recognize(file).is_ok(),
            Network::RraNet => rranet::recognize(file).is_ok(),
        };
        // Which tensors are missing would tell nobody that only the network's name is wrong.
        model.map_err(|error| {
            match (error, Network::ALL.iter().copied().find(|&other| other != network && is_of(other))) {
                (Error::Weights { network, .. }, Some(other)) => {
                    Error::Weights { network, problems: format!("they are those of {other}") }
                }
                (error, _) => error,
            }
        })
    }

    pub(crate) fn network(&self) -> Network {
        match self {
            Self::SpaNet { .. } => Network::SpaNet,
            Self::RraNet { .. } => Network::RraNet,
        }
    }

    /// Whether pixels are blue, green, red.
    pub(crate) fn takes_bgr(&self) -> bool {
        matches!(self, Self::SpaNet { network, .. } if network.config().channel_order == ChannelOrder::Bgr)
    }

    /// Whether it gives maps of where it saw rain.
    pub(crate) fn has_attention(&self) -> bool {
        match self {
            Self::SpaNet { network, .. } => network.config().attention != Attention::None,
            Self::RraNet { .. } => true,
        }
    }

    /// In which it computes.
    pub(crate) fn precision(&self) -> Precision {
        let dtype = match self {
            Self::SpaNet { network, .. } => network.dtype(),
            Self::RraNet { network, .. } => network.dtype(),
        };
        Precision::ALL.iter().copied().find(|precision| precision.dtype() == dtype).unwrap_or_default()
    }

    /// Whether features can be kept in files.
    pub(crate) fn can_spool(&self) -> bool {
        matches!(self, Self::SpaNet { planned: Some(_), .. })
    }

    /// Bytes that a run takes at most, the picture not counted.
    pub(crate) fn memory_needed(&self, (height, width): (usize, usize), storage: Storage<'_>) -> u64 {
        // On GPUs: tensors of `per_pixel` values a pixel, and what cuDNN takes for a convolution.
        let on_gpu = |per_pixel: usize, dtype: DType| {
            let values = (height as u64).saturating_mul(width as u64).saturating_mul(per_pixel as u64);
            let beside = if cfg!(feature = "cudnn") { 1 << 30 } else { 0 };
            values.saturating_mul(dtype.size_in_bytes() as u64).saturating_add(beside)
        };
        match self {
            Self::SpaNet { planned: Some(planned), .. } => planned.memory_needed(height, width, storage),
            // Features, a module's four scans, and these twice with zeros around them.
            Self::SpaNet { network, planned: None, .. } => on_gpu(14 * network.config().channels, network.dtype()),
            Self::RraNet { planned: Some(planned), .. } => planned.memory_needed(height, width),
            // Gates, their input, two states and what skips, as tensors.
            Self::RraNet { network, planned: None, .. } => {
                let [first, second, third, fourth] = network.config().widths;
                let channels = first + second.div_ceil(4) + third.div_ceil(16) + fourth.div_ceil(64);
                on_gpu(24 * channels, network.dtype())
            }
        }
    }

    /// Runs the network on pixels in its own colour order. On GPUs, where memory does not suffice, in bands.
    pub(crate) fn run(
        &self,
        pixels: RgbPixels,
        storage: Storage<'_>,
        progress: Progress<'_>,
    ) -> Result<(ModelOutput, usize)> {
        let (height, width) = (pixels.height as usize, pixels.width as usize);
        match self {
            Self::SpaNet { planned: Some(planned), .. } => {
                let spanet::PlannedOutput { clean, attention } =
                    planned.run((height, width), pixels.values, storage, progress)?;
                let maps = attention.map(|values| Map { width, values }).into_iter().collect();
                Ok((ModelOutput { clean, maps }, 1))
            }
            Self::SpaNet { network, planned: None, room } => {
                let once = |pixels: &RgbPixels| {
                    let SpaNetOutput { clean, attention } = network.forward(&picture(pixels, network.device())?)?;
                    output(&clean, attention.as_slice())
                };
                bands::run(&pixels, room, by_all_memory(network.device(), once))
            }
            Self::RraNet { planned: Some(planned), .. } => {
                Ok((planned.run((height, width), &pixels.values, progress)?, 1))
            }
            Self::RraNet { network, planned: None, room } => {
                let once = |pixels: &RgbPixels| {
                    let RraNetOutput { clean, attention } = network.forward(&picture(pixels, network.device())?)?;
                    output(&clean, &attention)
                };
                bands::run(&pixels, room, by_all_memory(network.device(), once))
            }
        }
    }
}

/// A network on a GPU that fails for want of memory only where it does so with all that no tensor has: what tensors gave
/// back may lie in pieces too small for the next.
fn by_all_memory(
    device: &Device,
    network: impl Fn(&RgbPixels) -> Result<ModelOutput>,
) -> impl Fn(&RgbPixels) -> Result<ModelOutput> {
    // What the driver says against it, it says again where the network runs.
    bands::tried_twice(network, || drop(release_freed_memory(device)))
}

/// Pixels as a tensor `[1, 3, H, W]`.
fn picture(pixels: &RgbPixels, device: &Device) -> Result<Tensor> {
    let shape = (1, pixels.height as usize, pixels.width as usize, 3);
    Ok(Tensor::from_slice(&pixels.values, shape, device)?.permute((0, 3, 1, 2))?.contiguous()?)
}

fn output(clean: &Tensor, maps: &[Tensor]) -> Result<ModelOutput> {
    let clean = clean.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1()?;
    let values = |map: &Tensor| map.flatten_all()?.to_dtype(DType::F32)?.to_vec1();
    let maps = maps.iter().map(|map| Ok(Map { width: map.dim(3)?, values: values(map)? }));
    Ok(ModelOutput { clean, maps: maps.collect::<Result<_>>()? })
}
