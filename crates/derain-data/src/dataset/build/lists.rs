//! `train.txt` and `test.txt`.

use super::manifest::Manifest;
use super::split::Split;
use super::tree::{self, Tree};
use crate::{Error, write_durably};

/// Writes a line `rainy clean` for each pair; names hold no spaces.
pub(super) fn write(tree: &Tree, manifest: &Manifest) -> Result<(), Error> {
    for split in Split::ALL {
        let [rain, norain] = tree::relative_folders(split);
        let mut lines = String::new();
        for video in manifest.videos.iter().filter(|video| video.split == split) {
            for name in video.pairs.iter().flatten() {
                lines.push_str(&format!("{rain}/{name} {norain}/{name}\n"));
            }
        }
        write_durably(tree.list(split), lines.as_bytes())?;
    }
    Ok(())
}
