//! Cleaning up after killed runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, temporary};

/// Removes what a killed [`write_durably`](crate::write_durably) left in `folder` (not below it), and
/// returns the removed paths.
///
/// Only regular files whose name has the exact form of such a temporary are touched, and only if the
/// process that made them is gone. Of files made on another machine, before a restart, in another
/// container, or where there is no `/proc`, that cannot be known: those go when a day old.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed or an orphan cannot be removed.
pub fn remove_orphans(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let folder = folder.as_ref();
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        // A file that vanishes meanwhile has been renamed to its target, or removed by another run.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        if !metadata.is_file() || !name.to_str().is_some_and(|name| temporary::is_orphan(name, &metadata)) {
            continue;
        }
        let path = entry.path();
        match fs::remove_file(&path) {
            Ok(()) => removed.push(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Io { action: "remove", path, source }),
        }
    }
    Ok(removed)
}
