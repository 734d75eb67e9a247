//! The parts that SPANet is made of.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Conv2d, Conv2dConfig, Init, Module, VarBuilder};
use derain_ops::{irnn, irnn_directional};

use super::{DirectionWeights, SpanetConfig};

/// The IRNN's weights at the start of training.
const INITIAL_IRNN_WEIGHT: f64 = 0.2;

/// A convolution of odd size that keeps the picture's size, without bias.
pub(super) fn conv(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Conv2d> {
    dilated_conv(from, to, size, 1, vb)
}

fn dilated_conv(from: usize, to: usize, size: usize, dilation: usize, vb: VarBuilder<'_>) -> Result<Conv2d> {
    let weight = vb.get_with_hints((to, from, size, size), "weight", uniform(from * size * size))?;
    Ok(Conv2d::new(weight, None, same_size(size, dilation)))
}

fn conv_with_bias(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Conv2d> {
    let fan_in = from * size * size;
    let weight = vb.get_with_hints((to, from, size, size), "weight", uniform(fan_in))?;
    let bias = vb.get_with_hints(to, "bias", uniform(fan_in))?;
    Ok(Conv2d::new(weight, Some(bias), same_size(size, 1)))
}

/// The release's initial values: uniform within ±1/sqrt(fan_in).
fn uniform(fan_in: usize) -> Init {
    let bound = (fan_in as f64).sqrt().recip();
    Init::Uniform { lo: -bound, up: bound }
}

fn same_size(size: usize, dilation: usize) -> Conv2dConfig {
    Conv2dConfig { padding: size / 2 * dilation, dilation, ..Default::default() }
}

/// 1x1, 3x3 with dilation 2, 1x1, with ReLUs between; no bias.
#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

impl Bottleneck {
    pub(super) fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: conv(channels, channels, 1, vb.pp("conv1"))?,
            conv2: dilated_conv(channels, channels, 3, 2, vb.pp("conv2"))?,
            conv3: conv(channels, channels, 1, vb.pp("conv3"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(x)?.relu()?;
        let x = self.conv2.forward(&x)?.relu()?;
        self.conv3.forward(&x)
    }
}

/// The spatial attentive module: two rounds of four-directional scans, then one map in 0..1.
#[derive(Clone, Debug)]
pub(super) struct SpatialAttention {
    branch: Option<DirectionBranch>,
    direction_weights: DirectionWeights,
    conv_in: Conv2d,
    irnn1: Scans,
    conv2: Conv2d,
    irnn2: Scans,
    conv3: Conv2d,
    conv_out: Conv2d,
}

impl SpatialAttention {
    pub(super) fn new(config: &SpanetConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let channels = config.channels;
        let branch = match config.direction_weights {
            DirectionWeights::Absent => None,
            _ => Some(DirectionBranch::new(channels, vb.pp("attention_layer"))?),
        };
        Ok(Self {
            branch,
            direction_weights: config.direction_weights,
            conv_in: conv(channels, channels, 3, vb.pp("conv_in"))?,
            irnn1: Scans::new(channels, vb.pp("irnn1"))?,
            conv2: conv(4 * channels, channels, 3, vb.pp("conv2"))?,
            irnn2: Scans::new(channels, vb.pp("irnn2"))?,
            conv3: conv(4 * channels, channels, 3, vb.pp("conv3"))?,
            conv_out: conv(channels, 1, 1, vb.pp("conv_out"))?,
        })
    }

    /// x `[B, C, H, W]` -> the attention map `[B, 1, H, W]`.
    pub(super) fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        let directions = match (&self.branch, self.direction_weights) {
            (Some(branch), DirectionWeights::Multiplied) => Some(branch.forward(x)?),
            _ => None,
        };
        let h = self.irnn1.forward(&self.conv_in.forward(x)?, directions.as_ref())?;
        let h = self.irnn2.forward(&self.conv2.forward(&h)?, directions.as_ref())?;
        let h = self.conv3.forward(&h)?.relu()?;
        Ok(sigmoid(&self.conv_out.forward(&h)?)?)
    }
}

/// One IRNN's coefficients; the release stores them as depthwise 1x1 convolutions.
#[derive(Clone, Debug)]
struct Scans {
    weights: [Tensor; 4],
    biases: [Tensor; 4],
}

impl Scans {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let names = ["up", "right", "down", "left"].map(|direction| vb.pp(format!("{direction}_weight")));
        let weight = |vb: &VarBuilder<'_>| {
            vb.get_with_hints((channels, 1, 1, 1), "weight", Init::Const(INITIAL_IRNN_WEIGHT))?.reshape(channels)
        };
        let bias = |vb: &VarBuilder<'_>| vb.get_with_hints(channels, "bias", Init::Uniform { lo: -1.0, up: 1.0 });
        let [up, right, down, left] = &names;
        Ok(Self {
            weights: [weight(up)?, weight(right)?, weight(down)?, weight(left)?],
            biases: [bias(up)?, bias(right)?, bias(down)?, bias(left)?],
        })
    }

    /// x `[B, C, H, W]` -> `[B, 4·C, H, W]`, times `directions` `[B, 4, H, W]` where given.
    fn forward(&self, x: &Tensor, directions: Option<&Tensor>) -> crate::Result<Tensor> {
        let (weights, biases) = (Tensor::stack(&self.weights, 0)?, Tensor::stack(&self.biases, 0)?);
        Ok(match directions {
            Some(directions) => irnn_directional(x, &weights, &biases, directions)?,
            None => irnn(x, &weights, &biases)?,
        })
    }
}

/// The attention branch: one weight map in 0..1 per scan direction.
#[derive(Clone, Debug)]
struct DirectionBranch {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

impl DirectionBranch {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let half = channels / 2;
        Ok(Self {
            conv1: conv_with_bias(channels, half, 3, vb.pp("conv1"))?,
            conv2: conv_with_bias(half, half, 3, vb.pp("conv2"))?,
            conv3: conv_with_bias(half, 4, 1, vb.pp("conv3"))?,
        })
    }

    /// x `[B, C, H, W]` -> `[B, 4, H, W]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(x)?.relu()?;
        let x = self.conv2.forward(&x)?.relu()?;
        sigmoid(&self.conv3.forward(&x)?)
    }
}
