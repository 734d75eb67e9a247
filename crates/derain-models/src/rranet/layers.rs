//! The parts that RRANet is made of.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use derain_ops::{
    BatchNormOutput, LstmState, Upsampling, batch_norm_eval, batch_norm_train, instance_norm, lstm_gates, upsample2x,
};

use super::BatchStatistics;
use crate::conv::{Conv, in_f32};

/// Standard deviation of the initial weights, around 0 for convolutions and around 1 for the gains of batch norms.
const INITIAL_DEVIATION: f64 = 0.02;

/// Whose mean and variance batch norms use.
pub(super) enum Statistics {
    /// Those that training has gathered.
    Running,
    /// The batch's own, noted in order of use.
    Batch(Vec<BatchStatistics>),
}

impl Conv {
    /// With bias, undilated; drawn from N(0, 0.02), bias 0.
    pub(super) fn normal(from: usize, to: usize, size: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let init = Init::Randn { mean: 0.0, stdev: INITIAL_DEVIATION };
        let weight = vb.get_with_hints((to, from, size, size), "weight", init)?;
        Ok(Self { weight, bias: Some(vb.get_with_hints(to, "bias", Init::Const(0.0))?), dilation: 1 })
    }
}

/// A batch norm's parameters and running statistics, `[C]` each.
#[derive(Clone, Debug)]
pub(super) struct BatchNorm {
    name: String,
    pub(super) gamma: Tensor,
    pub(super) beta: Tensor,
    pub(super) mean: Tensor,
    pub(super) variance: Tensor,
    pub(super) epsilon: f64,
}

impl BatchNorm {
    fn new(channels: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let constant = |vb: &VarBuilder<'_>, name, value| vb.get_with_hints(channels, name, Init::Const(value));
        // A variance is the square of what halves hold.
        let statistics = in_f32(vb.clone());
        let gain = Init::Randn { mean: 1.0, stdev: INITIAL_DEVIATION };
        Ok(Self {
            name: vb.prefix(),
            gamma: vb.get_with_hints(channels, "weight", gain)?,
            beta: constant(&vb, "bias", 0.0)?,
            mean: constant(&statistics, "running_mean", 0.0)?,
            variance: constant(&statistics, "running_var", 1.0)?,
            epsilon,
        })
    }

    fn forward(&self, x: &Tensor, statistics: &mut Statistics) -> crate::Result<Tensor> {
        let Self { name, gamma, beta, mean, variance, epsilon } = self;
        match statistics {
            Statistics::Running => Ok(batch_norm_eval(x, gamma, beta, mean, variance, *epsilon)?),
            Statistics::Batch(noted) => {
                let BatchNormOutput { y, mean, variance } = batch_norm_train(x, gamma, beta, *epsilon)?;
                noted.push(BatchStatistics { name: name.clone(), mean, variance });
                Ok(y)
            }
        }
    }
}

/// A convolution and its batch norm.
#[derive(Clone, Debug)]
pub(super) struct ConvNorm {
    pub(super) conv: Conv,
    pub(super) norm: BatchNorm,
}

impl ConvNorm {
    fn new(from: usize, to: usize, size: usize, epsilon: f64, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self { conv: Conv::normal(from, to, size, vb.pp("0"))?, norm: BatchNorm::new(to, epsilon, vb.pp("1"))? })
    }

    fn forward(&self, x: &Tensor, statistics: &mut Statistics) -> crate::Result<Tensor> {
        self.norm.forward(&self.conv.forward(x)?, statistics)
    }
}

/// The first convolution, with instance norm and ReLU: `[B, 9, H, W]` -> `[B, C, H, W]`.
pub(super) fn stem(conv: &Conv, x: &Tensor, epsilon: f64) -> crate::Result<Tensor> {
    Ok(relu(&instance_norm(&conv.forward(x)?, epsilon)?)?)
}

/// max(x, 0). Candle's makes 0 of NaN, and with it a black picture of what went wrong; in training the losses notice.
fn relu(x: &Tensor) -> Result<Tensor> {
    if x.track_op() { x.relu() } else { x.le(0.0)?.where_cond(&x.zeros_like()?, x) }
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

    /// relu(conv2(between(relu(conv1(x)))) + shortcut(x)).
    pub(super) fn forward(
        &self,
        x: &Tensor,
        statistics: &mut Statistics,
        between: impl FnOnce(Tensor) -> crate::Result<Tensor>,
    ) -> crate::Result<Tensor> {
        let inner = between(relu(&self.conv1.forward(x, statistics)?)?)?;
        let change = self.conv2.forward(&inner, statistics)?;
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, statistics)?,
            None => x.clone(),
        };
        Ok(relu(&(change + shortcut)?)?)
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
}

/// A convolutional LSTM's gates: four convolutions of input and hidden state side by side, in the order i, f, g, o.
#[derive(Clone, Debug)]
pub(super) struct ConvLstm([Conv; 4]);

impl ConvLstm {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let gate = |name| Conv::normal(2 * channels, channels, 3, vb.pp(name));
        Ok(Self([gate("i")?, gate("f")?, gate("g")?, gate("o")?]))
    }

    /// The four as one convolution, 2C -> 4C.
    pub(super) fn joined(&self) -> Result<Conv> {
        let biases: Vec<&Tensor> = self.0.iter().filter_map(|gate| gate.bias.as_ref()).collect();
        Ok(Conv {
            weight: Tensor::cat(&self.0.each_ref().map(|gate| &gate.weight), 0)?,
            bias: Some(Tensor::cat(&biases, 0)?),
            dilation: 1,
        })
    }
}

/// The next state of an LSTM whose gates are `joined`; without a state it starts from zeros.
pub(super) fn lstm_step(joined: &Conv, x: &Tensor, state: Option<&LstmState>) -> crate::Result<LstmState> {
    let zeros = || Ok::<_, crate::Error>(LstmState { hidden: x.zeros_like()?, cell: x.zeros_like()? });
    let LstmState { hidden, cell } = state.cloned().map_or_else(zeros, Ok)?;
    Ok(lstm_gates(&joined.forward(&Tensor::cat(&[x, &hidden], 1)?)?, &cell)?)
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

    /// From the features below, those that skip and the RLCN picture to features and the attention map `[B, 1, H, W]`.
    pub(super) fn forward(
        &self,
        below: &Tensor,
        skip: &Tensor,
        rlcn: &Tensor,
        statistics: &mut Statistics,
    ) -> crate::Result<(Tensor, Tensor)> {
        let up = relu(&self.up.forward(&upsample2x(below, Upsampling::Nearest)?, statistics)?)?;
        let map = self.gam.forward(skip, &up, rlcn, statistics)?;
        let features = Tensor::cat(&[&skip.broadcast_mul(&map)?, &up], 1)?;
        Ok((self.block.forward(&features, statistics, Ok)?, map))
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

    fn forward(&self, skip: &Tensor, up: &Tensor, rlcn: &Tensor, statistics: &mut Statistics) -> crate::Result<Tensor> {
        let of_features = (self.w_f.forward(skip, statistics)? + self.w_d.forward(up, statistics)?)?;
        let inner = relu(&(of_features + self.w_l.forward(rlcn, statistics)?)?)?;
        Ok(sigmoid(&self.w_a.forward(&inner, statistics)?)?)
    }
}
