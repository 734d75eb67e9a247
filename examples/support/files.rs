//! Files of results, their folders, and what killed runs left there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use derain::data;
use derain::data::paths::Shown;
use serde::Serialize;

/// The folder of a file to write.
pub(crate) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the folder of a file to write, and those above it.
pub(crate) fn make_folder_of(target: &Path) -> Result<()> {
    let folder = folder_of(target);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.shown()))
}

/// Writes a file, making its folder, so that it is whole or not there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_folder_of(path)?;
    Ok(data::write_durably(path, bytes)?)
}

/// Fails if one of these folders takes no file, before much time has been spent. Nothing is made: of a missing one, the
/// first above it that is there is tried.
pub(crate) fn check_writable<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    for folder in folders {
        let absolute = std::path::absolute(folder)?;
        let Some(existing) = absolute.ancestors().find(|folder| folder.is_dir()) else { continue };
        tempfile::tempfile_in(existing).with_context(|| format!("cannot write into {}", existing.shown()))?;
    }
    Ok(())
}

/// A value as JSON that people can read, with a newline at the end.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

/// Removes what killed runs left beside these targets.
pub(crate) fn remove_orphans<'a>(targets: impl IntoIterator<Item = &'a Path>) {
    let folders: BTreeSet<&Path> = targets.into_iter().map(folder_of).filter(|folder| folder.is_dir()).collect();
    for folder in folders {
        // What cannot be removed is in nobody's way.
        if let Err(error) = data::remove_orphans(folder) {
            tracing::warn!("{}", super::describe(&error));
        }
    }
}
