use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ModeTie;
use crate::Error;

/// How a clean image is made. The default is what the authors of SPANet released.
///
/// In files only what shows in the picture is kept: memory, folder and number of frames are the machine's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanOptions {
    /// Which values' modes vote for a percentile.
    pub mode_of: ModeOf,
    /// The mode where several values occur equally often.
    #[serde(with = "ModeTieName")]
    pub mode_tie: ModeTie,
    /// The percentile where several have the most votes.
    pub percentile_tie: PercentileTie,
    /// The percentile's value between two ranks.
    pub interpolation: Interpolation,
    /// Takes this percentile, 0..=100, whatever the votes.
    pub percentile: Option<u8>,
    /// Bytes that frames may take in memory together with the buffers to read others back; the result does not depend
    /// on it. The clean image itself, and working memory of about a MiB for each thread, come on top.
    #[serde(skip)]
    pub max_memory: u64,
    /// Where frames go that memory does not hold. None: the system's folder for temporary files, or on Linux
    /// `/var/tmp` where that is itself memory (tmpfs); if both are, a frame that needs it fails.
    #[serde(skip)]
    pub spool_folder: Option<PathBuf>,
    /// How many frames will come, if that is known: the disk's free space is then checked for all of them at the first.
    #[serde(skip)]
    pub expected_frames: Option<usize>,
}

/// Below what a desktop holds.
const DEFAULT_MEMORY: u64 = 2 << 30;

impl Default for CleanOptions {
    /// As released; 2 GiB of memory: 302 frames of 1920x1080 stay there.
    fn default() -> Self {
        Self {
            mode_of: ModeOf::default(),
            mode_tie: ModeTie::default(),
            percentile_tie: PercentileTie::default(),
            interpolation: Interpolation::default(),
            percentile: None,
            max_memory: DEFAULT_MEMORY,
            spool_folder: None,
            expected_frames: None,
        }
    }
}

impl CleanOptions {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn check(&self) -> Result<(), Error> {
        match self.percentile {
            Some(percentile) if percentile > 100 => Err(Error::option("percentile", percentile, "from 0 to 100")),
            _ => Ok(()),
        }
    }
}

/// [`ModeTie`]'s names in files: its crate knows no files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ModeTie", rename_all = "snake_case")]
#[non_exhaustive]
enum ModeTieName {
    Smallest,
    Largest,
}

/// Which values' modes vote for a percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModeOf {
    /// The BT.601 luma of a pixel, rounded down: one vote for each pixel, as released.
    #[default]
    Luma,
    /// Red, green and blue on their own: three votes for each pixel.
    Channels,
}

/// The percentile where several have the most votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PercentileTie {
    /// The smallest, as released.
    #[default]
    First,
    /// The middle of the neighbours that the smallest begins, rounded down.
    Middle,
}

/// The value of a percentile that falls between two ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Interpolation {
    /// Linear between both values, rounded down, as released.
    #[default]
    Linear,
    /// That of the nearer rank; of the even one halfway between two.
    Nearest,
}
