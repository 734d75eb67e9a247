use derain_ops::RlcnOptions;
use serde::{Deserialize, Serialize};

use super::{DECODERS, SCALES};
use crate::{Error, Result};

/// Which RRANet: widths, stages, and what the paper leaves open.
///
/// The paper prints neither widths, nor the number of stages, nor the norms; the defaults are those of the authors'
/// later code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RraNetConfig {
    /// Feature channels of the four scales, full resolution first. Default 32, 64, 128, 256.
    pub widths: [usize; SCALES],
    /// How often the network runs, each time with the last result at hand; all stages share weights. Default 6.
    pub stages: usize,
    /// Channels inside the attention modules, the deepest first. Default: half, half and all of the widths there, 64,
    /// 32, 32.
    pub attention_widths: Option<[usize; DECODERS]>,
    /// The RLCN picture.
    pub rlcn: RraNetRlcn,
    /// How the RLCN picture gets to the coarser scales. Default: the largest of 2x2 pixels, as features do.
    pub rlcn_pooling: RlcnPooling,
    /// ε, added to variances under the root by batch and instance norms. Default 1e-5.
    pub norm_epsilon: f64,
}

/// The options of RRANet's RLCN picture, as [`RlcnOptions`] explains them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RraNetRlcn {
    /// Side of the square window in pixels, odd. Default 9.
    pub window: usize,
    /// ε, added to the standard deviation. Default 1e-5.
    pub epsilon: f64,
    /// Added to the variance under its root. Default 1e-5.
    pub variance_epsilon: f64,
    /// Whether values above 1 become 1. Default: they do not.
    pub clamp: bool,
}

/// How a picture is made half as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RlcnPooling {
    /// The largest of 2x2 pixels.
    Max,
    /// Their mean.
    Average,
}

/// Most channels of a layer and most stages: a hostile or mistyped configuration must not ask for terabytes of weights
/// or years of work.
const MOST_CHANNELS: usize = 4096;
const MOST_STAGES: usize = 64;
/// The widest RLCN window: far beyond any streak.
const MOST_WINDOW: usize = 1023;

impl RraNetConfig {
    /// The network with the paper's scores, as far as its numbers are known: 8.5 million parameters, six stages.
    pub fn paper() -> Self {
        Self {
            widths: [32, 64, 128, 256],
            stages: 6,
            attention_widths: None,
            rlcn: RraNetRlcn::default(),
            rlcn_pooling: RlcnPooling::Max,
            norm_epsilon: 1e-5,
        }
    }

    /// Half as wide and half as many stages: an eighth of the work.
    pub fn small() -> Self {
        Self { widths: [16, 32, 64, 128], stages: 3, ..Self::paper() }
    }

    /// Channels inside the attention modules, the deepest first: what is set, or else half, half and all of the widths
    /// there.
    pub fn attention_channels(&self) -> [usize; DECODERS] {
        let [first, second, third, _] = self.widths;
        self.attention_widths.unwrap_or([third.div_ceil(2), second.div_ceil(2), first])
    }

    /// The options of the RLCN operation.
    pub(super) fn rlcn_options(&self) -> RlcnOptions {
        let RraNetRlcn { window, epsilon, variance_epsilon, clamp } = self.rlcn;
        RlcnOptions { window, epsilon, variance_epsilon, clamp }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refused = |option, expected, got: &dyn std::fmt::Debug| {
            Err(Error::Config { option, expected, got: format!("{got:?}") })
        };
        let fits = |width: &usize| (1..=MOST_CHANNELS).contains(width);
        if !self.widths.iter().all(fits) {
            return refused("widths", "four numbers from 1 to 4096", &self.widths);
        }
        if !self.attention_channels().iter().all(fits) {
            return refused("attention_widths", "three numbers from 1 to 4096", &self.attention_channels());
        }
        if !(1..=MOST_STAGES).contains(&self.stages) {
            return refused("stages", "from 1 to 64", &self.stages);
        }
        let RraNetRlcn { window, epsilon, variance_epsilon, .. } = self.rlcn;
        if window.is_multiple_of(2) || !(3..=MOST_WINDOW).contains(&window) {
            return refused("rlcn.window", "odd, from 3 to 1023", &window);
        }
        let epsilons = [
            ("rlcn.epsilon", epsilon),
            ("rlcn.variance_epsilon", variance_epsilon),
            ("norm_epsilon", self.norm_epsilon),
        ];
        for (option, value) in epsilons {
            if !(value > 0.0 && value.is_finite()) {
                return refused(option, "above 0 and finite", &value);
            }
        }
        Ok(())
    }
}

impl Default for RraNetConfig {
    fn default() -> Self {
        Self::paper()
    }
}

impl Default for RraNetRlcn {
    fn default() -> Self {
        let RlcnOptions { window, epsilon, variance_epsilon, clamp } = RlcnOptions::default();
        Self { window, epsilon, variance_epsilon, clamp }
    }
}
