//! Where a path leads, whatever it looks like.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The absolute path with links resolved, also of what does not exist yet.
///
/// # Errors
/// When the path is empty or nothing of it can be found.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
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
