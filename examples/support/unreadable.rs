//! Photographs that no example can read.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use derain::data;
use derain::data::paths::Shown;

/// What the names of photographs end in that cannot be read: HEIC, AVIF, JPEG XL, and cameras' raw formats.
const UNREADABLE: [&str; 15] =
    ["arw", "avif", "cr2", "cr3", "dng", "heic", "heif", "hif", "jxl", "nef", "orf", "pef", "raf", "rw2", "srw"];

/// Whoever has 300 photographs should not have to count what came out.
pub(crate) fn warn_of_unreadable(folder: &Path) -> Result<()> {
    let is_unreadable = |path: &Path| {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        UNREADABLE.iter().any(|unreadable| extension.eq_ignore_ascii_case(unreadable))
    };
    let found = data::find_files(folder, is_unreadable)?;
    if let Some(first) = found.first() {
        tracing::warn!(
            "passed over, since HEIC, AVIF, JPEG XL and raw photographs cannot be read: {}{} (convert them to JPEG, PNG or TIFF)",
            first.shown(),
            match found.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} more"),
            }
        );
    }
    Ok(())
}
