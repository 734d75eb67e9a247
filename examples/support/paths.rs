//! When two paths are the same file, whatever they look like.

use std::fs::Metadata;
use std::path::Path;

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
