//! The rows of the paper's Table 4.

use derain::models::SpaNetConfig;
use derain::models::spanet::{Attention, DirectionWeights};
use derain::train::{LossConfig, NetworkConfig, TrainConfig};

/// A row: how it differs from the paper's network.
pub(crate) struct Variant {
    /// Its folder.
    pub(crate) name: &'static str,
    /// What a reader of the table should know.
    pub(crate) description: &'static str,
    attention: Attention,
    direction_weights: DirectionWeights,
    has_attention_loss: bool,
}

const PAPER: Variant = Variant {
    name: "shared",
    description: "four attention modules that share weights (the paper's choice)",
    attention: Attention::Shared,
    direction_weights: DirectionWeights::Multiplied,
    has_attention_loss: true,
};

/// In the table's order.
pub(crate) const VARIANTS: [Variant; 6] = [
    Variant {
        name: "none",
        description: "without spatial attention",
        attention: Attention::None,
        has_attention_loss: false,
        ..PAPER
    },
    Variant { name: "once", description: "one attention map, used four times", attention: Attention::Once, ..PAPER },
    Variant {
        name: "separate",
        description: "four attention modules with weights of their own",
        attention: Attention::Separate,
        ..PAPER
    },
    Variant {
        name: "no_branch",
        description: "shared, without the attention branch of the four directions",
        direction_weights: DirectionWeights::Absent,
        ..PAPER
    },
    Variant {
        name: "no_attention_loss",
        description: "shared, without the attention loss",
        has_attention_loss: false,
        ..PAPER
    },
    PAPER,
];

impl Variant {
    /// The training of this variant, all else as in `base`, a training of `network`.
    pub(crate) fn configuration(&self, base: &TrainConfig, network: &SpaNetConfig) -> TrainConfig {
        let (attention, direction_weights) = (self.attention, self.direction_weights);
        let network = SpaNetConfig { attention, direction_weights, ..network.clone() };
        let weight = if self.has_attention_loss { base.loss.attention } else { 0.0 };
        TrainConfig {
            output: base.output.join(self.name),
            network: NetworkConfig::SpaNet(network),
            loss: LossConfig { attention: weight, ..base.loss.clone() },
            ..base.clone()
        }
    }
}
