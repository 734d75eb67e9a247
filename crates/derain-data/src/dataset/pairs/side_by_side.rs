//! Pictures that hold the rainy and the clean one.

use std::path::Path;

use super::{Half, Pair};
use crate::{Error, find_pictures};

pub(super) fn read(folder: &Path, rainy: Half) -> Result<Vec<Pair>, Error> {
    let pictures = find_pictures(folder)?;
    Ok(pictures.into_iter().map(|name| Pair::SideBySide { picture: folder.join(name), rainy }).collect())
}
