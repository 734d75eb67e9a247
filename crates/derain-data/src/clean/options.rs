use std::path::PathBuf;

use super::ModeTie;

/// How a clean image is made. The default is what the authors of SPANet released.
#[derive(Clone, Debug)]
pub struct CleanOptions {
    /// Which values' modes vote for a percentile.
    pub mode_of: ModeOf,
    /// The mode where several values occur equally often.
    pub mode_tie: ModeTie,
    /// The percentile where several have the most votes.
    pub percentile_tie: PercentileTie,
    /// The percentile's value between two ranks.
    pub interpolation: Interpolation,
    /// Takes this percentile, 0..=100, whatever the votes.
    pub percentile: Option<u8>,
    /// Bytes that frames may take in memory together with the buffers to read others back; the result does not depend on it. The
    /// clean image itself, and working memory of about a MiB for each thread, come on top.
    pub max_memory: u64,
    /// Where frames go that memory does not hold. None: the system's folder for temporary files.
    pub spool_folder: Option<PathBuf>,
    /// How many frames will come, if that is known: the disk's free space is then checked for all of them at the first.
    pub expected_frames: Option<usize>,
}

impl Default for CleanOptions {
    /// As released; 2 GiB of memory, below what a desktop holds: 302 frames of 1920x1080 stay there.
    fn default() -> Self {
        Self {
            mode_of: ModeOf::default(),
            mode_tie: ModeTie::default(),
            percentile_tie: PercentileTie::default(),
            interpolation: Interpolation::default(),
            percentile: None,
            max_memory: 2 << 30,
            spool_folder: None,
            expected_frames: None,
        }
    }
}

/// Which values' modes vote for a percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeOf {
    /// The BT.601 luma of a pixel, rounded down: one vote for each pixel, as released.
    #[default]
    Luma,
    /// Red, green and blue on their own: three votes for each pixel.
    Channels,
}

/// The percentile where several have the most votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PercentileTie {
    /// The smallest, as released.
    #[default]
    First,
    /// The middle of the neighbours that the smallest begins, rounded down.
    Middle,
}

/// The value of a percentile that falls between two ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// Linear between both values, rounded down, as released.
    #[default]
    Linear,
    /// That of the nearer rank; of the even one halfway between two.
    Nearest,
}
