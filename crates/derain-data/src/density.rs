//! How much rain is in the air.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How densely it rains, as the paper of SPANet sorts videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Density {
    /// Single streaks.
    Sparse,
    /// Steady rain.
    #[default]
    Normal,
    /// A downpour, with a veil.
    Dense,
}

impl Density {
    /// From the thinnest to the densest.
    pub const ALL: [Self; 3] = [Self::Sparse, Self::Normal, Self::Dense];

    /// The name on command lines and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Normal => "normal",
            Self::Dense => "dense",
        }
    }
}

impl fmt::Display for Density {
    /// [`Density::name`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Density {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let invalid = || Error::option("density", name, "sparse, normal or dense");
        Self::ALL.into_iter().find(|density| density.name() == name).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::Density;

    #[test]
    fn names_are_the_same_everywhere() {
        for density in Density::ALL {
            assert_eq!(density.name().parse::<Density>().unwrap(), density);
            assert_eq!(density.to_string(), density.name());
            assert_eq!(serde_json::to_string(&density).unwrap(), format!("\"{}\"", density.name()));
        }
        let error = "heavy".parse::<Density>().unwrap_err().to_string();
        assert!(error.contains("heavy") && error.contains("sparse, normal or dense"), "{error}");
    }
}
