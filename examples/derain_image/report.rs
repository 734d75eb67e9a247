//! What was done, for people and as JSON.

use std::io::{self, Write};
use std::path::PathBuf;

use derain::data::paths::Shown;
use serde::Serialize;

#[derive(Serialize, Debug)]
pub(crate) struct Report {
    pub(crate) network: String,
    pub(crate) weights_sha256: String,
    pub(crate) images: Vec<Entry>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Entry {
    pub(crate) input: PathText,
    /// Where the output is, or would have been.
    pub(crate) output: PathText,
    /// Inference alone; null if there was none.
    pub(crate) seconds: Option<f64>,
    pub(crate) error: Option<String>,
    /// The output existed and `--resume` was given.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) skipped: bool,
}

/// A path that serializes even if it is not Unicode, with U+FFFD for what is not.
#[derive(Debug)]
pub(crate) struct PathText(pub(crate) PathBuf);

impl Serialize for PathText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string_lossy())
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Report {
    fn failures(&self) -> impl Iterator<Item = &Entry> {
        self.images.iter().filter(|entry| entry.error.is_some())
    }

    /// Whether no picture failed.
    pub(crate) fn is_complete(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Says how many were done and skipped, and which failed.
    pub(crate) fn summarize(&self, out: &mut impl Write) -> io::Result<()> {
        let (all, failed) = (self.images.len(), self.failures().count());
        let skipped = self.images.iter().filter(|entry| entry.skipped).count();
        write!(out, "{} of {all} done", all - failed - skipped)?;
        if skipped > 0 {
            write!(out, ", {skipped} skipped because their output exists")?;
        }
        writeln!(out)?;
        // Why has been said. A single one has just been named, too.
        if failed > 0 && all > 1 {
            writeln!(out, "{failed} of {all} failed:")?;
            for entry in self.failures() {
                writeln!(out, "  {}", entry.input.0.shown())?;
            }
        }
        Ok(())
    }
}
