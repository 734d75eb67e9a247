//! Cropping, scaling and flipping a pair, both pictures alike.
//!
//! The random resized crop is PyTorch's (torchvision's of today): a window whose area is a uniform share of the
//! picture's and whose ratio of sides is uniform in the logarithm, scaled to a square by bicubic interpolation
//! (a = −0.5, widened when it shrinks). SPANet's release draws the ratio uniformly and swaps the sides half of the
//! time, which makes next to no difference at its 256 x 256. Interpolated values are clamped to 0..1, and rounded to 8
//! bits where that is asked for, as in the release.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb, RgbImage};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::random::generator;
use super::sample::{CHANNELS, Sample};
use crate::Error;
use crate::dataset::DatasetError;

/// Windows are drawn so often before the largest fitting one in the middle is taken, as PyTorch does it.
const ATTEMPTS: usize = 10;

/// What is done to a pair before it is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentOptions {
    /// Which part is taken.
    pub crop: Crop,
    /// Probability of left for right, 0..=1.
    pub flip_horizontal: f64,
    /// Probability of top for bottom, 0..=1.
    pub flip_vertical: f64,
    /// Whether scaled pictures are rounded to 8 bits. Else a difference of the pair that scaling spreads thinly over
    /// its neighbours stays a difference there, and a rain mask that marks any is wider.
    pub round_to_8_bits: bool,
}

/// Which part of a picture is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Crop {
    /// All of it.
    Whole {},
    /// A window of `size` x `size` pixels anywhere, not resampled.
    Window {
        /// Side in pixels.
        size: u32,
    },
    /// A window of random size and shape, scaled to `size` x `size` pixels.
    Resized {
        /// Side of the result in pixels.
        size: u32,
        /// Least and greatest area of the window, as shares of the picture's, above 0 and at most 1.
        scale: [f64; 2],
        /// Least and greatest width by height, above 0.
        ratio: [f64; 2],
    },
}

impl Default for AugmentOptions {
    /// [`AugmentOptions::spanet`].
    fn default() -> Self {
        Self::spanet()
    }
}

impl AugmentOptions {
    /// As SPANet's release trains: a resized crop to 256 x 256, area 0.8 to 1, ratio 3/4 to 4/3, rounded to 8 bits, no
    /// flips.
    #[must_use]
    pub fn spanet() -> Self {
        let crop = Crop::Resized { size: 256, scale: [0.8, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };
        Self { crop, round_to_8_bits: true, ..Self::none() }
    }

    /// As the authors of RRANet train: windows of 96 x 96, half of them mirrored.
    #[must_use]
    pub fn rranet() -> Self {
        Self { crop: Crop::Window { size: 96 }, flip_horizontal: 0.5, ..Self::none() }
    }

    /// Pairs as they are.
    #[must_use]
    pub fn none() -> Self {
        Self { crop: Crop::Whole {}, flip_horizontal: 0.0, flip_vertical: 0.0, round_to_8_bits: false }
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |option, value: String, expected: &'static str| Err(Error::option(option, value, expected));
        for (option, share) in [("flip_horizontal", self.flip_horizontal), ("flip_vertical", self.flip_vertical)] {
            if !(0.0..=1.0).contains(&share) {
                return invalid(option, share.to_string(), "a probability, 0 to 1");
            }
        }
        match self.crop {
            Crop::Window { size: 0 } | Crop::Resized { size: 0, .. } => invalid("size", "0".into(), "1 or more"),
            Crop::Resized { scale: [least, most], .. } if !(least > 0.0 && least <= most && most <= 1.0) => {
                invalid("scale", format!("[{least}, {most}]"), "two shares above 0 and at most 1, the lesser first")
            }
            Crop::Resized { ratio: [least, most], .. } if !(least > 0.0 && least <= most && most.is_finite()) => {
                invalid("ratio", format!("[{least}, {most}]"), "two ratios above 0, the lesser first")
            }
            _ => Ok(()),
        }
    }

    /// The pair as it is seen in `epoch` as sample `index`, under `seed`.
    ///
    /// # Errors
    /// [`Error::NoPixels`] if the pictures have none, [`DatasetError::PairSizes`] if they differ in size, [`DatasetError::SmallerThanCrop`] if a [`Crop::Window`] does not fit into
    /// them, [`Error::InvalidOption`] as [`check`](Self::check).
    pub fn apply(&self, rainy: &RgbImage, clean: &RgbImage, [seed, epoch, index]: [u64; 3]) -> Result<Sample, Error> {
        self.check()?;
        let size = rainy.dimensions();
        if size != clean.dimensions() {
            return Err(
                DatasetError::PairSizes { pair: "a pair".into(), rainy: size, clean: clean.dimensions() }.into()
            );
        }
        if size.0 == 0 || size.1 == 0 {
            return Err(Error::NoPixels { width: size.0, height: size.1 });
        }
        let mut generator = generator("augmentation", &[seed, epoch, index]);
        let (window, result) = self.window(size, &mut generator)?;
        let mirror = Mirror {
            horizontal: generator.random::<f64>() < self.flip_horizontal,
            vertical: generator.random::<f64>() < self.flip_vertical,
        };
        let (width, height) = (result.0 as usize, result.1 as usize);
        let made = |picture| {
            let mut scaled = scale(picture, window, result);
            if self.round_to_8_bits {
                scaled.iter_mut().for_each(|sample| *sample = (sample.clamp(0.0, 1.0) * 255.0).round() / 255.0);
            }
            mirror.planes(&scaled)
        };
        let [rainy, clean] = [rainy, clean].map(made);
        Ok(Sample { rainy, clean, height, width })
    }

    /// What to take, and the width and height to bring it to.
    fn window(&self, (width, height): (u32, u32), generator: &mut Pcg64Mcg) -> Result<(Window, (u32, u32)), Error> {
        match self.crop {
            Crop::Whole {} => Ok((Window { x: 0, y: 0, width, height }, (width, height))),
            Crop::Window { size } if size > width || size > height => {
                Err(DatasetError::SmallerThanCrop { picture: "a picture".into(), size: (width, height), crop: size }
                    .into())
            }
            Crop::Window { size } => Ok((Window::somewhere(size, size, (width, height), generator), (size, size))),
            Crop::Resized { size, scale, ratio } => {
                Ok((resized_window((width, height), scale, ratio, generator), (size, size)))
            }
        }
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Window {
    fn somewhere(width: u32, height: u32, size: (u32, u32), generator: &mut Pcg64Mcg) -> Self {
        let (x, y) = (generator.random_range(0..=size.0 - width), generator.random_range(0..=size.1 - height));
        Self { x, y, width, height }
    }
}

fn resized_window((width, height): (u32, u32), scale: [f64; 2], ratio: [f64; 2], generator: &mut Pcg64Mcg) -> Window {
    let (columns, rows) = (f64::from(width), f64::from(height));
    let log = ratio.map(f64::ln);
    for _ in 0..ATTEMPTS {
        let area = columns * rows * generator.random_range(scale[0]..=scale[1]);
        let shape = generator.random_range(log[0]..=log[1]).exp();
        // Casts saturate.
        let (w, h) = ((area * shape).sqrt().round() as u32, (area / shape).sqrt().round() as u32);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            return Window::somewhere(w, h, (width, height), generator);
        }
    }
    let shape = (columns / rows).clamp(ratio[0], ratio[1]);
    let w = ((rows * shape).round() as u32).clamp(1, width);
    let h = ((columns / shape).round() as u32).clamp(1, height);
    Window { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
}

type Floats = ImageBuffer<Rgb<f32>, Vec<f32>>;

fn scale(picture: &RgbImage, part: Window, (width, height): (u32, u32)) -> Floats {
    let floats = ImageBuffer::from_fn(part.width, part.height, |x, y| {
        Rgb(picture.get_pixel(part.x + x, part.y + y).0.map(|sample| f32::from(sample) / 255.0))
    });
    match floats.dimensions() == (width, height) {
        true => floats,
        false => imageops::resize(&floats, width, height, FilterType::CatmullRom),
    }
}

/// Which axes are reversed.
#[derive(Clone, Copy)]
struct Mirror {
    horizontal: bool,
    vertical: bool,
}

impl Mirror {
    /// Pixels to planes.
    fn planes(self, picture: &Floats) -> Vec<f32> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut planes = vec![0.0; CHANNELS * width * height];
        for (row, pixels) in picture.as_raw().chunks_exact(CHANNELS * width).enumerate() {
            let row = if self.vertical { height - 1 - row } else { row };
            for (column, pixel) in pixels.chunks_exact(CHANNELS).enumerate() {
                let column = if self.horizontal { width - 1 - column } else { column };
                for (channel, &sample) in pixel.iter().enumerate() {
                    planes[(channel * height + row) * width + column] = sample.clamp(0.0, 1.0);
                }
            }
        }
        planes
    }
}

#[cfg(test)]
#[path = "augment_tests.rs"]
mod tests;
