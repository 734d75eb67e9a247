//! Convolution that keeps the picture's size, for the shapes deraining networks use: 1x1 and 3x3 kernels, few channels, full resolution.
//!
//! ```text
//! y[o, i, j] = relu(bias[o] + Σ_c Σ_u Σ_v weight[o, c, u, v] · x[c, i + D·(u - K/2), j + D·(v - K/2)])
//! ```
//!
//! with kernel size K, dilation D, zeros outside the picture, and the ReLU only where asked for. Sums run over c, then u, then v for
//! every pixel, so results do not depend on threads or on how the picture is cut into bands. NaN stays NaN.
//!
//! **There is no gradient yet**: calling `backward` through this operation is an error. Training runs candle's own convolution.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use derain_ops::{Activation, Conv2dOptions, conv2d};
//! let x = Tensor::new(&[[[[1f32, 2., 3.]]]], &Device::Cpu)?;
//! let double_minus_five = Tensor::new(&[[[[2f32]]]], &Device::Cpu)?;
//! let bias = Tensor::new(&[-5f32], &Device::Cpu)?;
//! let options = Conv2dOptions { activation: Activation::Relu, ..Default::default() };
//! let y = conv2d(&x, &double_minus_five, Some(&bias), &options)?;
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [0., 0., 1.]);
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
mod op;
pub mod reference;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

use crate::plane::{check_dtype, check_shape};
use crate::{Error, Result};

/// What a convolution does besides multiplying and adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Distance between the kernel's taps in pixels, at least 1. Default 1.
    pub dilation: usize,
    /// What follows the sum. Default: nothing.
    pub activation: Activation,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { dilation: 1, activation: Activation::None }
    }
}

/// What follows a convolution's sum in the same pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    None,
    /// max(y, 0).
    Relu,
}

/// Convolves `x` `[B, C, H, W]` with `weight` `[O, C, K, K]`, K = 1 or 3, and adds `bias` `[O]`; the result is `[B, O, H, W]`.
///
/// Type f32 or f64, the same for all; strided tensors are taken as they are. There is no gradient: see the module.
///
/// # Errors
/// When a shape or a type does not fit, a dimension is 0, or the dilation is 0.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv2dOptions) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let planes = crate::plane::of_tensor(OP, x)?;
    let outputs = match *weight.dims() {
        [outputs, channels, k, l] if outputs > 0 && channels == planes.channels && k == l && (k == 1 || k == 3) => {
            outputs
        }
        _ => {
            let expected = format!("[O, {}, K, K] with K = 1 or 3, to fit `x`", planes.channels);
            return Err(Error::Shape { op: OP, argument: "weight", expected, got: weight.shape().clone() });
        }
    };
    check_dtype(OP, "weight", weight, x.dtype())?;
    if options.dilation == 0 {
        return Err(Error::Option { op: OP, option: "dilation", expected: "at least 1", got: "0".into() });
    }
    // Taps further apart than the picture is large all lie outside it, however far.
    let dilation = options.dilation.min(planes.height.max(planes.width));
    let options = Conv2dOptions { dilation, ..*options };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        None => Ok(x.apply_op2(&weight, op::Conv2d(options))?),
        Some(bias) => {
            check_shape(OP, "bias", bias, &[outputs], "[O]")?;
            check_dtype(OP, "bias", bias, x.dtype())?;
            Ok(x.apply_op3(&weight, &bias.contiguous()?, op::Conv2d(options))?)
        }
    }
}
