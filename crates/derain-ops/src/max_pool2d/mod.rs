//! Max pooling over windows of 2x2 pixels that do not overlap, the step down of U-Nets.
//!
//! ```text
//! y[b, c, i, j] = max of x[b, c, 2i..2i+2, 2j..2j+2]
//! ```
//!
//! `[B, C, H, W]` becomes `[B, C, H/2, W/2]`. H and W must be even: what to put beside an odd picture (zeros, the
//! border again) is for the network to say, so pad first.
//!
//! The gradient of a result goes to the pixel it came from, the first one in row-major order where several are equal. A
//! window that holds NaN gives NaN, and its gradient goes to its last NaN. Both rules are PyTorch's.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! let x = Tensor::new(&[[[[1f32, 2., 0., 0.], [4., 3., 0., -1.]]]], &Device::Cpu)?;
//! let y = derain_ops::max_pool2d(&x)?;
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [4., 0.]);
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

use crate::{Error, Result};

/// The largest pixel of every 2x2 window, with its gradient for `x`.
///
/// `x` is `[B, C, H, W]` with even H and W, f32 or f64 (on GPUs also f16 and bf16), strided or not; the result is
/// `[B, C, H/2, W/2]`.
///
/// # Errors
/// When `x` has another shape or type or a dimension of 0, or H or W is odd.
pub fn max_pool2d(x: &Tensor) -> Result<Tensor> {
    const OP: &str = "max_pool2d";
    let planes = crate::plane::of_tensor(OP, x)?;
    if planes.height % 2 != 0 || planes.width % 2 != 0 {
        let expected = "[B, C, H, W] with even H and W (pad an odd picture first)".into();
        return Err(Error::Shape { op: OP, argument: "x", expected, got: x.shape().clone() });
    }
    Ok(x.contiguous()?.apply_op1(op::MaxPool2d)?)
}
