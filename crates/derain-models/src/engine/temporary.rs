//! Where the temporary files lie that hold what memory does not.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use derain_ops::temporary::folder_on_disk;

/// The folder that is named, or else one of the system's that is on a disk, if it has room for `bytes`.
pub(super) fn folder_with_room(folder: Option<&Path>, bytes: u64) -> Result<PathBuf> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => folder_on_disk()?,
    };
    let free = fs4::available_space(&folder)?;
    if free < bytes {
        let (folder, gigabytes) = (folder.display(), |bytes: u64| bytes as f64 / 1e9);
        let text = format!("{folder} has {:.2} GB free, {:.2} GB are needed", gigabytes(free), gigabytes(bytes));
        return Err(Error::new(ErrorKind::StorageFull, text));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_said_before_anything_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = fs4::available_space(folder.path()).expect("a disk");
        let error = folder_with_room(Some(folder.path()), free.saturating_add(1 << 40)).expect_err("no room");
        assert!(error.kind() == ErrorKind::StorageFull && error.to_string().contains("GB are needed"), "{error}");
    }
}
