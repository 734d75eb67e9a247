//! Rain clips whose truth is known, and what the judge measures of their clean images.

use std::slice;

use anyhow::Result;
use derain::data::judge::{Density, DensityEstimate, Measures, estimate_density};
use derain::data::synthesis::{Backdrop, Bokeh, RainOptions, RainScene};
use derain::data::{CleanImage, CleanOptions, Error, FrameSource};
use image::{Rgb, RgbImage, imageops};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

/// Frames of the candidates.
const COUNTS: [usize; 9] = [4, 7, 10, 14, 20, 30, 50, 70, 100];

/// Pictures are cut to this size, so that a clip takes less than a second.
const SIZE: (u32, u32) = (240, 160);

/// A clean image has at least this PSNR against the truth, in the luma of each pixel and its neighbours: noise is not
/// rain.
const CLEAN_PSNR: f64 = 40.0;

/// A pixel shows rain if it and its neighbours are off by more than these 8-bit steps of luma.
const VISIBLE: f32 = 8.0;

/// A clean image shows rain in at most this share of its pixels, one short streak.
const CLEAN_SHARE: f64 = 0.001;

/// A candidate, judged by the truth and measured without it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) density: Density,
    pub(crate) frames: usize,
    pub(crate) psnr: f64,
    /// Share of pixels that show rain.
    pub(crate) rainy: f64,
    pub(crate) measures: Measures,
}

impl Sample {
    pub(crate) fn is_clean(&self) -> bool {
        self.psnr >= CLEAN_PSNR && self.rainy <= CLEAN_SHARE
    }
}

/// Everything known of a clip.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Clip {
    pub(crate) name: String,
    pub(crate) density: Density,
    pub(crate) estimate: DensityEstimate,
    pub(crate) samples: Vec<Sample>,
}

/// Makes a clip over the middle of a picture.
pub(crate) fn make(name: String, picture: &RgbImage, density: Density, seed: u64) -> Result<Clip> {
    let (width, height) = (SIZE.0.min(picture.width()), SIZE.1.min(picture.height()));
    let corner = ((picture.width() - width) / 2, (picture.height() - height) / 2);
    let clean = imageops::crop_imm(picture, corner.0, corner.1, width, height).to_image();
    let options = rain(density, seed);
    // Compression's own loss is not rain.
    let dry = RainOptions { density: 0.0, bokeh: Bokeh::default(), noise: 0.0, ..options.clone() };
    let truth = RainScene::new(&dry, width, height, seed)?.render(&clean, 0)?.rainy;
    let backdrop = Backdrop::new(&clean, &options)?;
    let scene = RainScene::new(&options, width, height, seed)?;
    let mut clip = CleanImage::new(CleanOptions::default());
    let mut samples = Vec::new();
    for count in COUNTS {
        while clip.frames() < count {
            clip.push_owned(backdrop.apply(&scene.frame(clip.frames() as u64))?.rainy)?;
        }
        let candidate = clip.result()?;
        let measures = Measures::of(&candidate.image, candidate.percentile, &clip)?;
        let (psnr, rainy) = truth_of(&candidate.image, &truth);
        samples.push(Sample { density, frames: count, psnr, rainy, measures });
    }
    let frames: Vec<RgbImage> =
        (0..clip.frames()).map_while(|index| clip.frame(index).transpose()).collect::<Result<_, _>>()?;
    let estimate = estimate_density(&mut Frames(frames.iter()))?;
    Ok(Clip { name, density, estimate, samples })
}

/// A preset's rain, varied; a part with noise, a part compressed.
fn rain(density: Density, seed: u64) -> RainOptions {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let preset = RainOptions::preset(density);
    let mut between = |low: f32, high: f32| low * (high / low).powf(rng.random::<f32>());
    RainOptions {
        density: preset.density * between(0.6, 1.7),
        speed: preset.speed * between(0.5, 1.6),
        opacity: preset.opacity * between(0.6, 2.0),
        light: preset.light * between(0.8, 1.5),
        thickness: preset.thickness * between(0.8, 1.4),
        angle: rng.random_range(-35.0..35.0),
        noise: [0.0, 0.0, 1.0, 2.0, 3.0][rng.random_range(0..5)],
        jpeg: [None, None, Some(90)][rng.random_range(0..3)],
        ..preset
    }
}

/// PSNR of the luma's means over 3 x 3 pixels, which noise hardly touches, at most 99 dB; and the share of these means
/// that are off by more than [`VISIBLE`]: pixels that show rain. The outermost pixels are left out.
fn truth_of(image: &RgbImage, truth: &RgbImage) -> (f64, f64) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let luma =
        |pixel: &Rgb<u8>| 0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2]);
    let off: Vec<f32> = image.pixels().zip(truth.pixels()).map(|(a, b)| luma(a) - luma(b)).collect();
    let (mut squares, mut rainy) = (0.0, 0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let mean = (0..9).map(|place| off[(y + place / 3 - 1) * width + x + place % 3 - 1]).sum::<f32>() / 9.0;
            squares += f64::from(mean * mean);
            rainy += usize::from(mean.abs() > VISIBLE);
        }
    }
    let pixels = (width.saturating_sub(2) * height.saturating_sub(2)).max(1) as f64;
    let psnr = 10.0 * (255.0 * 255.0 / (squares / pixels)).log10();
    (psnr.min(99.0), rainy as f64 / pixels)
}

/// Frames in memory.
struct Frames<'a>(slice::Iter<'a, RgbImage>);

impl FrameSource for Frames<'_> {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        Ok(self.0.next().cloned())
    }

    fn size(&self) -> (u32, u32) {
        self.0.as_slice().first().map_or((0, 0), RgbImage::dimensions)
    }

    fn expected(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
