//! The pictures of one folder as frames.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};

use super::{FrameOptions, FrameSource};
use crate::find::natural_order;
use crate::{Error, is_picture_name, load_picture};

/// A 16-bit sample equals the 8-bit sample v exactly when it is 257 v.
const SIXTEEN_PER_EIGHT: u16 = 257;

pub(super) struct FolderFrames {
    paths: std::vec::IntoIter<PathBuf>,
    count: usize,
    /// Loaded when the folder was opened, to know the size.
    first: Option<RgbImage>,
    size: (u32, u32),
}

impl FolderFrames {
    pub(super) fn open(folder: &Path, options: &FrameOptions) -> Result<Self, Error> {
        let names = pictures_of(folder)?;
        if names.is_empty() {
            let hint = "it has no pictures directly in it: name the folder that holds the frames themselves";
            return Err(Error::NotFrames { path: folder.to_owned(), hint });
        }
        let available = names.len();
        let count = options.count(available);
        let chosen: Vec<PathBuf> = names.into_iter().skip(options.start).step_by(options.stride).take(count).collect();
        let mut paths = chosen.into_iter();
        let Some(first) = paths.next() else {
            return Err(Error::NoFrames { path: folder.to_owned(), start: options.start, available });
        };
        let first = load_frame(&first)?;
        Ok(Self { paths, count, size: first.dimensions(), first: Some(first) })
    }
}

impl FrameSource for FolderFrames {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(path) = self.paths.next() else {
            return Ok(None);
        };
        let frame = load_frame(&path)?;
        if frame.dimensions() != self.size {
            return Err(Error::MixedSizes { path, found: frame.dimensions(), expected: self.size });
        }
        Ok(Some(frame))
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn expected(&self) -> Option<usize> {
        Some(self.count)
    }
}

/// Pictures directly in `folder`: those below it are most likely something else, such as results.
pub(crate) fn pictures_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        // A link that leads nowhere stays in the list, so that loading it tells.
        if is_picture_name(&path) && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort_by(|a, b| natural_order(a, b));
    Ok(found)
}

fn load_frame(path: &Path) -> Result<RgbImage, Error> {
    let image = load_picture(path)?.image;
    let color = image.color();
    exact_rgb8(image).ok_or_else(|| Error::InexactFrame { path: path.to_owned(), color })
}

/// The picture as 8-bit RGB, if that loses nothing: opaque alpha, 16-bit samples that are 8-bit ones.
fn exact_rgb8(image: DynamicImage) -> Option<RgbImage> {
    let exact16 = |samples: &[u16]| samples.iter().all(|sample| sample % SIXTEEN_PER_EIGHT == 0);
    let exact = match &image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => true,
        DynamicImage::ImageLumaA8(image) => image.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        DynamicImage::ImageRgba8(image) => image.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        DynamicImage::ImageLuma16(image) => exact16(image),
        DynamicImage::ImageRgb16(image) => exact16(image),
        DynamicImage::ImageLumaA16(image) => exact16(image) && image.pixels().all(|pixel| pixel.0[1] == u16::MAX),
        DynamicImage::ImageRgba16(image) => exact16(image) && image.pixels().all(|pixel| pixel.0[3] == u16::MAX),
        _ => false,
    };
    exact.then(|| image.into_rgb8())
}
