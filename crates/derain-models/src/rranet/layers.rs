//! The parts that RRANet is made of.

use candle_core::{DType, Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use derain_ops::{
    Activation, BatchNormOutput, LstmState, Upsampling, batch_norm_train, instance_norm, lstm_gates, upsample2x,
};

use super::BatchStatistics;
use crate::conv::{Conv, in_f32};

/// Standard deviation of the initial weights, around 0 for convolutions and around 1 for the gains of batch norms.
const INITIAL_DEVIATION: f64 = 0.02;

impl Conv {
    /// With bias, undilated; drawn from N(0, 0.02), bias 0.
    pub(super) fn normal(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let init = Init::Randn { mean: 0.0, stdev: INITIAL_DEVIATION };
        let weight = vb.get_with_hints((to, from, size, size), "weight", init)?;
        let bias = vb.get_with_hints(to, "bias", Init::Const(0.0))?;
        Ok(Self::from_parameters(weight, Some(bias), 1))
    }
}

/// A batch norm's parameters and running statistics, `[C]` each.
#[derive(Clone, Debug)]
struct BatchNorm {
    name: String,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl BatchNorm {
    fn new(channels: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let constant = |name, value| vb.get_with_hints(channels, name, Init::Const(value));
        let gain = Init::Randn { mean: 1.0, stdev: INITIAL_DEVIATION };
        Ok(Self {
            name: vb.prefix(),
            gamma: vb.get_with_hints(channels, "weight", gain)?,
            beta: constant("bias", 0.0)?,
            mean: constant("running_mean", 0.0)?,
            variance: constant("running_var", 1.0)?,
            epsilon,
        })
    }

    /// By the batch's own mean and variance, which are noted.
    fn forward(&self, x: &Tensor, activation: Activation, noted: &mut Vec<BatchStatistics>) -> crate::Result<Tensor> {
        let Self { gamma, beta, epsilon, .. } = self;
        let BatchNormOutput { y, mean, variance } = batch_norm_train(x, gamma, beta, *epsilon, activation)?;
        noted.push(BatchStatistics { name: self.name.clone(), mean, variance });
        Ok(y)
    }
}

/// A convolution and its batch norm; none where it is folded into the convolution.
#[derive(Clone, Debug)]
pub(super) struct ConvNorm {
    /// In f32 where features are halves, until it is folded: once rounded is enough.
    pub(super) conv: Conv,
    norm: Option<BatchNorm>,
    /// Of the features.
    dtype: DType,
}

impl ConvNorm {
    fn new(from: usize, to: usize, size: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let dtype = vb.dtype();
        let vb = in_f32(vb);
        let norm = Some(BatchNorm::new(to, epsilon, vb.pp("1"))?);
        Ok(Self { conv: Conv::normal(from, to, size, vb.pp("0"))?, norm, dtype })
    }

    /// The convolution that also norms by running statistics: y = γ / s · (w * x + b - μ) + β, s² = σ² + ε. Gradients
    /// flow to w, b, γ and β.
    pub(super) fn folded(&self) -> Result<Conv> {
        let Some(BatchNorm { gamma, beta, mean, variance, epsilon, .. }) = &self.norm else {
            return Ok(self.conv.clone());
        };
        let Conv { weight, bias, dilation, .. } = &self.conv;
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64);
        let gain = (wide(gamma)? / (wide(&variance.detach())? + *epsilon)?.sqrt()?)?;
        let bias = bias.as_ref().map_or_else(|| gain.zeros_like(), wide)?;
        let bias = (((bias - wide(&mean.detach())?)? * &gain)? + wide(beta)?)?;
        let weight = wide(weight)?.broadcast_mul(&gain.reshape(((), 1, 1, 1))?)?;
        let bias = Some(bias.to_dtype(self.dtype)?);
        Ok(Conv::from_parameters(weight.to_dtype(self.dtype)?, bias, *dilation))
    }

    fn without_norm(&self) -> Result<Self> {
        Ok(Self { conv: self.folded()?.kept(), norm: None, dtype: self.dtype })
    }

    fn forward(&self, x: &Tensor, noted: &mut Vec<BatchStatistics>) -> crate::Result<Tensor> {
        self.run(x, None, Activation::None, noted)
    }

    fn forward_relu(&self, x: &Tensor, noted: &mut Vec<BatchStatistics>) -> crate::Result<Tensor> {
        self.run(x, None, Activation::Relu, noted)
    }

    /// activation(norm(conv(x)) + residual).
    fn run(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
        noted: &mut Vec<BatchStatistics>,
    ) -> crate::Result<Tensor> {
        let Some(norm) = &self.norm else {
            return match residual {
                Some(residual) => self.conv.forward_onto(x, None, residual, activation),
                None => self.conv.run(x, activation),
            };
        };
        let sums = self.conv.forward(x)?;
        let Some(residual) = residual else { return norm.forward(&sums, activation, noted) };
        let y = (norm.forward(&sums, Activation::None, noted)? + residual)?;
        Ok(if activation == Activation::Relu { y.relu()? } else { y })
    }
}

/// The first convolution, with instance norm and ReLU: `[B, 9, H, W]` -> `[B, C, H, W]`.
pub(super) fn stem(conv: &Conv, x: &Tensor, epsilon: f64) -> crate::Result<Tensor> {
    Ok(instance_norm(&conv.forward(x)?, epsilon, Activation::Relu)?)
}

/// Two convolutions beside a shortcut: the decoder's block, and the encoder's with a ConvLSTM between the two.
#[derive(Clone, Debug)]
pub(super) struct ResidualBlock {
    pub(super) conv1: ConvNorm,
    pub(super) conv2: ConvNorm,
    /// Where the width changes.
    pub(super) shortcut: Option<ConvNorm>,
}

impl ResidualBlock {
    pub(super) fn new(from: usize, to: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let shortcut = (from != to).then(|| ConvNorm::new(from, to, 1, epsilon, vb.pp("shortcut")));
        Ok(Self {
            conv1: ConvNorm::new(from, to, 3, epsilon, vb.pp("conv1"))?,
            conv2: ConvNorm::new(to, to, 3, epsilon, vb.pp("conv2"))?,
            shortcut: shortcut.transpose()?,
        })
    }

    fn without_norms(&self) -> Result<Self> {
        let shortcut = self.shortcut.as_ref().map(ConvNorm::without_norm).transpose()?;
        Ok(Self { conv1: self.conv1.without_norm()?, conv2: self.conv2.without_norm()?, shortcut })
    }

    /// relu(conv2(between(relu(conv1(x)))) + shortcut(x)).
    pub(super) fn forward(
        &self,
        x: &Tensor,
        noted: &mut Vec<BatchStatistics>,
        between: impl FnOnce(Tensor) -> crate::Result<Tensor>,
    ) -> crate::Result<Tensor> {
        let inner = between(self.conv1.forward_relu(x, noted)?)?;
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, noted)?,
            None => x.clone(),
        };
        self.conv2.run(&inner, Some(&shortcut), Activation::Relu, noted)
    }
}

/// A scale of the encoder: a residual block around a ConvLSTM.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub(super) block: ResidualBlock,
    pub(super) lstm: ConvLstm,
}

impl Encoder {
    pub(super) fn new(from: usize, to: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self { block: ResidualBlock::new(from, to, epsilon, vb.clone())?, lstm: ConvLstm::new(to, vb.pp("lstm"))? })
    }

    pub(super) fn without_norms(&self) -> Result<Self> {
        Ok(Self { block: self.block.without_norms()?, lstm: self.lstm.kept()? })
    }
}

/// A convolutional LSTM's gates.
#[derive(Clone, Debug)]
pub(super) enum ConvLstm {
    /// Convolutions of input and hidden state side by side, in the order i, f, g, o.
    Four(Box<[Conv; 4]>),
    /// For inference alone.
    Joined(Gates),
}

impl ConvLstm {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let gate = |name| Conv::normal(2 * channels, channels, 3, vb.pp(name));
        Ok(Self::Four(Box::new([gate("i")?, gate("f")?, gate("g")?, gate("o")?])))
    }

    /// The four as one, for all stages of a run.
    pub(super) fn joined(&self) -> Result<Gates> {
        let four = match self {
            Self::Four(four) => four,
            Self::Joined(gates) => return Ok(gates.clone()),
        };
        let biases: Vec<&Tensor> = four.iter().filter_map(|gate| gate.bias.as_ref()).collect();
        let weight = Tensor::cat(&four.each_ref().map(|gate| &gate.weight), 0)?;
        Gates::of(Conv::from_parameters(weight, Some(Tensor::cat(&biases, 0)?), 1))
    }

    fn kept(&self) -> Result<Self> {
        let Gates { of_both, of_input } = self.joined()?;
        Ok(Self::Joined(Gates { of_both: of_both.kept(), of_input: of_input.kept() }))
    }
}

/// The gates as one convolution of input and hidden state, 2C -> 4C, and as one of the input alone, C -> 4C.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    pub(super) of_both: Conv,
    of_input: Conv,
}

impl Gates {
    pub(super) fn of(of_both: Conv) -> Result<Self> {
        let weight = of_both.weight.narrow(1, 0, of_both.inputs() / 2)?.contiguous()?;
        let of_input = Conv::from_parameters(weight, of_both.bias.clone(), of_both.dilation);
        Ok(Self { of_both, of_input })
    }

    /// The LSTM's next state; without a state it starts from zeros, half of whose convolution would be for nothing.
    pub(super) fn step(&self, x: &Tensor, state: Option<&LstmState>) -> crate::Result<LstmState> {
        let Some(LstmState { hidden, cell }) = state else {
            return Ok(lstm_gates(&self.of_input.forward(x)?, &x.zeros_like()?)?);
        };
        Ok(lstm_gates(&self.of_both.forward(&Tensor::cat(&[x, hidden], 1)?)?, cell)?)
    }
}

/// A scale of the decoder: upsampling, attention guided by RLCN, and a residual block.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    pub(super) up: ConvNorm,
    pub(super) gam: GuidedAttention,
    pub(super) block: ResidualBlock,
}

impl Decoder {
    pub(super) fn new(from: usize, to: usize, inner: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            up: ConvNorm::new(from, to, 3, epsilon, vb.pp("up"))?,
            gam: GuidedAttention::new(to, inner, epsilon, vb.pp("gam"))?,
            block: ResidualBlock::new(2 * to, to, epsilon, vb.pp("block"))?,
        })
    }

    pub(super) fn without_norms(&self) -> Result<Self> {
        let Self { up, gam, block } = self;
        Ok(Self { up: up.without_norm()?, gam: gam.without_norms()?, block: block.without_norms()? })
    }

    /// From the features below, those that skip and the RLCN picture to features and the attention map `[B, 1, H, W]`.
    pub(super) fn forward(
        &self,
        below: &Tensor,
        skip: &Tensor,
        rlcn: &Tensor,
        noted: &mut Vec<BatchStatistics>,
    ) -> crate::Result<(Tensor, Tensor)> {
        let up = self.up.forward_relu(&upsample2x(below, Upsampling::Nearest)?, noted)?;
        let map = self.gam.forward(skip, &up, rlcn, noted)?;
        let features = Tensor::cat(&[&skip.broadcast_mul(&map)?, &up], 1)?;
        Ok((self.block.forward(&features, noted, Ok)?, map))
    }
}

/// RLCN-GAM, the paper's Eq. 3: M = sigmoid(W_A * relu(W_F * F + W_D * F_D + W_L * L)), each with its batch norm.
#[derive(Clone, Debug)]
pub(super) struct GuidedAttention {
    pub(super) w_f: ConvNorm,
    pub(super) w_d: ConvNorm,
    pub(super) w_l: ConvNorm,
    pub(super) w_a: ConvNorm,
}

impl GuidedAttention {
    fn new(channels: usize, inner: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let part = |name, from, to, size| ConvNorm::new(from, to, size, epsilon, vb.pp(name));
        Ok(Self {
            w_f: part("w_f", channels, inner, 1)?,
            w_d: part("w_d", channels, inner, 1)?,
            w_l: part("w_l", super::COLOURS, inner, 3)?,
            w_a: part("w_a", inner, 1, 1)?,
        })
    }

    fn without_norms(&self) -> Result<Self> {
        let [w_f, w_d, w_l, w_a] = [&self.w_f, &self.w_d, &self.w_l, &self.w_a].map(ConvNorm::without_norm);
        Ok(Self { w_f: w_f?, w_d: w_d?, w_l: w_l?, w_a: w_a? })
    }

    fn forward(
        &self,
        skip: &Tensor,
        up: &Tensor,
        rlcn: &Tensor,
        noted: &mut Vec<BatchStatistics>,
    ) -> crate::Result<Tensor> {
        let of_features = self.w_f.forward(skip, noted)?;
        let of_features = self.w_d.run(up, Some(&of_features), Activation::None, noted)?;
        let inner = self.w_l.run(rlcn, Some(&of_features), Activation::Relu, noted)?;
        Ok(sigmoid(&self.w_a.forward(&inner, noted)?)?)
    }
}
