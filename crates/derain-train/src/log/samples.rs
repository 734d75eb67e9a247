//! Sample pictures side by side.

use std::fs;
use std::path::{Path, PathBuf};

use derain_data::{Picture, encode_picture, remove_orphans, write_durably};
use image::imageops::replace;
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};

use crate::observer::SamplePictures;
use crate::{Error, Result};

/// Pixels between two pictures, white.
const GAP: u32 = 4;

/// The folder's name in the output folder.
const FOLDER: &str = "samples";

/// Input, output, attention if there is one, mask and truth, from left to right.
pub(super) fn strip(pictures: &SamplePictures) -> RgbImage {
    let grey = |map: &GrayImage| DynamicImage::ImageLuma8(map.clone()).into_rgb8();
    let (attention, mask) = (pictures.attention.as_ref().map(grey), grey(&pictures.mask));
    let row: Vec<&RgbImage> =
        [Some(&pictures.input), Some(&pictures.output), attention.as_ref(), Some(&mask), Some(&pictures.truth)]
            .into_iter()
            .flatten()
            .collect();
    let (width, height) = pictures.input.dimensions();
    let all = (width + GAP) * row.len() as u32 - GAP;
    let mut strip = RgbImage::from_pixel(all, height, Rgb([255; 3]));
    for (index, picture) in row.into_iter().enumerate() {
        replace(&mut strip, picture, i64::from(width + GAP) * index as i64, 0);
    }
    strip
}

/// A picture as a PNG file's bytes.
pub(super) fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let picture = Picture::from(DynamicImage::ImageRgb8(picture.clone()));
    Ok(encode_picture(&picture, ImageFormat::Png)?)
}

#[derive(Debug)]
pub(super) struct SampleFolder(PathBuf);

impl SampleFolder {
    /// Makes the folder if it is missing, and removes what a kill left.
    pub(super) fn open(output: &Path) -> Result<Self> {
        let folder = output.join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        remove_orphans(&folder)?;
        Ok(Self(folder))
    }

    /// Writes one pair's strip; its name, relative to the output folder.
    pub(super) fn write(&self, step: u64, pair: usize, png: &[u8]) -> Result<String> {
        // Zeros in front: names sort as steps do.
        let name = format!("step-{step:08}-pair-{pair}.png");
        write_durably(self.0.join(&name), png)?;
        Ok(format!("{FOLDER}/{name}"))
    }
}
