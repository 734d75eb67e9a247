//! How clean images are made, as `clean_image` and `build_dataset` take it.

use clap::{Args, ValueEnum};
use derain::data::CleanOptions;
use derain::data::clean::{Interpolation, ModeOf, ModeTie, PercentileTie};
use serde::Serialize;

/// By default all as in the authors' release.
#[derive(Args, Serialize, Clone, Copy, Debug)]
pub(crate) struct CleanChoices {
    /// Whose modes vote: a pixel's luma (one vote a pixel), or red, green and blue on their own (three).
    #[arg(long, value_enum, default_value_t, value_name = "VALUES")]
    mode_of: ModeOfName,

    /// The mode where several values are equally frequent.
    #[arg(long, value_enum, default_value_t, value_name = "VALUE")]
    mode_tie: ModeTieName,

    /// The percentile where neighbours have equally many votes.
    #[arg(long, value_enum, default_value_t, value_name = "PERCENTILE")]
    tie: TieName,

    /// The percentile's value between two ranks: linear and rounded down, or that of the nearer.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    interpolation: InterpolationName,
}

#[derive(ValueEnum, Serialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "lowercase")]
enum ModeOfName {
    #[default]
    Luma,
    Channels,
}

#[derive(ValueEnum, Serialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "lowercase")]
enum ModeTieName {
    #[default]
    Smallest,
    Largest,
}

#[derive(ValueEnum, Serialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "lowercase")]
enum TieName {
    /// The smallest: on the edge of the rain-free values.
    #[default]
    First,
    /// In their middle: far from rain and from noise alike.
    Middle,
}

#[derive(ValueEnum, Serialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "lowercase")]
enum InterpolationName {
    #[default]
    Linear,
    Nearest,
}

impl CleanChoices {
    pub(crate) fn options(&self) -> CleanOptions {
        CleanOptions {
            mode_of: match self.mode_of {
                ModeOfName::Luma => ModeOf::Luma,
                ModeOfName::Channels => ModeOf::Channels,
            },
            mode_tie: match self.mode_tie {
                ModeTieName::Smallest => ModeTie::Smallest,
                ModeTieName::Largest => ModeTie::Largest,
            },
            percentile_tie: match self.tie {
                TieName::First => PercentileTie::First,
                TieName::Middle => PercentileTie::Middle,
            },
            interpolation: match self.interpolation {
                InterpolationName::Linear => Interpolation::Linear,
                InterpolationName::Nearest => Interpolation::Nearest,
            },
            ..CleanOptions::default()
        }
    }
}
