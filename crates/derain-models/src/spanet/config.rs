use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which SPANet: the paper's form, the release's, or a variant of the paper's Table 4.
///
/// | row of Table 4 | setting |
/// | --- | --- |
/// | without spatial attention | `attention: None` |
/// | one attention map, used four times | `attention: Once` |
/// | four attention modules with their own weights | `attention: Separate` |
/// | four attention modules that share weights (the paper's choice) | `attention: Shared` |
/// | without the attention branch of the four directions | `direction_weights: Absent` |
///
/// The row without the attention loss differs in training only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpaNetConfig {
    /// Feature channels, even; 32 in the paper.
    pub channels: usize,
    /// How often the spatial attentive module runs, and with whose weights.
    pub attention: Attention,
    /// What becomes of the attention branch's weight map per direction.
    pub direction_weights: DirectionWeights,
    /// The order of the colour channels that the weights expect and give.
    pub channel_order: ChannelOrder,
}

/// How often the spatial attentive module runs, and with whose weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Attention {
    /// Never: all blocks are plain residual blocks.
    None,
    /// Once; its map serves all four groups of blocks.
    Once,
    /// Before each group of blocks, each time with weights of its own (`SAM1` to `SAM4`).
    Separate,
    /// Before each group of blocks, always with the same weights (`SAM1`).
    Shared,
}

/// What becomes of the attention branch's four weight maps, one per scan direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DirectionWeights {
    /// They multiply the four directional results, in both rounds of scans, as the paper says.
    Multiplied,
    /// The branch has weights but its result is not used. The released weights were trained like this: the release
    /// computes the product and drops it.
    Ignored,
    /// There is no branch.
    Absent,
}

/// The order of the colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as the release reads pictures.
    Bgr,
}

impl SpaNetConfig {
    /// The network as the paper prints it, on RGB pictures.
    pub fn paper() -> Self {
        Self {
            channels: 32,
            attention: Attention::Shared,
            direction_weights: DirectionWeights::Multiplied,
            channel_order: ChannelOrder::Rgb,
        }
    }

    /// The network as the authors' release runs it: direction weights computed but not used, BGR pictures.
    pub fn release() -> Self {
        Self { direction_weights: DirectionWeights::Ignored, channel_order: ChannelOrder::Bgr, ..Self::paper() }
    }

    pub(super) fn check(&self) -> Result<()> {
        // 4096 keeps a hostile or mistyped configuration from asking for terabytes of weights.
        if self.channels == 0 || self.channels > 4096 || !self.channels.is_multiple_of(2) {
            let got = self.channels.to_string();
            return Err(Error::Config { option: "channels", expected: "even, from 2 to 4096", got });
        }
        Ok(())
    }
}

impl Default for SpaNetConfig {
    fn default() -> Self {
        Self::paper()
    }
}
