//! Files that hold more pictures than the one that is read.

use std::path::Path;

use derain::data::Picture;
use derain::data::paths::Shown;

/// Whoever has scanned ten pages into one TIFF should not believe that all were done.
pub(crate) fn warn_of_others(path: &Path, picture: &Picture) {
    if picture.pages > 1 {
        tracing::warn!(
            "{} has {} pages, the first was read: save the others as files of their own",
            path.shown(),
            picture.pages
        );
    }
}
