//! Upsampling to twice the height and width, the step up of U-Nets.
//!
//! [`Upsampling::Nearest`] repeats every pixel in a square of 2x2. [`Upsampling::Bilinear`] puts the new pixels at the middles of the
//! old ones' quarters (PyTorch's `align_corners=False`). Along each axis, of length n:
//!
//! ```text
//! y[2k]     = 3/4 · x[k] + 1/4 · x[max(k - 1, 0)]
//! y[2k + 1] = 3/4 · x[k] + 1/4 · x[min(k + 1, n - 1)]
//! ```
//!
//! The gradient is the exact adjoint, each pixel collecting what it gave. For the bilinear form that is, along each
//! axis, with the gradient g of y:
//!
//! ```text
//! dx[k] = 3/4 · (g[2k] + g[2k + 1]) + 1/4 · (g[max(2k - 1, 0)] + g[min(2k + 2, 2n - 1)])
//! ```
//!
//! (At the border `y[0]` is `x[0]` whole: `dx[0]` gets 3/4 and 1/4 of `g[0]`.) `[B, C, H, W]` becomes
//! `[B, C, 2·H, 2·W]`. NaN stays NaN.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use derain_ops::{Upsampling, upsample2x};
//! let x = Tensor::new(&[[[[0f32, 4.]]]], &Device::Cpu)?;
//! let y = upsample2x(&x, Upsampling::Nearest)?.flatten_all()?.to_vec1::<f32>()?;
//! assert_eq!(y, [0., 0., 4., 4.,    0., 0., 4., 4.]);
//! let y = upsample2x(&x, Upsampling::Bilinear)?.flatten_all()?.to_vec1::<f32>()?;
//! assert_eq!(y, [0., 1., 3., 4.,    0., 1., 3., 4.]);
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
mod op;
#[doc(hidden)]
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

use candle_core::Tensor;

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;

use crate::Result;

/// Where new pixels take their values from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upsampling {
    /// The pixel they lie in.
    Nearest,
    /// The four nearest pixels, each the more the nearer it lies.
    Bilinear,
}

/// `x` at twice its height and width, with its gradient for `x`.
///
/// `x` is `[B, C, H, W]`, f32 or f64 (on GPUs also f16 and bf16), strided or not; the result is `[B, C, 2·H, 2·W]`.
///
/// # Errors
/// When `x` has another shape or type or a dimension of 0.
pub fn upsample2x(x: &Tensor, mode: Upsampling) -> Result<Tensor> {
    crate::plane::of_tensor("upsample2x", x)?;
    Ok(x.contiguous()?.apply_op1(op::Upsample2x(mode))?)
}
