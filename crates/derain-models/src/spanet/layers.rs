//! The parts that SPANet is made of.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use derain_ops::irnn::RectScans;
use derain_ops::{Activation, Isa, irnn, irnn_directional};

use super::{DirectionWeights, SpaNetConfig};
use crate::conv::{Conv, values};

/// The IRNN's weights at the start of training.
const INITIAL_IRNN_WEIGHT: f64 = 0.2;

impl Conv {
    /// Without bias, undilated.
    pub(super) fn new(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints((to, from, size, size), "weight", uniform(from * size * size))?;
        Ok(Self::from_parameters(weight, None, 1))
    }

    fn with_bias(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let bias = vb.get_with_hints(to, "bias", uniform(from * size * size))?;
        let mut conv = Self::new(from, to, size, vb)?;
        conv.bias = Some(bias);
        Ok(conv)
    }

    fn dilated(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }
}

/// The release's initial values: uniform within ±1/sqrt(fan_in).
fn uniform(fan_in: usize) -> Init {
    let bound = (fan_in as f64).sqrt().recip();
    Init::Uniform { lo: -bound, up: bound }
}

/// 1x1, 3x3 with dilation 2, 1x1, with ReLUs between; no bias.
#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    pub(super) conv1: Conv,
    pub(super) conv2: Conv,
    pub(super) conv3: Conv,
}

impl Bottleneck {
    pub(super) fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: Conv::new(channels, channels, 1, vb.pp("conv1"))?,
            conv2: Conv::new(channels, channels, 3, vb.pp("conv2"))?.dilated(2),
            conv3: Conv::new(channels, channels, 1, vb.pp("conv3"))?,
        })
    }

    pub(super) fn kept(&self) -> Self {
        Self { conv1: self.conv1.kept(), conv2: self.conv2.kept(), conv3: self.conv3.kept() }
    }

    pub(super) fn channels(&self) -> usize {
        self.conv1.inputs()
    }

    /// relu(block(x) · map + x), the map `[B, 1, H, W]` or 1.
    pub(super) fn forward(&self, x: &Tensor, map: Option<&Tensor>) -> crate::Result<Tensor> {
        let inner = self.conv1.forward_relu(x)?;
        let inner = self.conv2.forward_relu(&inner)?;
        self.conv3.forward_onto(&inner, map, x, Activation::Relu)
    }
}

/// The spatial attentive module: two rounds of four-directional scans, then one map in 0..1.
#[derive(Clone, Debug)]
pub(super) struct SpatialAttention {
    branch: Option<DirectionBranch>,
    direction_weights: DirectionWeights,
    pub(super) conv_in: Conv,
    pub(super) irnn1: Scans,
    pub(super) conv2: Conv,
    pub(super) irnn2: Scans,
    pub(super) conv3: Conv,
    pub(super) conv_out: Conv,
}

impl SpatialAttention {
    pub(super) fn new(config: &SpaNetConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let channels = config.channels;
        let branch = match config.direction_weights {
            DirectionWeights::Absent => None,
            _ => Some(DirectionBranch::new(channels, vb.pp("attention_layer"))?),
        };
        Ok(Self {
            branch,
            direction_weights: config.direction_weights,
            conv_in: Conv::new(channels, channels, 3, vb.pp("conv_in"))?,
            irnn1: Scans::new(channels, vb.pp("irnn1"))?,
            conv2: Conv::new(4 * channels, channels, 3, vb.pp("conv2"))?,
            irnn2: Scans::new(channels, vb.pp("irnn2"))?,
            conv3: Conv::new(4 * channels, channels, 3, vb.pp("conv3"))?,
            conv_out: Conv::new(channels, 1, 1, vb.pp("conv_out"))?,
        })
    }

    pub(super) fn kept(&self) -> Result<Self> {
        Ok(Self {
            branch: self.branch.as_ref().map(DirectionBranch::kept),
            direction_weights: self.direction_weights,
            conv_in: self.conv_in.kept(),
            irnn1: self.irnn1.kept()?,
            conv2: self.conv2.kept(),
            irnn2: self.irnn2.kept()?,
            conv3: self.conv3.kept(),
            conv_out: self.conv_out.kept(),
        })
    }

    /// The branch, if its maps multiply anything.
    pub(super) fn used_branch(&self) -> Option<&DirectionBranch> {
        self.branch.as_ref().filter(|_| self.direction_weights == DirectionWeights::Multiplied)
    }

    /// x `[B, C, H, W]` -> the attention map `[B, 1, H, W]`.
    pub(super) fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        let directions = self.used_branch().map(|branch| branch.forward(x)).transpose()?;
        let h = self.irnn1.forward(&self.conv_in.forward(x)?, directions.as_ref())?;
        let h = self.irnn2.forward(&self.conv2.forward(&h)?, directions.as_ref())?;
        let h = self.conv3.forward_relu(&h)?;
        Ok(sigmoid(&self.conv_out.forward(&h)?)?)
    }
}

/// One IRNN's coefficients; the release stores them as depthwise 1x1 convolutions.
#[derive(Clone, Debug)]
pub(super) struct Scans {
    pub(super) weights: [Tensor; 4],
    pub(super) biases: [Tensor; 4],
    /// Weights and biases `[4, C]`, for inference alone.
    joined: Option<[Tensor; 2]>,
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
            joined: None,
        })
    }

    fn kept(&self) -> Result<Self> {
        Ok(Self { joined: Some(self.joined()?), ..self.clone() })
    }

    /// Weights and biases, `[4, C]` each.
    fn joined(&self) -> Result<[Tensor; 2]> {
        match &self.joined {
            Some(joined) => Ok(joined.clone()),
            None => Ok([Tensor::stack(&self.weights, 0)?, Tensor::stack(&self.biases, 0)?]),
        }
    }

    /// The coefficients, made ready for the inference path.
    pub(super) fn planned(&self) -> crate::Result<RectScans> {
        let weights = values(&Tensor::cat(&self.weights, 0)?)?;
        let biases = values(&Tensor::cat(&self.biases, 0)?)?;
        Ok(RectScans::new(Isa::current(), weights.len() / 4, &weights, &biases)?)
    }

    /// x `[B, C, H, W]` -> `[B, 4·C, H, W]`, times `directions` `[B, 4, H, W]` where given.
    fn forward(&self, x: &Tensor, directions: Option<&Tensor>) -> crate::Result<Tensor> {
        let [weights, biases] = self.joined()?;
        Ok(match directions {
            Some(directions) => irnn_directional(x, &weights, &biases, directions)?,
            None => irnn(x, &weights, &biases)?,
        })
    }
}

/// The attention branch: one weight map in 0..1 per scan direction.
#[derive(Clone, Debug)]
pub(super) struct DirectionBranch {
    pub(super) conv1: Conv,
    pub(super) conv2: Conv,
    pub(super) conv3: Conv,
}

impl DirectionBranch {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let half = channels / 2;
        Ok(Self {
            conv1: Conv::with_bias(channels, half, 3, vb.pp("conv1"))?,
            conv2: Conv::with_bias(half, half, 3, vb.pp("conv2"))?,
            conv3: Conv::with_bias(half, 4, 1, vb.pp("conv3"))?,
        })
    }

    fn kept(&self) -> Self {
        Self { conv1: self.conv1.kept(), conv2: self.conv2.kept(), conv3: self.conv3.kept() }
    }

    /// x `[B, C, H, W]` -> `[B, 4, H, W]`.
    fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        let x = self.conv1.forward_relu(x)?;
        let x = self.conv2.forward_relu(&x)?;
        Ok(sigmoid(&self.conv3.forward(&x)?)?)
    }
}
