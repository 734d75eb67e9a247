//! Structural similarity as a loss (Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility
//! to Structural Similarity", IEEE TIP 2004), as both networks train with it: SPANet with 1 - SSIM beside other terms,
//! RRANet with -SSIM alone.
//!
//! Per channel, with the window's weights w, which sum to 1, around each pixel:
//!
//! ```text
//! μx = Σ w·x    μy = Σ w·y    S = Σ w·(x² + y²)    P = Σ w·x·y
//! A1 = 2·μx·μy + C1       A2 = 2·(P - μx·μy) + C2          twice the covariance
//! B1 = μx² + μy² + C1     B2 = S - μx² - μy² + C2          the sum of the variances
//! SSIM = mean of A1·A2 / (B1·B2)                           over all pixels, channels and pictures
//! ```
//!
//! The window is a Gaussian. Beyond the border pictures continue with zeros, so every pixel counts.
//! `derain_metrics::Ssim`, which scores results, leaves the border out instead, as the papers' figures do: its values
//! differ from these, and the two do not stand in for each other.
//!
//! Gradients, with F = A1·A2 / (B1·B2) of n pixels and the gradient g of the mean, per pixel:
//!
//! ```text
//! dμx = g/n · (2·μy·(A2 - A1) / (B1·B2) + 2·μx·F·(1/B2 - 1/B1))      dμy likewise
//! dS  = -g/n · F / B2                 dP = g/n · 2·A1 / (B1·B2)
//! dx  = Σ w·dμx + 2·x·Σ w·dS + y·Σ w·dP                              dy likewise
//! ```
//!
//! (The window is symmetric, so what a pixel gives to its window comes back through the same weights.) Variances are
//! differences of nearly equal numbers on bright flat areas, and their gradient is another; all sums run in f64, also
//! of f32 pictures, where such areas give neither noise nor NaN. Equal pictures give exactly 1, unless constants are so
//! small that a flat area has 0/0. NaN in a picture gives NaN.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use derain_ops::{SsimOptions, ssim};
//! let ramp = Tensor::arange(0f32, 64., &Device::Cpu)?.reshape((1, 1, 8, 8))?.affine(1. / 64., 0.)?;
//! let options = SsimOptions::default();
//! assert_eq!(ssim(&ramp, &ramp, &options)?.to_scalar::<f32>()?, 1.);
//! let inverted = ramp.affine(-1., 1.)?;
//! assert!(ssim(&ramp, &inverted, &options)?.to_scalar::<f32>()? < 0.5);
//! // With a window of one pixel there is no variance, and SSIM compares brightness: (2·1·½ + C1) / (1² + ½² + C1).
//! let pixel = |value: f32| Tensor::full(value, (1, 1, 1, 1), &Device::Cpu);
//! let luminance = ssim(&pixel(1.)?, &pixel(0.5)?, &SsimOptions { window: 1, ..options })?.to_scalar::<f32>()?;
//! assert!((luminance - 1.0001 / 1.2501).abs() < 1e-6);
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
mod moments;
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

use crate::plane::{check_dtype, check_shape};
use crate::{Error, Planes, Result};

/// The window and the constants. The defaults are those of the paper and of both networks, for values in 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SsimOptions {
    /// Side of the square window in pixels, odd and at most 255. Default 11.
    pub window: usize,
    /// Standard deviation of its Gaussian in pixels. Default 1.5.
    pub sigma: f64,
    /// C1, which steadies the comparison of dark areas. Default 0.01².
    pub c1: f64,
    /// C2, which steadies the comparison of flat areas. Default 0.03².
    pub c2: f64,
}

impl Default for SsimOptions {
    fn default() -> Self {
        Self { window: 11, sigma: 1.5, c1: 0.01 * 0.01, c2: 0.03 * 0.03 }
    }
}

/// A bound to refuse a window that would only take memory.
const LARGEST_WINDOW: usize = 255;

const OP: &str = "ssim";

impl SsimOptions {
    fn check(&self) -> Result<()> {
        if self.window.is_multiple_of(2) || self.window > LARGEST_WINDOW {
            let got = self.window.to_string();
            let expected = "an odd number of pixels, at most 255";
            return Err(Error::Option { op: OP, option: "window", expected, got });
        }
        for (option, value) in [("sigma", self.sigma), ("c1", self.c1), ("c2", self.c2)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Option { op: OP, option, expected: "above 0 and finite", got: value.to_string() });
            }
        }
        Ok(())
    }
}

/// The mean structural similarity of `x` and `y`, a scalar in -1..=1, with gradients for both.
///
/// Both are `[B, C, H, W]` of any size from 1 x 1 up, values in 0..1 (others are taken, but the constants are meant for
/// these), f32 or f64 (on GPUs also f16 and bf16), the same for both, strided or not. A loss is `1 - ssim`.
///
/// # Errors
/// When a shape or a type does not fit, a dimension is 0, or an option is out of range.
pub fn ssim(x: &Tensor, y: &Tensor, options: &SsimOptions) -> Result<Tensor> {
    options.check()?;
    let Planes { batch, channels, height, width } = crate::plane::of_tensor(OP, x)?;
    check_shape(OP, "y", y, &[batch, channels, height, width], "[B, C, H, W]")?;
    check_dtype(OP, "y", y, x.dtype())?;
    Ok(x.contiguous()?.apply_op2(&y.contiguous()?, op::Ssim(*options))?)
}
