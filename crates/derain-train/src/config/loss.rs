use serde::{Deserialize, Serialize};

use super::NetworkConfig;
use crate::{Error, Result};

/// What is minimized: `l1 · mean |x - B| + ssim · (1 - SSIM(x, B)) + attention · mean (A - M)²`, with the result x, the
/// clean picture B, the attention map A and the rain mask M. A term of weight 0 is not computed.
///
/// SPANet's paper has weights of 1. RRANet's has −SSIM alone, which is `ssim = 1` less a constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Of the mean absolute difference, 0 or more. Default 1.
    pub l1: f64,
    /// Of 1 − SSIM, 0 or more. Default 1.
    pub ssim: f64,
    /// Of the attention map's mean squared difference from the rain mask, 0 or more. Default 1.
    pub attention: f64,
    /// The rain mask is 1 where any channel of the rainy and the clean picture, augmented, differ by more than this, 0
    /// to 1. Default 0.01.
    pub mask_threshold: f64,
}

impl Default for LossConfig {
    /// SPANet's.
    fn default() -> Self {
        Self { l1: 1.0, ssim: 1.0, attention: 1.0, mask_threshold: 0.01 }
    }
}

impl LossConfig {
    /// Of all terms together.
    pub(crate) fn sum_of_weights(&self) -> f64 {
        self.l1 + self.ssim + self.attention
    }

    pub(super) fn check(&self, network: &NetworkConfig) -> Result<()> {
        let weights = [("loss.l1", self.l1), ("loss.ssim", self.ssim), ("loss.attention", self.attention)];
        for (key, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(key, weight, "0 or more"));
            }
        }
        if weights.iter().all(|&(_, weight)| weight == 0.0) {
            return Err(Error::config("loss", "0 in every term", "more than 0 in at least one"));
        }
        if !(0.0..=1.0).contains(&self.mask_threshold) {
            return Err(Error::config("loss.mask_threshold", self.mask_threshold, "from 0 to 1"));
        }
        if self.attention > 0.0 && !network.has_trained_attention() {
            return Err(Error::config(
                "loss.attention",
                self.attention,
                "0, as this network has no map to compare with the mask",
            ));
        }
        Ok(())
    }
}
