//! Which rainy picture goes with which clean one, from the layouts that data sets come in.
//!
//! | function | reads |
//! | --- | --- |
//! | [`PairList::from_list_file`] | text of lines `rainy clean`, as SPA-Data has it |
//! | [`PairList::from_rain_folder`] | Rain100L/H, Rain200L/H and their kin: `rain` and `norain` folders or names, also `rain/X2` |
//! | [`PairList::from_side_by_side`] | pictures that hold both halves, as Rain800 has them |
//! | [`PairList::from_parallel_folders`] | any two folders, paired by relative path or number |
//! | [`PairList::from_manifest`] | what [`build_dataset`](super::build_dataset) made |
//! | [`PairList::detect`] | whichever of these it can only be |

mod detect;
mod list_file;
mod parallel;
mod rain_folder;
mod side_by_side;

use std::path::{Path, PathBuf};

use image::{GenericImageView, RgbImage};

use crate::dataset::DatasetError;
use crate::paths::Shown;
use crate::{Error, LoadOptions, load_picture_with};

use super::build::{Manifest, Split};

/// Where a rainy picture and its clean one lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pair {
    /// In files of their own.
    Files {
        /// The rainy picture.
        rainy: PathBuf,
        /// The clean one.
        clean: PathBuf,
    },
    /// Beside each other in one picture.
    SideBySide {
        /// The picture.
        picture: PathBuf,
        /// Where its rainy half is.
        rainy: Half,
    },
}

/// One half of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

impl Pair {
    /// What an error says of the pair: its path or paths.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Files { rainy, clean } => format!("{} and {}", rainy.shown(), clean.shown()),
            Self::SideBySide { picture, .. } => picture.shown().to_string(),
        }
    }

    /// Decodes both pictures to 8-bit RGB: grey is spread over the channels, deeper samples are rounded, alpha is left
    /// out.
    ///
    /// # Errors
    /// Those of [`load_picture`](crate::load_picture), [`DatasetError::PairSizes`] if the two differ in size,
    /// [`DatasetError::OddWidth`] if a picture of two halves has no middle.
    pub fn load(&self, options: &LoadOptions) -> Result<(RgbImage, RgbImage), Error> {
        let load = |path: &Path| Ok::<_, Error>(load_picture_with(path, options)?.image.into_rgb8());
        let (rainy, clean) = match self {
            Self::Files { rainy, clean } => (load(rainy)?, load(clean)?),
            Self::SideBySide { picture, rainy } => {
                let both = load(picture)?;
                let (width, height) = both.dimensions();
                if width % 2 != 0 {
                    return Err(DatasetError::OddWidth { path: picture.clone(), width }.into());
                }
                let [left, right] = [0, width / 2].map(|x| both.view(x, 0, width / 2, height).to_image());
                match rainy {
                    Half::Left => (left, right),
                    Half::Right => (right, left),
                }
            }
        };
        if rainy.dimensions() != clean.dimensions() {
            let (rainy, clean) = (rainy.dimensions(), clean.dimensions());
            return Err(DatasetError::PairSizes { pair: self.name(), rainy, clean }.into());
        }
        Ok((rainy, clean))
    }
}

/// Pairs of pictures, in a fixed order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairList {
    pairs: Vec<Pair>,
}

impl PairList {
    /// Takes pairs from elsewhere; `origin` is what an error names.
    ///
    /// # Errors
    /// [`DatasetError::NoPairs`] if there are none.
    pub fn new(pairs: Vec<Pair>, origin: impl AsRef<Path>) -> Result<Self, Error> {
        match pairs.is_empty() {
            true => Err(DatasetError::NoPairs { path: origin.as_ref().to_owned() }.into()),
            false => Ok(Self { pairs }),
        }
    }

    /// The pairs.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Reads lines `rainy clean`, with paths relative to `root`.
    ///
    /// Blank lines, Windows line ends and a byte order mark are no trouble. A leading `/` stands for the root, as in
    /// SPA-Data's own lists, unless the absolute path exists. Names with spaces may be separated by a tab, or by a
    /// space if only one way of cutting the line gives two files that exist.
    ///
    /// # Errors
    /// [`Error::ListLine`] for a line that is not two paths, [`DatasetError::MissingFiles`] with all that do not exist,
    /// [`DatasetError::NoPairs`], [`Error::Io`].
    pub fn from_list_file(list: impl AsRef<Path>, root: impl AsRef<Path>) -> Result<Self, Error> {
        let list = list.as_ref();
        Self::new(list_file::read(list, root.as_ref())?, list)
    }

    /// Reads a folder laid out as Rain100L/H, Rain200L/H and others are: either folders `rain` (or `rainy`,
    /// `rainy_image`, `input`) and `norain` (or `clean`, `gt`, `groundtruth`, `ground_truth`, `target`), in any case,
    /// or files `rain-1.png` and `norain-1.png` beside each other or with the rainy ones in the one folder there is. A
    /// rainy folder that holds `X2` is that folder.
    ///
    /// Names pair by what is left without the words `rain`, `norain` and the `x2` at the end: `norain-001x2.png` with
    /// `norain-1.png`.
    ///
    /// # Errors
    /// [`DatasetError::UnknownLayout`] if there is no such structure or more than one, [`DatasetError::Unpaired`], [`DatasetError::NoPairs`], [`Error::Io`].
    pub fn from_rain_folder(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        Self::new(rain_folder::read(folder)?, folder)
    }

    /// Takes every picture in `folder` and below as two halves of equal width. Copies of Rain800 exist in both orders,
    /// so the caller says where the rain is.
    ///
    /// # Errors
    /// [`DatasetError::NoPairs`], [`Error::Io`].
    pub fn from_side_by_side(folder: impl AsRef<Path>, rainy: Half) -> Result<Self, Error> {
        let folder = folder.as_ref();
        Self::new(side_by_side::read(folder, rainy)?, folder)
    }

    /// Pairs the pictures of two folders and below by their relative path without extension, else by the only number in
    /// the name (the rule of [`derain_metrics::pairing`]).
    ///
    /// # Errors
    /// [`DatasetError::Unpaired`] with every picture that has no partner or more than one, [`DatasetError::NoPairs`], [`Error::Io`].
    pub fn from_parallel_folders(rainy: impl AsRef<Path>, clean: impl AsRef<Path>) -> Result<Self, Error> {
        let rainy = rainy.as_ref();
        Self::new(parallel::read(rainy, clean.as_ref())?, rainy)
    }

    /// Takes one side of a data set of our own, by its `manifest.json`.
    ///
    /// # Errors
    /// [`Error::Json`] if it is no such manifest, [`DatasetError::MissingFiles`], [`DatasetError::NoPairs`], [`Error::Io`].
    pub fn from_manifest(manifest: impl AsRef<Path>, split: Split) -> Result<Self, Error> {
        let manifest = manifest.as_ref();
        let root = manifest.parent().unwrap_or(Path::new(""));
        let pairs: Vec<Pair> = Manifest::read(manifest)?
            .pairs(split)
            .map(|(rainy, clean)| Pair::Files { rainy: root.join(rainy), clean: root.join(clean) })
            .collect();
        list_file::check_files(manifest, &pairs)?;
        Self::new(pairs, manifest)
    }

    /// Reads a list file (its folder is the root) or a rain folder, whichever `path` is.
    ///
    /// Nothing is guessed: a folder of pictures with two halves, two folders of other names and a built data set, which
    /// has two sides, are refused with the function that reads them.
    ///
    /// # Errors
    /// [`DatasetError::UnknownLayout`], and those of [`from_list_file`](Self::from_list_file) and [`from_rain_folder`](Self::from_rain_folder).
    pub fn detect(path: impl AsRef<Path>) -> Result<Self, Error> {
        detect::detect(path.as_ref())
    }
}

#[cfg(test)]
mod tests;
