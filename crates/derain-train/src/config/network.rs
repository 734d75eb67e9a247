use derain_models::spanet::Attention;
use derain_models::{RraNetConfig, SpaNetConfig};
use serde::{Deserialize, Serialize};

/// Which network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum NetworkConfig {
    /// SPANet, any variant.
    SpaNet(SpaNetConfig),
    /// RRANet, of any widths and stages.
    RraNet(RraNetConfig),
}

impl Default for NetworkConfig {
    /// SPANet as the paper prints it.
    fn default() -> Self {
        Self::SpaNet(SpaNetConfig::default())
    }
}

impl NetworkConfig {
    /// Whether the network gives a map that the attention loss compares with the rain mask.
    pub(crate) fn has_trained_attention(&self) -> bool {
        match self {
            Self::SpaNet(config) => config.attention != Attention::None,
            Self::RraNet(_) => false,
        }
    }
}
