//! When two paths are the same file, whatever they look like.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The absolute path with links resolved, also of what does not exist yet.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut existing = absolute.as_path();
    let mut resolved = loop {
        match existing.canonicalize() {
            Ok(resolved) => break resolved,
            Err(error) => match (existing.parent(), existing.components().next_back()) {
                (Some(parent), Some(last)) => {
                    missing.push(last.as_os_str().to_owned());
                    existing = parent;
                }
                _ => return Err(error),
            },
        }
    };
    for part in missing.into_iter().rev() {
        // Nothing there can be a link, so `..` is the folder above by name.
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(resolved.pop()),
            _ => resolved.push(part),
        }
    }
    Ok(resolved)
}

/// What tells one file from another through hard links, where the system has it.
pub(crate) fn file_id(metadata: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Whether a path can only be a folder: one that exists, or a name with a separator at its end.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.to_string_lossy().ends_with(std::path::is_separator)
}
