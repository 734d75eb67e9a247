//! Rectified local contrast normalization (Li, Monno, Okutomi, "Recurrent RLCN-Guided Attention Network for Single
//! Image Deraining", MVA 2021, Eq. 2).
//!
//! Per colour channel, with the mean μ and standard deviation σ of the square window around each pixel:
//!
//! ```text
//! L = max(I - μ, 0) / (σ + ε)        σ² = Σ (I - μ)² / (n - 1) + ε_σ
//! ```
//!
//! What is brighter than its surroundings stays, whatever the local contrast: rain streaks stand out, flat regions
//! are 0. The paper prints neither window nor ε; the defaults are those of the authors' later code. At the border only
//! the n pixels inside the picture count. A window of one pixel has variance 0.
//!
//! Window sums slide, so the cost does not depend on the window. They are kept in f64: flat regions of an f32 picture
//! give exactly 0, however bright (of an f64 picture, less than 1e-10). A pixel that is NaN or infinite spoils results
//! far beyond its window.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use derain_ops::{RlcnOptions, rlcn};
//! let picture = Tensor::new(&[[[[0f32, 0., 1., 0., 0.]]]], &Device::Cpu)?;     // one bright pixel
//! let l = rlcn(&picture, &RlcnOptions { window: 3, ..Default::default() })?;
//! let l = l.flatten_all()?.to_vec1::<f32>()?;
//! assert!((l[2] - 1.1547).abs() < 1e-3);                                       // (1 - 1/3) / sqrt(1/3)
//! assert_eq!(l[1], 0.0);                                                       // darker than its window
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
mod window;

use candle_core::Tensor;

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;

use crate::{Error, Result};

/// What the paper leaves open. The defaults are the authors' later code without its clamp, which Eq. 2 does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RlcnOptions {
    /// Side of the square window in pixels, odd. Default 9.
    pub window: usize,
    /// ε, added to the standard deviation. Default 1e-5.
    pub epsilon: f64,
    /// ε_σ, added to the variance under its root, which keeps the gradient finite in flat regions. Default 1e-5.
    pub variance_epsilon: f64,
    /// Whether results above 1 become 1. Default: they do not.
    pub clamp: bool,
}

impl Default for RlcnOptions {
    fn default() -> Self {
        Self { window: 9, epsilon: 1e-5, variance_epsilon: 1e-5, clamp: false }
    }
}

impl RlcnOptions {
    fn check(&self) -> Result<()> {
        const OP: &str = "rlcn";
        if self.window.is_multiple_of(2) {
            let got = self.window.to_string();
            return Err(Error::Option { op: OP, option: "window", expected: "an odd number of pixels", got });
        }
        for (option, value) in [("epsilon", self.epsilon), ("variance_epsilon", self.variance_epsilon)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Option { op: OP, option, expected: "above 0 and finite", got: value.to_string() });
            }
        }
        Ok(())
    }
}

/// The normalized picture, with its gradient for `x`.
///
/// `x` is `[B, C, H, W]`, usually three channels in 0..1, f32 or f64 (on GPUs also f16 and bf16), strided or not; the
/// result has the same shape and is >= 0 (and <= 1 with [`RlcnOptions::clamp`]).
///
/// # Errors
/// When `x` has another shape or type or a dimension of 0, or an option is out of range.
pub fn rlcn(x: &Tensor, options: &RlcnOptions) -> Result<Tensor> {
    options.check()?;
    crate::plane::of_tensor("rlcn", x)?;
    Ok(x.contiguous()?.apply_op1(op::Rlcn(*options))?)
}
