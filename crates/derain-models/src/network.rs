use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The networks that [`Derainer`](crate::Derainer) runs, as command lines name them: `spanet`, `rranet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// SPANet, "Spatial Attentive Single-Image Deraining with a High Quality Real Rain Dataset", CVPR 2019.
    SpaNet,
    /// RRANet, "Recurrent RLCN-Guided Attention Network for Single Image Deraining", MVA 2021.
    RraNet,
}

impl Network {
    /// Every network, in the order in which help texts list them.
    pub const ALL: &'static [Self] = &[Self::SpaNet, Self::RraNet];

    /// The name on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpaNet => "spanet",
            Self::RraNet => "rranet",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().copied().find(|network| network.name() == name);
        known.ok_or_else(|| Error::UnknownNetwork { name: name.to_owned() })
    }
}
