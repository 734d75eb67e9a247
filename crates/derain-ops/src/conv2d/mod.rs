//! Convolution that keeps the picture's size, for the shapes deraining networks use: 1x1 and 3x3 kernels at full
//! resolution.
//!
//! ```text
//! s[o, i, j] = bias[o] + Σ_c Σ_u Σ_v weight[o, c, u, v] · x[c, i + D·(u - K/2), j + D·(v - K/2)]
//! y = activation(s · scale + residual)
//! ```
//!
//! with kernel size K, dilation D and zeros outside the picture; the scale has one factor a pixel. Everything behind
//! the sum happens while it is in registers. Gradients:
//!
//! ```text
//! g = dy, or [y > 0] · dy where the activation is a ReLU
//! d residual = g        d scale = Σ_o g · s        d s = g · scale        d bias = Σ_i Σ_j d s
//! d x = d s convolved with the turned kernel       d weight[o, c, u, v] = Σ_i Σ_j d s[o, i, j] · x[c, i + …, j + …]
//! ```
//!
//! Two [forms](Form) of the sum exist; a table chooses by kernel, channels and instruction set, never by the picture,
//! so results do not depend on threads or on how the picture is cut. NaN stays NaN; in Winograd's form it also reaches
//! every other result of the tiles that read it, up to four of 4x4, and an infinity becomes NaN there.
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

#[doc(hidden)]
pub mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
mod form;
#[cfg(any(test, feature = "cuda"))]
mod gpu;
mod op;
#[doc(hidden)]
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

#[cfg(feature = "cuda")]
use std::sync::{Arc, OnceLock};

use candle_core::{CustomOp2, Tensor};

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;
#[cfg(test)]
pub(crate) use cuda::direct::{SOURCE as DIRECT_KERNELS, weight_gradient::SOURCE as WEIGHT_GRADIENT_KERNELS};

pub use form::Form;

use crate::plane::{check_dtype, check_shape};
use crate::{Error, Result};

/// What a convolution does besides multiplying and adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Distance between the kernel's taps in pixels, from 1 to 64. Default 1.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// max(y, 0).
    Relu,
}

/// A place for a convolution's weights as kernels on GPUs read them: made at their first use, kept for the next ones,
/// also by what is cloned from it. It belongs to weights that never change; those that a gradient is wanted for pass it
/// by.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Packed(#[cfg(feature = "cuda")] Arc<OnceLock<Tensor>>);

/// Convolves `x` `[B, C, H, W]` with `weight` `[O, C, K, K]`, K = 1 or 3, and adds `bias` `[O]`; the result is
/// `[B, O, H, W]`.
///
/// Type f32 or f64 (on GPUs also f16 and bf16), the same for all; strided tensors are taken as they are; gradients flow
/// to all three.
///
/// # Errors
/// When a shape or a type does not fit, a dimension is 0, or the dilation is out of range.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv2dOptions) -> Result<Tensor> {
    conv2d_with(x, weight, bias, None, options)
}

/// [`conv2d`] with weights that GPUs may keep.
///
/// # Errors
/// As [`conv2d`].
#[doc(hidden)]
pub fn conv2d_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    packed: Option<&Packed>,
    options: &Conv2dOptions,
) -> Result<Tensor> {
    let op = check("conv2d", x, weight, bias, options)?;
    run(op, &Inputs { x, weight, bias, scale: None, residual: None, packed })
}

/// [`conv2d`], then times `scale` `[B, 1, H, W]` where given, plus `residual` `[B, O, H, W]`, then the activation. Gradients flow to all.
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_residual(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    scale: Option<&Tensor>,
    residual: &Tensor,
    options: &Conv2dOptions,
) -> Result<Tensor> {
    conv2d_residual_with(x, weight, bias, None, scale, residual, options)
}

/// [`conv2d_residual`] with weights that GPUs may keep.
///
/// # Errors
/// As [`conv2d`].
#[doc(hidden)]
pub fn conv2d_residual_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    packed: Option<&Packed>,
    scale: Option<&Tensor>,
    residual: &Tensor,
    options: &Conv2dOptions,
) -> Result<Tensor> {
    const OP: &str = "conv2d_residual";
    let op = check(OP, x, weight, bias, options)?;
    let (batch, _, height, width) = x.dims4()?;
    check_shape(OP, "residual", residual, &[batch, op.outputs, height, width], "[B, O, H, W]")?;
    check_dtype(OP, "residual", residual, x.dtype())?;
    if let Some(scale) = scale {
        check_shape(OP, "scale", scale, &[batch, 1, height, width], "[B, 1, H, W]")?;
        check_dtype(OP, "scale", scale, x.dtype())?;
    }
    let op = op::Conv2d { residual: true, scale: scale.is_some(), ..op };
    run(op, &Inputs { x, weight, bias, scale, residual: Some(residual), packed })
}

/// The gradients for x and `weight`, each if it is a variable or comes from one, of a [`conv2d`] without bias, from its
/// results y and their gradient: what training runs, without what candle's backward pass adds. For benches.
///
/// # Errors
/// As [`conv2d`].
#[doc(hidden)]
pub fn gradients(
    x: &Tensor,
    weight: &Tensor,
    y: &Tensor,
    grad: &Tensor,
    options: &Conv2dOptions,
) -> Result<[Option<Tensor>; 2]> {
    const OP: &str = "conv2d";
    let op = check(OP, x, weight, None, options)?;
    let (batch, _, height, width) = x.dims4()?;
    for (argument, tensor) in [("y", y), ("grad", grad)] {
        check_shape(OP, argument, tensor, &[batch, op.outputs, height, width], "[B, O, H, W]")?;
        check_dtype(OP, argument, tensor, x.dtype())?;
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return gpu::gradients(op, [x, weight, y, grad]);
    }
    let (of_x, of_weight) = CustomOp2::bwd(&op, x, weight, y, grad)?;
    Ok([of_x, of_weight])
}

/// Makes kernels of ours convolve on GPUs from now on, as they do without cuDNN, or the other way that the build has:
/// cuDNN, or candle's columns and products. For benches and tests.
#[cfg(feature = "cuda")]
#[doc(hidden)]
pub fn set_direct(direct: bool) {
    gpu::set_direct(direct);
}

/// What a convolution is given, checked.
struct Inputs<'a> {
    x: &'a Tensor,
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    scale: Option<&'a Tensor>,
    residual: Option<&'a Tensor>,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "GPUs alone read them otherwise"))]
    packed: Option<&'a Packed>,
}

impl Inputs<'_> {
    /// Weights and bias as one list: an operation with gradients has three inputs at most.
    fn parameters(&self) -> Result<Tensor> {
        match self.bias {
            None => Ok(self.weight.contiguous()?),
            Some(bias) => Ok(Tensor::cat(&[&self.weight.flatten_all()?, bias], 0)?),
        }
    }

    /// Residual and scale as one tensor, for the same reason.
    fn extras(&self) -> Result<Option<Tensor>> {
        let extras = match (self.residual, self.scale) {
            (Some(residual), Some(scale)) => Tensor::cat(&[residual, scale], 1)?,
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => return Ok(None),
        };
        Ok(Some(extras.contiguous()?))
    }
}

fn run(op: op::Conv2d, inputs: &Inputs<'_>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if inputs.x.device().is_cuda() {
        return gpu::conv2d(op, inputs);
    }
    let (x, parameters) = (inputs.x.contiguous()?, inputs.parameters()?);
    match inputs.extras()? {
        None => Ok(x.apply_op2(&parameters, op)?),
        Some(extras) => Ok(x.apply_op3(&parameters, &extras, op)?),
    }
}

/// The operation, of arguments that fit each other.
fn check(
    name: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &Conv2dOptions,
) -> Result<op::Conv2d> {
    let planes = crate::plane::of_tensor(name, x)?;
    let (outputs, size) = match *weight.dims() {
        [outputs, channels, k, l] if outputs > 0 && channels == planes.channels && k == l && (k == 1 || k == 3) => {
            (outputs, k)
        }
        _ => {
            let expected = format!("[O, {}, K, K] with K = 1 or 3, to fit `x`", planes.channels);
            return Err(Error::Shape { op: name, argument: "weight", expected, got: weight.shape().clone() });
        }
    };
    check_dtype(name, "weight", weight, x.dtype())?;
    check_dilation(name, options.dilation)?;
    if let Some(bias) = bias {
        check_shape(name, "bias", bias, &[outputs], "[O]")?;
        check_dtype(name, "bias", bias, x.dtype())?;
    }
    Ok(op::Conv2d { options: *options, outputs, size, residual: false, scale: false })
}

/// The largest dilation: rectangles are copied with as many pixels around them, so a much larger one would need memory
/// without bound.
const MOST_DILATION: usize = 64;

pub(crate) fn check_dilation(op: &'static str, dilation: usize) -> Result<()> {
    if (1..=MOST_DILATION).contains(&dilation) {
        return Ok(());
    }
    Err(Error::Option { op, option: "dilation", expected: "from 1 to 64", got: dilation.to_string() })
}
