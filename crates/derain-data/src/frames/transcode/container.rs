//! The containers that keep times.

use std::path::Path;

use super::TranscodeError;
use crate::Error;

/// FFmpeg's writer for the name.
pub(super) fn of(path: &Path) -> Result<&'static str, Error> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("mp4" | "m4v") => Ok("mp4"),
        Some("mov") => Ok("mov"),
        Some("mkv") => Ok("matroska"),
        _ => Err(TranscodeError::UnknownContainer { path: path.to_owned() }.into()),
    }
}

/// Whether [`write_video`](super::write_video) writes files of this name: `.mp4`, `.m4v`, `.mov` and `.mkv`. Other
/// containers lose times.
///
/// # Errors
/// [`TranscodeError::UnknownContainer`] if not.
pub fn check_container(path: &Path) -> Result<(), Error> {
    of(path).map(|_| ())
}
