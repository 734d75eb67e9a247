//! RRANet (Li, Monno, Okutomi, "Recurrent RLCN-Guided Attention Network for Single Image Deraining", MVA 2021).
//!
//! With the picture I and its rectified local contrast L ([`derain_ops::rlcn()`]), the background B is estimated in N
//! stages that share all weights, B_0 = I:
//!
//! ```text
//! F_0 = relu(instance_norm(conv_in(I, L, B_{t-1})))                             9 -> 32 channels
//! four encoders E_k:  F_k = relu(conv2(ConvLSTM(relu(conv1(F)))) + shortcut(F)),  F = F_{k-1}, max-pooled from the second on
//! three decoders D_k: F_D = relu(up(nearest x2))
//!                     M = sigmoid(W_A * relu(W_F * F + W_D * F_D + W_L * L))      F skips from the encoder, L at that size
//!                     relu(conv2(relu(conv1(M·F, F_D))) + shortcut(M·F, F_D))
//! B_t = I + conv_out(...)                                                       32 -> 3 channels: the negative rain layer
//! ```
//!
//! Batch norm follows every convolution inside the encoders and decoders except the ConvLSTMs', whose states live on
//! from one stage to the next. The network computes with pictures in -1..1; L is taken from the picture in 0..1.
//! Pictures are `[B, 3, H, W]` in 0..1, red first, of any size: those that are no multiple of 8 go on as their own
//! mirror image, at the bottom and on the right, and results are cropped. L is taken of the picture so continued: at
//! such borders its windows see mirrored pixels, at others only those inside. What the paper does not print is named in
//! [`RraNetConfig`].
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use derain_models::rranet::{RraNet, RraNetConfig};
//! let config = RraNetConfig { widths: [4, 8, 8, 8], stages: 1, ..RraNetConfig::paper() };
//! let weights = config.initial_weights(1)?.into_iter().collect();
//! let network = RraNet::new(&config, VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu))?;
//! let output = network.forward(&Tensor::zeros((1, 3, 5, 9), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(output.clean.dims(), [1, 3, 5, 9]);
//! assert_eq!(output.attention[0].dims(), [1, 1, 2, 3]);       // a quarter of the size
//! # Ok::<(), derain_models::Error>(())
//! ```

mod config;
mod file;
mod layers;
mod padding;
mod planned;
#[cfg(test)]
mod tests;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use derain_ops::{LstmState, max_pool2d, rlcn};

pub use config::{RlcnPooling, RraNetConfig, RraNetRlcn};
pub use file::{initial_weight_file, is_configured, recognize, set_configuration, weight_file};
use layers::{Decoder, Encoder};
pub(crate) use planned::Planned;

use crate::conv::{self, Conv};
use crate::{Error, Result, pictures};

/// Scales of the encoder, each half as large as the one before.
pub(crate) const SCALES: usize = 4;
/// Scales of the decoder, and attention maps of a stage.
pub(crate) const DECODERS: usize = SCALES - 1;
/// Values of a colour pixel.
const COLOURS: usize = 3;

/// The network with its weights.
#[derive(Clone, Debug)]
pub struct RraNet {
    config: RraNetConfig,
    conv_in: Conv,
    /// Full resolution first.
    encoder: Vec<Encoder>,
    /// The deepest first.
    decoder: Vec<Decoder>,
    conv_out: Conv,
}

/// What the network makes of a picture.
#[derive(Clone, Debug)]
pub struct RraNetOutput {
    /// The picture without rain, `[B, 3, H, W]`, not clamped to 0..1.
    pub clean: Tensor,
    /// The last stage's attention maps in 0..1, the deepest first: `[B, 1, h, w]` with H and W divided by 4, 2 and 1,
    /// rounded up.
    pub attention: Vec<Tensor>,
}

/// What [`RraNet::forward_train`] gives.
#[derive(Clone, Debug)]
pub struct RraNetTraining {
    /// As of [`RraNet::forward`].
    pub output: RraNetOutput,
    /// What every batch norm saw, in order of use: each norm as often as there are stages.
    pub statistics: Vec<BatchStatistics>,
}

/// The statistics of one batch in one batch norm, for the caller to keep running ones by PyTorch's rule, once for each
/// use: running = (1 - momentum) · running + momentum · batch.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// The norm: its running statistics are the parameters `name.running_mean` and `name.running_var`.
    pub name: String,
    /// The mean, `[C]`, without gradient.
    pub mean: Tensor,
    /// The unbiased variance, `[C]`, without gradient.
    pub variance: Tensor,
}

impl RraNet {
    /// The network that `config` describes, its parameters and running statistics taken from `vb`.
    ///
    /// # Errors
    /// When the configuration describes no network, or `vb` lacks a parameter or has it in another shape.
    pub fn new(config: &RraNetConfig, vb: VarBuilder<'_>) -> Result<Self> {
        config.check()?;
        let (widths, epsilon) = (config.widths, config.norm_epsilon);
        let encoder = (0..SCALES)
            .map(|k| Encoder::new(widths[k.saturating_sub(1)], widths[k], epsilon, vb.pp(format!("encoder.{k}"))));
        let decoder = config.attention_channels().into_iter().enumerate().map(|(k, inner)| {
            let (from, to) = (widths[DECODERS - k], widths[DECODERS - k - 1]);
            Decoder::new(from, to, inner, epsilon, vb.pp(format!("decoder.{k}")))
        });
        Ok(Self {
            config: config.clone(),
            conv_in: Conv::normal(3 * COLOURS, widths[0], 3, vb.pp("conv_in"))?,
            encoder: encoder.collect::<candle_core::Result<_>>()?,
            decoder: decoder.collect::<candle_core::Result<_>>()?,
            conv_out: Conv::normal(widths[0], COLOURS, 1, conv::in_f32(vb.pp("conv_out")))?,
        })
    }

    /// The configuration that the network was made from.
    pub fn config(&self) -> &RraNetConfig {
        &self.config
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        self.conv_in.weight.device()
    }

    /// The type of features.
    pub(crate) fn dtype(&self) -> DType {
        self.conv_in.weight.dtype()
    }

    /// Runs the network on pictures `[B, 3, H, W]` in 0..1 with the running statistics; gradients flow to the weights
    /// where those are variables. Batch norms become part of the convolutions anew in every call: `Derainer` does it
    /// once.
    ///
    /// # Errors
    /// [`Error::Pictures`] for another shape, [`Error::PictureType`] for another type than the weights', f32 where those are halves.
    pub fn forward(&self, pictures: &Tensor) -> Result<RraNetOutput> {
        self.without_norms()?.run(pictures, &mut Vec::new())
    }

    /// The same with the batch's own statistics, as in training.
    ///
    /// # Errors
    /// When the shape or type does not fit, the network's features are halves or it is one
    /// [`without_norms`](Self::without_norms), or a batch norm would see but one value: at 1/8 of the size there must
    /// be more than one pixel in the batch.
    pub fn forward_train(&self, pictures: &Tensor) -> Result<RraNetTraining> {
        let mut statistics = Vec::new();
        let output = self.run(pictures, &mut statistics)?;
        if statistics.is_empty() {
            let (expected, got) = ("one with batch norms", "one without, for inference alone".into());
            return Err(Error::Config { option: "the network that is trained", expected, got });
        }
        Ok(RraNetTraining { output, statistics })
    }

    /// The network for inference alone: batch norms, by their running statistics, are part of the convolutions before
    /// them, and a GPU keeps weights as its kernels read them. What changes in the original's weights afterwards need
    /// not show.
    ///
    /// # Errors
    /// When a device has no room.
    pub fn without_norms(&self) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            conv_in: self.conv_in.kept(),
            encoder: self.encoder.iter().map(Encoder::without_norms).collect::<candle_core::Result<_>>()?,
            decoder: self.decoder.iter().map(Decoder::without_norms).collect::<candle_core::Result<_>>()?,
            conv_out: self.conv_out.kept(),
        })
    }

    /// By the statistics of the batch, which are noted, where batch norms are not folded.
    fn run(&self, pictures: &Tensor, noted: &mut Vec<BatchStatistics>) -> Result<RraNetOutput> {
        let size = pictures::check(pictures, self.dtype())?;
        let pictures = padding::pad(pictures)?;
        let guides = self.guides(&pictures)?;
        let rlcn = guides[0].clone();
        // The decoders take them as they take features.
        let guides = guides.iter().map(|guide| conv::for_conv(guide, &self.conv_in));
        let guides = guides.collect::<candle_core::Result<Vec<_>>>()?;
        let picture = pictures.affine(2.0, -1.0)?;
        // Joined once for all stages.
        let gates =
            self.encoder.iter().map(|encoder| encoder.lstm.joined()).collect::<candle_core::Result<Vec<_>>>()?;
        let mut states: [Option<LstmState>; SCALES] = [const { None }; SCALES];
        let mut background = picture.clone();
        let mut maps = Vec::new();
        for _ in 0..self.config.stages {
            let input = Tensor::cat(&[&picture, &rlcn, &background], 1)?;
            let input = conv::for_conv(&input, &self.conv_in)?;
            let mut x = layers::stem(&self.conv_in, &input, self.config.norm_epsilon)?;
            let mut skips = Vec::new();
            for (k, ((encoder, gates), state)) in self.encoder.iter().zip(&gates).zip(&mut states).enumerate() {
                x = if k == 0 { x } else { max_pool2d(&x)? };
                x = encoder.block.forward(&x, noted, |x| {
                    let next = gates.step(&x, state.as_ref())?;
                    Ok(state.insert(next).hidden.clone())
                })?;
                skips.push(x.clone());
            }
            maps.clear();
            for (k, decoder) in self.decoder.iter().enumerate() {
                let scale = DECODERS - 1 - k;
                let (features, map) = decoder.forward(&x, &skips[scale], &guides[scale], noted)?;
                x = features;
                maps.push(map);
            }
            background = (&picture + self.conv_out.forward(&conv::for_conv(&x, &self.conv_out)?)?)?;
        }
        let clean = padding::crop(&background.affine(0.5, 0.5)?, size, 1)?;
        let maps = maps.iter().enumerate();
        let attention = maps.map(|(k, map)| padding::crop(map, size, 1 << (DECODERS - 1 - k)));
        Ok(RraNetOutput { clean, attention: attention.collect::<Result<_>>()? })
    }

    /// The RLCN picture at the decoder's sizes, full resolution first.
    fn guides(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let mut guides = vec![rlcn(pictures, &self.config.rlcn_options())?];
        for k in 1..DECODERS {
            guides.push(match self.config.rlcn_pooling {
                RlcnPooling::Max => max_pool2d(&guides[k - 1])?,
                RlcnPooling::Average => average_pool(&guides[k - 1])?,
            });
        }
        Ok(guides)
    }
}

/// The mean of every 2x2 pixels.
fn average_pool(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let windows = x.reshape((batch * channels, height / 2, 2, width / 2, 2))?;
    Ok(windows.mean(4)?.mean(2)?.reshape((batch, channels, height / 2, width / 2))?)
}
