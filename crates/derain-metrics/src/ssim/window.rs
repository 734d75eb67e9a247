//! The weights of the SSIM window along one axis; along both they are the outer product.

use crate::Error;
use crate::check::positive;

/// Which neighbours count, and how much.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Window {
    /// Weights `exp(−(i² + j²) / (2 sigma²))`, normalized to sum 1, on a square.
    Gaussian {
        /// Side of the square, odd. scikit-image derives it as `2 · floor(3.5 sigma + 0.5) + 1`.
        size: usize,
        /// Standard deviation in pixels.
        sigma: f64,
    },
    /// Equal weights on a square.
    Uniform {
        /// Side of the square, odd.
        size: usize,
    },
}

impl Window {
    /// Side of the square.
    #[must_use]
    pub fn size(&self) -> usize {
        match *self {
            Self::Gaussian { size, .. } | Self::Uniform { size } => size,
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let size = self.size();
        if size < 3 || size.is_multiple_of(2) {
            return Err(Error::WindowSize { size });
        }
        match *self {
            Self::Gaussian { sigma, .. } => positive("sigma", sigma),
            Self::Uniform { .. } => Ok(()),
        }
    }

    /// The weights along one axis, of sum 1.
    pub(super) fn taps(&self) -> Vec<f64> {
        match *self {
            Self::Uniform { size } => vec![1.0 / size as f64; size],
            Self::Gaussian { size, sigma } => {
                let middle = (size / 2) as f64;
                // Divided before it is squared: the square of a tiny sigma would be zero.
                let weight = |i: usize| (-0.5 * ((i as f64 - middle) / sigma).powi(2)).exp();
                let weights: Vec<f64> = (0..size).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                weights.into_iter().map(|weight| weight / sum).collect()
            }
        }
    }
}
