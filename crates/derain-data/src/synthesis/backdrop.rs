//! Putting rain over a picture.

use image::{GrayImage, RgbImage};
use rayon::prelude::*;

use super::light::LightMap;
use super::{Blending, RainLayer, RainOptions, degrade, srgb};
use crate::Error;
use crate::brief_debug::brief_debug;

/// The veil takes its light from the surroundings, but is no brighter than paper.
const BRIGHTEST_VEIL: f32 = 0.9;

/// No more of a pixel than this is veil.
const THICKEST_VEIL: f32 = 0.97;

/// What marks rain in a mask.
const RAIN: u8 = 255;

/// A picture with what does not change from frame to frame: veil, dimming, the light that drops catch.
#[derive(Clone)]
pub struct Backdrop {
    options: RainOptions,
    background: RgbImage,
    light: LightMap,
}

brief_debug!(Backdrop, |backdrop| { options: backdrop.options, size: backdrop.background.dimensions() });

/// A picture with rain, and the truth about it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RainyPicture {
    /// With everything that the options ask for.
    pub rainy: RgbImage,
    /// The same without streaks, noise and compression: the clean picture under veil and dimming, or just the clean
    /// picture.
    pub background: RgbImage,
    /// 255 where streaks moved a channel by more than [`RainOptions::mask_threshold`], 0 elsewhere.
    pub mask: GrayImage,
}

brief_debug!(RainyPicture, |picture| { size: picture.rainy.dimensions() });

impl Backdrop {
    /// Prepares a picture (sRGB).
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and [`Error::NoPixels`] if a side is 0.
    pub fn new(picture: &RgbImage, options: &RainOptions) -> Result<Self, Error> {
        options.check()?;
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::NoPixels { width, height });
        }
        let light = LightMap::new(picture);
        let mut background = picture.clone();
        if options.veil > 0.0 || options.dimming > 0.0 {
            veil(&mut background, &light, options);
        }
        Ok(Self { options: options.clone(), background, light })
    }

    /// The picture under veil and dimming.
    #[must_use]
    pub fn background(&self) -> &RgbImage {
        &self.background
    }

    /// Other pixels in the same light.
    #[cfg(test)]
    pub(super) fn put(&mut self, colour: image::Rgb<u8>) {
        self.background.pixels_mut().for_each(|pixel| *pixel = colour);
    }

    /// The picture in the rain of a frame.
    ///
    /// # Errors
    /// [`Error::SizesDiffer`] if the layer has another size, [`Error::Encode`] if the picture is too large for JPEG.
    pub fn apply(&self, layer: &RainLayer) -> Result<RainyPicture, Error> {
        let size = self.background.dimensions();
        if size != layer.size() {
            return Err(Error::SizesDiffer { expected: size, found: layer.size() });
        }
        let columns = size.0 as usize;
        let mut rainy = self.background.clone();
        let mut mask = GrayImage::new(size.0, size.1);
        rainy
            .par_chunks_exact_mut(3 * columns)
            .zip(mask.par_chunks_exact_mut(columns))
            .zip(layer.opacity.par_chunks_exact(columns))
            .enumerate()
            .for_each(|(y, ((pixels, mask), opacity))| self.rain_on_row(pixels, mask, opacity, y));
        degrade::add_noise(&mut rainy, self.options.noise, layer.seed, layer.frame);
        if let Some(quality) = self.options.jpeg {
            rainy = degrade::compress(&rainy, quality)?;
        }
        Ok(RainyPicture { rainy, background: self.background.clone(), mask })
    }

    fn rain_on_row(&self, pixels: &mut [u8], mask: &mut [u8], opacity: &[f32], y: usize) {
        let (linear, stored) = (srgb::linear_table(), srgb::stored_table());
        let light = self.light.row(y);
        let threshold = self.options.mask_threshold;
        for (x, ((pixel, mask), &opacity)) in
            pixels.as_chunks_mut::<3>().0.iter_mut().zip(mask).zip(opacity).enumerate()
        {
            if opacity == 0.0 {
                continue;
            }
            let light = light.at(x).map(|light| light * self.options.light);
            for (value, light) in pixel.iter_mut().zip(light) {
                let behind = *value;
                *value = match self.options.blending {
                    Blending::Light => {
                        let behind = linear[usize::from(behind)];
                        srgb::stored(stored, behind + opacity * (light - behind))
                    }
                    Blending::Additive => to_8_bits(unit(behind) + opacity * srgb::encode(light)),
                    Blending::Screen => {
                        to_8_bits(1.0 - (1.0 - unit(behind)) * (1.0 - opacity * srgb::encode(light).min(1.0)))
                    }
                };
                if value.abs_diff(behind) > threshold {
                    *mask = RAIN;
                }
            }
        }
    }
}

fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}

fn to_8_bits(value: f32) -> u8 {
    // Casts cut to 0..=255.
    (255.0 * value + 0.5) as u8
}

/// Blends the picture towards the light around it and takes light away, in linear light.
fn veil(picture: &mut RgbImage, light: &LightMap, options: &RainOptions) {
    let (linear, stored) = (srgb::linear_table(), srgb::stored_table());
    let (width, height) = picture.dimensions();
    let kept = 1.0 - options.dimming;
    picture.par_chunks_exact_mut(3 * width as usize).enumerate().for_each(|(y, pixels)| {
        let light = light.row(y);
        // From −1 at the top to 1 at the bottom.
        let place = (2.0 * y as f32 + 1.0) / height as f32 - 1.0;
        let share = (options.veil * (1.0 + options.veil_gradient * place)).clamp(0.0, THICKEST_VEIL);
        for (x, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            for (value, light) in pixel.iter_mut().zip(light.at(x)) {
                let behind = linear[usize::from(*value)];
                let veiled = behind + share * (light.min(BRIGHTEST_VEIL) - behind);
                *value = srgb::stored(stored, kept * veiled);
            }
        }
    });
}
