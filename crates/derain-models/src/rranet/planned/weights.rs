//! Weights in the order in which the kernels use them, batch norms folded in.

use derain_ops::Isa;
use derain_ops::conv2d::cpu::{Convolution, Weights};
use derain_ops::rect::{CHANNEL_BLOCK, padded};

use super::super::layers::{ConvLstm, ConvNorm};
use crate::Result;
use crate::conv::{Conv, values};

/// A kernel `[O, C, K, K]` and a bias `[O]` as plain values.
pub(super) struct Kernel {
    values: Vec<f32>,
    bias: Vec<f32>,
    size: usize,
}

impl Kernel {
    pub(super) fn of(conv: &Conv) -> Result<Self> {
        let (outputs, _, size, _) = conv.weight.dims4()?;
        let bias = conv.bias.as_ref().map(values).transpose()?.unwrap_or_else(|| vec![0.0; outputs]);
        Ok(Self { values: values(&conv.weight)?, bias, size })
    }

    /// A convolution with its norm by running statistics.
    pub(super) fn folded(layer: &ConvNorm) -> Result<Self> {
        Self::of(&layer.folded()?)
    }

    /// Two kernels of the same outputs and size over two inputs: their results' sum.
    pub(super) fn beside(self, other: Self) -> Self {
        let outputs = self.bias.len();
        let [own, others] = [&self, &other].map(|kernel| kernel.values.chunks_exact(kernel.values.len() / outputs));
        Self {
            values: own.zip(others).flat_map(|(own, other)| own.iter().chain(other).copied()).collect(),
            bias: self.bias.iter().zip(&other.bias).map(|(own, other)| own + other).collect(),
            size: self.size,
        }
    }

    /// The four gates as one kernel whose outputs come as [`derain_ops::lstm_gates::rect::step`] reads them: for each
    /// block of channels the block of every gate. Channels that are padding have weights 0: their states stay 0.
    pub(super) fn gates(lstm: &ConvLstm) -> Result<Self> {
        let joined = Self::of(&lstm.joined()?.of_both)?;
        let channels = joined.bias.len() / 4;
        let of_output = joined.values.len() / joined.bias.len();
        let (mut values, mut bias) = (Vec::new(), Vec::new());
        for block in (0..channels).step_by(CHANNEL_BLOCK) {
            for gate in 0..4 {
                for channel in block..block + CHANNEL_BLOCK {
                    let output = (channel < channels).then_some(gate * channels + channel);
                    bias.push(output.map_or(0.0, |output| joined.bias[output]));
                    match output {
                        Some(output) => values.extend(&joined.values[output * of_output..][..of_output]),
                        None => values.resize(values.len() + of_output, 0.0),
                    }
                }
            }
        }
        Ok(Self { values, bias, size: joined.size })
    }

    /// Ready for the kernels; `sources[i]` is the number of channels of the i-th source.
    pub(super) fn over(self, sources: &[usize]) -> Result<Convolution<f32>> {
        let Self { values, bias, size } = &self;
        let weights = Weights { values, bias: Some(bias), outputs: bias.len(), size: *size };
        Ok(Convolution::new(Isa::current(), weights, sources, 1)?)
    }
}

/// Channels of a ConvLSTM's gates in the kernels' layout.
pub(super) fn gate_channels(channels: usize) -> usize {
    4 * padded(channels)
}
