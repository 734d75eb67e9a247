use std::path::{Path, PathBuf};

use derain_data::dataset::{Half, PairList};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Where pairs lie: a path, `{ rainy = "…", clean = "…" }` or `{ side_by_side = "…", rainy = "left" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "neither a path, nor `{ rainy = \"FOLDER\", clean = \"FOLDER\" }`, nor `{ side_by_side = \"FOLDER\", rainy = \"left\" }`"
)]
pub enum PairPlace {
    /// A list (`.txt`) or a folder whose layout [`PairList::detect`] knows.
    Known(PathBuf),
    /// Two folders with names in common, as [`PairList::from_parallel_folders`] pairs them.
    Folders {
        /// The folder of rainy pictures.
        rainy: PathBuf,
        /// The folder of clean ones.
        clean: PathBuf,
    },
    /// A folder of pictures that hold both, as Rain800's do.
    SideBySide {
        /// The folder.
        side_by_side: PathBuf,
        /// Where the rainy half of each picture is.
        rainy: Half,
    },
}

impl From<PathBuf> for PairPlace {
    fn from(path: PathBuf) -> Self {
        Self::Known(path)
    }
}

impl PairPlace {
    pub(crate) fn read(&self) -> Result<PairList> {
        Ok(match self {
            Self::Known(path) => PairList::detect(path)?,
            Self::Folders { rainy, clean } => PairList::from_parallel_folders(rainy, clean)?,
            Self::SideBySide { side_by_side, rainy } => PairList::from_side_by_side(side_by_side, *rainy)?,
        })
    }

    pub(super) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Known(path) | Self::SideBySide { side_by_side: path, .. } => vec![path],
            Self::Folders { rainy, clean } => vec![rainy, clean],
        }
    }

    pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Known(path) | Self::SideBySide { side_by_side: path, .. } => vec![path],
            Self::Folders { rainy, clean } => vec![rainy, clean],
        }
    }
}
