use derain_models::spanet::Attention;
use derain_models::{RranetConfig, SpanetConfig};
use serde::{Deserialize, Serialize};

/// Which network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NetworkConfig {
    /// SPANet, any variant.
    Spanet(SpanetConfig),
    /// RRANet, of any widths and stages.
    Rranet(RranetConfig),
}

impl Default for NetworkConfig {
    /// SPANet as the paper prints it.
    fn default() -> Self {
        Self::Spanet(SpanetConfig::default())
    }
}

impl NetworkConfig {
    /// Whether the network gives a map that the attention loss compares with the rain mask.
    pub(crate) fn has_trained_attention(&self) -> bool {
        match self {
            Self::Spanet(config) => config.attention != Attention::None,
            Self::Rranet(_) => false,
        }
    }
}
