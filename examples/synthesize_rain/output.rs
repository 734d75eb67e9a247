//! The files of one photograph.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use derain::data::paths::Shown;
use derain::data::{self, Picture};
use image::DynamicImage;

use crate::support::files;

/// The folders of results.
pub(crate) const KINDS: [&str; 4] = ["rain", "mask", "clean", "veiled"];

/// Where the results of one photograph go.
pub(crate) struct Output<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a Path,
}

impl Output<'_> {
    /// `KIND/NAME.EXTENSION`.
    pub(crate) fn file(&self, kind: &str, extension: &str) -> PathBuf {
        let mut path = self.folder.join(kind).join(self.name).into_os_string();
        path.push(OsString::from(format!(".{extension}")));
        path.into()
    }

    /// `KIND/NAME/000001.png` for frame 0, and so on.
    pub(crate) fn frame(&self, kind: &str, frame: u32) -> PathBuf {
        self.frames(kind).join(frame_name(frame))
    }

    fn frames(&self, kind: &str) -> PathBuf {
        self.folder.join(kind).join(self.name)
    }

    /// Fails if a film's folder holds any file that this film would not replace: whoever reads it would take it for a
    /// frame. Folders there are films of their own, of the photographs in a folder of the same name.
    pub(crate) fn check_frames(&self, kind: &str, count: u32) -> Result<()> {
        let folder = self.frames(kind);
        if !folder.exists() {
            return Ok(());
        }
        data::remove_orphans(&folder)?;
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.shown()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.shown()))?;
            if entry.path().is_dir() {
                continue;
            }
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".png")?.parse::<u32>().ok());
            let ours = number
                .is_some_and(|number| (1..=count).contains(&number) && name.to_str() == Some(&frame_name(number - 1)));
            ensure!(ours, "{} is no frame of this film: remove it or choose another output", folder.join(name).shown());
        }
        Ok(())
    }
}

fn frame_name(frame: u32) -> String {
    format!("{:06}.png", u64::from(frame) + 1)
}

/// Writes a PNG so that it is whole or not there.
pub(crate) fn save(path: &Path, image: impl Into<DynamicImage>) -> Result<()> {
    files::make_folder_of(path)?;
    Ok(data::save_picture(path, &Picture::from(image.into()))?)
}
