//! Where every pair of a data set comes from.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::options::BuildOptions;
use super::plan::Plan;
use super::split::Split;
use super::tree;
use crate::Error;

/// What a data set was made from and how. It holds no times, so equal builds have equal manifests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Tells manifests from other files.
    pub format: Format,
    /// How it was built, memory, folders and shares of the work apart: these read back as their defaults.
    pub options: BuildOptions,
    /// The videos, in natural order of their names.
    pub videos: Vec<DatasetVideo>,
    /// Videos that could not be used; resuming tries them again.
    pub unfinished: Vec<String>,
}

/// The version of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first.
    #[default]
    #[serde(rename = "derain pairs 1")]
    Pairs1,
}

/// A video and the pairs that were cut from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetVideo {
    /// Its name in the data set.
    pub name: String,
    /// SHA-256 of its content, in hexadecimal: of the file, or of the frames' names and contents.
    pub sha256: String,
    /// The side that it is on.
    pub split: Split,
    /// Width and height of its frames.
    pub size: (u32, u32),
    /// Frames that the clean image was made from.
    pub frames: usize,
    /// The clean image's percentile p.
    pub percentile: u8,
    /// Who judged the clean image.
    pub judge: String,
    /// What came of it.
    pub verdict: RecordedVerdict,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// File names of its pairs, `VIDEO-FRAME_X_Y.png`; `None` while they are being made.
    pub pairs: Option<Vec<String>>,
}

/// A verdict that ends the judging of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedVerdict {
    /// The clean image is good.
    Accepted,
    /// It is not, so there are no pairs.
    Rejected,
}

impl Manifest {
    pub(super) fn new(plan: &Plan, videos: Vec<DatasetVideo>, unfinished: Vec<String>) -> Self {
        Self { format: Format::default(), options: plan.options.clone(), videos, unfinished }
    }

    /// Reads a `manifest.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`] if it is no manifest of this version.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
    }

    /// The pairs of one side, rainy and clean, as paths relative to the manifest.
    pub fn pairs(&self, split: Split) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        let videos = self.videos.iter().filter(move |video| video.split == split);
        videos.flat_map(|video| video.pairs.iter().flatten()).map(move |name| {
            let [rain, norain] = tree::relative_folders(split).map(|folder| Path::new(&folder).join(name));
            (rain, norain)
        })
    }
}
