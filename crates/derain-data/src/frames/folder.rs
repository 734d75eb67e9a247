//! The pictures of one folder as frames.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use rayon::prelude::*;

use super::{FrameOptions, FrameSource};
use crate::find::natural_order;
use crate::{Error, LoadOptions, is_picture_name, load_picture, load_picture_with};

/// A 16-bit sample equals the 8-bit sample v exactly when it is 257 v.
const SIXTEEN_PER_EIGHT: u16 = 257;

/// Frames that are decoded at once take at most this many bytes: nine of full HD, two of 4K.
const MOST_AT_ONCE: u64 = 64 << 20;

/// Bytes that a file may have beyond its samples, which are then stored as they are: headers, padded rows, profiles.
const BESIDE_SAMPLES: u64 = 1 << 20;

pub(super) struct FolderFrames {
    paths: std::vec::IntoIter<PathBuf>,
    count: usize,
    /// Decoded and not yet asked for: at first the one that told the size.
    ready: VecDeque<Result<RgbImage, Error>>,
    size: (u32, u32),
    /// What a frame's samples take as the file has them, or the file itself: likely no more than the first one's.
    bytes: u64,
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
        let image = load_picture(&first)?.image;
        let bytes = BESIDE_SAMPLES + image.as_bytes().len() as u64;
        let first = exact_frame(&first, image)?;
        Ok(Self { paths, count, size: first.dimensions(), bytes, ready: VecDeque::from([Ok(first)]) })
    }

    /// Decodes the next ones, as many as there are threads, or one where they are large.
    fn decode(&mut self) {
        let size = self.size;
        let most = usize::try_from(MOST_AT_ONCE / self.bytes).unwrap_or(usize::MAX);
        let count = rayon::current_num_threads().min(most).max(1);
        let paths: Vec<PathBuf> = self.paths.by_ref().take(count).collect();
        let likely = LoadOptions { max_bytes: self.bytes };
        let frames: Vec<_> = paths.par_iter().map(|path| load_frame_of(path, size, &likely)).collect();
        self.ready.extend(frames.into_iter().zip(paths).map(|(frame, path)| match frame {
            // It takes more than was reckoned with: by itself it may.
            Err(Error::TooLarge { .. }) => load_frame_of(&path, size, &LoadOptions::default()),
            frame => frame,
        }));
    }
}

impl FrameSource for FolderFrames {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        if self.ready.is_empty() {
            self.decode();
        }
        self.ready.pop_front().transpose()
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

fn load_frame_of(path: &Path, size: (u32, u32), options: &LoadOptions) -> Result<RgbImage, Error> {
    let frame = exact_frame(path, load_picture_with(path, options)?.image)?;
    match frame.dimensions() == size {
        true => Ok(frame),
        false => Err(Error::MixedSizes { path: path.to_owned(), found: frame.dimensions(), expected: size }),
    }
}

fn exact_frame(path: &Path, image: DynamicImage) -> Result<RgbImage, Error> {
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
