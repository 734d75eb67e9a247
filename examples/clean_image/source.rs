//! Where frames come from: pictures in a folder, in natural order.
//!
//! The one place to switch: this file stands in for the library's frame sources (`derain::data::open_frames`, with the same names
//! and arguments), which also read Y4M and videos.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use derain::data;
use image::RgbImage;

pub(crate) struct FrameOptions {
    pub(crate) start: usize,
    pub(crate) stride: usize,
    pub(crate) length: Option<usize>,
}

pub(crate) trait FrameSource {
    fn next_frame(&mut self) -> Result<Option<RgbImage>>;
    fn expected(&self) -> Option<usize>;
}

pub(crate) fn open_frames(path: &Path, options: &FrameOptions) -> Result<Box<dyn FrameSource + Send>> {
    ensure!(path.is_dir(), "{} is no folder of pictures: this version reads no other frames", path.display());
    let names = data::find_pictures(path)?;
    let length = options.length.unwrap_or(usize::MAX);
    let chosen: Vec<PathBuf> =
        names.iter().skip(options.start).step_by(options.stride).take(length).map(|name| path.join(name)).collect();
    ensure!(!chosen.is_empty(), "{} has {} pictures, none of them after --start", path.display(), names.len());
    Ok(Box::new(Folder { pictures: chosen.into_iter() }))
}

struct Folder {
    pictures: std::vec::IntoIter<PathBuf>,
}

impl FrameSource for Folder {
    fn next_frame(&mut self) -> Result<Option<RgbImage>> {
        let Some(path) = self.pictures.next() else { return Ok(None) };
        let picture =
            data::load_picture(&path).with_context(|| format!("cannot take {} as a frame", path.display()))?;
        Ok(Some(picture.image.into_rgb8()))
    }

    fn expected(&self) -> Option<usize> {
        Some(self.pictures.len())
    }
}
