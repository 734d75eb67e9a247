//! SPANet (Wang et al., "Spatial Attentive Single-Image Deraining with a High Quality Real Rain Dataset", CVPR 2019).
//!
//! ```text
//! x = relu(conv_in(picture))                  3 -> C channels
//! blocks 1-3:    x = relu(block(x) + x)
//! four times:    A = SAM(x), then three blocks x = relu(block(x)·A + x)
//! blocks 16, 17: x = relu(block(x) + x)
//! clean = conv_out(x)                         C -> 3 channels, not clamped
//! ```
//!
//! A block is a bottleneck of 1x1, 3x3 with dilation 2, and 1x1 convolutions. The spatial attentive module (SAM) lets
//! each pixel see its whole row and column, twice:
//!
//! ```text
//! h = irnn1(conv_in(x)), h = irnn2(conv2(h)), A = sigmoid(conv_out(relu(conv3(h))))      A is [B, 1, H, W] in 0..1
//! ```
//!
//! with the four directions multiplied by the maps of the attention branch, if the configuration says so. Pictures are
//! `[B, 3, H, W]` in 0..1, of any size, in the configuration's channel order. Parameter names are those of the released
//! checkpoint.

mod config;
mod file;
mod layers;
mod planned;
mod taped;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

pub use config::{Attention, ChannelOrder, DirectionWeights, SpaNetConfig};
pub use file::{initial_weight_file, is_configured, recognize, set_configuration, weight_file};
use layers::{Bottleneck, SpatialAttention};
pub(crate) use planned::{Planned, PlannedOutput};

use crate::conv::{self, Conv};
use crate::{Result, pictures};

/// Residual blocks in all; the first and last run without attention.
const BLOCKS: usize = 17;
/// Groups of blocks that an attention map precedes.
const ATTENTIVE_GROUPS: usize = 4;
/// Blocks of a group, and before the first group.
const GROUP_BLOCKS: usize = 3;

/// The network with its weights.
#[derive(Clone, Debug)]
pub struct SpaNet {
    config: SpaNetConfig,
    conv_in: Conv,
    blocks: Vec<Bottleneck>,
    attention: Vec<SpatialAttention>,
    conv_out: Conv,
    pools: Arc<taped::Pools>,
}

/// What the network makes of a picture.
#[derive(Clone, Debug)]
pub struct SpaNetOutput {
    /// The picture without rain, `[B, 3, H, W]`, not clamped to 0..1.
    pub clean: Tensor,
    /// The first attention map, `[B, 1, H, W]` in 0..1; none where the configuration has no attention.
    pub attention: Option<Tensor>,
}

impl SpaNet {
    /// The network that `config` describes, its parameters taken from `vb` under the release's names.
    ///
    /// # Errors
    /// When the configuration describes no network, or `vb` lacks a parameter or has it in another shape.
    pub fn new(config: &SpaNetConfig, vb: VarBuilder<'_>) -> Result<Self> {
        config.check()?;
        let channels = config.channels;
        let modules = match config.attention {
            Attention::None => 0,
            Attention::Once | Attention::Shared => 1,
            Attention::Separate => ATTENTIVE_GROUPS,
        };
        let attention = (1..=modules).map(|k| SpatialAttention::new(config, vb.pp(format!("SAM{k}"))));
        let blocks = (1..=BLOCKS).map(|k| Bottleneck::new(channels, vb.pp(format!("res_block{k}.group1"))));
        Ok(Self {
            config: config.clone(),
            conv_in: Conv::new(3, channels, 3, conv::in_f32(vb.pp("conv_in.0")))?,
            attention: attention.collect::<candle_core::Result<_>>()?,
            blocks: blocks.collect::<candle_core::Result<_>>()?,
            conv_out: Conv::new(channels, 3, 3, conv::in_f32(vb.pp("conv_out.0")))?,
            pools: Arc::default(),
        })
    }

    /// The same of weights that do not change any more: a GPU keeps them as its kernels read them.
    fn kept(&self) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            conv_in: self.conv_in.kept(),
            blocks: self.blocks.iter().map(Bottleneck::kept).collect(),
            attention: self.attention.iter().map(SpatialAttention::kept).collect::<candle_core::Result<_>>()?,
            conv_out: self.conv_out.kept(),
            pools: Arc::clone(&self.pools),
        })
    }

    /// The configuration that the network was made from.
    pub fn config(&self) -> &SpaNetConfig {
        &self.config
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        self.conv_in.weight.device()
    }

    /// The type of features.
    pub(crate) fn dtype(&self) -> DType {
        self.blocks[0].conv1.weight.dtype()
    }

    /// Runs the network on pictures `[B, 3, H, W]` in 0..1, their channels in the order of `config().channel_order`
    /// (BGR for the files of SPANet's authors, which [`Derainer`](crate::Derainer) sees to, and this does not);
    /// gradients flow to the weights where those are variables.
    ///
    /// On the CPU this is one operation whose buffers serve the next call again; they are freed with the network.
    ///
    /// # Errors
    /// [`Error::Pictures`](crate::Error::Pictures) for another shape, [`Error::PictureType`](crate::Error::PictureType) for another type than the
    /// weights', f32 where those are halves.
    pub fn forward(&self, pictures: &Tensor) -> Result<SpaNetOutput> {
        pictures::check(pictures, self.dtype())?;
        let float = matches!(pictures.dtype(), DType::F32 | DType::F64);
        if pictures.device().is_cpu() && float {
            taped::forward(self, pictures, &self.pools)
        } else {
            self.by_layers(pictures)
        }
    }

    /// The same layer by layer, tensor by tensor: on devices other than the CPU, and what `taped` is compared with.
    fn by_layers(&self, pictures: &Tensor) -> Result<SpaNetOutput> {
        let mut x = pictures.clone();
        let mut first_map = None;
        let mut map: Option<Tensor> = None;
        for layer in self.layers() {
            match layer {
                Layer::ConvIn => x = conv::for_conv(&self.conv_in.forward_relu(&x)?, &self.blocks[0].conv1)?,
                Layer::Attend(module) => {
                    map = Some(self.attention[module].forward(&x)?);
                    first_map = first_map.or_else(|| map.clone());
                }
                Layer::Block { index, attentive } => {
                    x = self.blocks[index].forward(&x, map.as_ref().filter(|_| attentive))?;
                }
                Layer::ConvOut => x = self.conv_out.forward(&conv::for_conv(&x, &self.conv_out)?)?,
            }
        }
        Ok(SpaNetOutput { clean: x, attention: first_map })
    }

    /// The network as a list, for whoever executes it: `taped` and [`Self::by_layers`] with gradients, `planned` for
    /// inference.
    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::ConvIn];
        for index in 0..BLOCKS {
            let group = (index / GROUP_BLOCKS).checked_sub(1).filter(|&group| group < ATTENTIVE_GROUPS);
            if let Some(group) = group.filter(|_| index % GROUP_BLOCKS == 0) {
                match self.config.attention {
                    Attention::Separate => layers.push(Layer::Attend(group)),
                    Attention::Shared => layers.push(Layer::Attend(0)),
                    Attention::Once if group == 0 => layers.push(Layer::Attend(0)),
                    Attention::Once | Attention::None => {}
                }
            }
            let attentive = group.is_some() && self.config.attention != Attention::None;
            layers.push(Layer::Block { index, attentive });
        }
        layers.push(Layer::ConvOut);
        layers
    }
}

/// A step of the network.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// The first convolution and its ReLU.
    ConvIn,
    /// The attention module of this number gives the map that holds from here on.
    Attend(usize),
    /// A residual block, times the map if it is attentive.
    Block { index: usize, attentive: bool },
    /// The last convolution.
    ConvOut,
}
