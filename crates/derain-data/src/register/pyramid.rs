//! Smoothed luma at halving resolutions.

use image::RgbImage;
use rayon::prelude::*;

use crate::brief_debug::brief_debug;
use crate::luma::luma_of;

/// Binomial weights of five neighbours: a Gaussian of sigma 1. It takes out noise and what lies
/// near the sampling limit, where interpolation shifts.
const BINOMIAL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

/// The coarsest level is the first one whose longer side is at most this: some pixels of it are the
/// largest shake that is looked for.
const COARSEST_SIDE: usize = 48;

/// Values of 0..255, row by row.
#[derive(Clone, Default)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<f32>,
}

brief_debug!(Plane, |plane| { width: plane.width, height: plane.height });

impl Plane {
    pub(super) fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width..][..self.width]
    }

    /// The row nearest to `y`.
    pub(super) fn clamped_row(&self, y: isize) -> &[f32] {
        self.row(y.clamp(0, self.height as isize - 1).cast_unsigned())
    }

    fn luma(image: &RgbImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Self { width, height, data: luma_of(image) }
    }

    /// Smooths, and keeps every `step`-th pixel of both axes; edges are repeated. Pixel x of the
    /// result lies at `step` x.
    fn smoothed(&self, step: usize) -> Self {
        let (width, height) = (self.width.div_ceil(step), self.height.div_ceil(step));
        let mut data = vec![0.0; width * height];
        data.par_chunks_exact_mut(width.max(1)).enumerate().for_each_init(Vec::new, |blended, (y, out)| {
            let rows = [-2, -1, 0, 1, 2].map(|offset| self.clamped_row((y * step) as isize + offset));
            blended.clear();
            // Two repeated pixels at either end.
            blended.resize(self.width + 4, 0.0);
            for (x, sum) in blended[2..self.width + 2].iter_mut().enumerate() {
                *sum = (0..5).map(|k| BINOMIAL[k] * rows[k][x]).sum();
            }
            let (first, last) = (blended[2], blended[self.width + 1]);
            blended[..2].fill(first);
            blended[self.width + 2..].fill(last);
            for (x, out) in out.iter_mut().enumerate() {
                *out = blended[x * step..][..5].iter().zip(BINOMIAL).map(|(value, weight)| value * weight).sum();
            }
        });
        Self { width, height, data }
    }
}

/// Level 0 has the picture's resolution, each further one half of the one before.
#[derive(Clone, Debug)]
pub(super) struct Pyramid {
    /// Finest first; those finer than the finest that is used are left out.
    pub(super) levels: Vec<Plane>,
    /// How often the resolution of `levels[0]` was halved.
    pub(super) halvings: u32,
}

impl Pyramid {
    /// Levels from the first that has at most `pixels` pixels.
    pub(super) fn new(image: &RgbImage, pixels: usize) -> Self {
        let mut finest = Plane::luma(image).smoothed(1);
        let mut halvings = 0;
        while finest.data.len() > pixels.max(1) {
            finest = finest.smoothed(2);
            halvings += 1;
        }
        let mut levels = vec![finest];
        while let Some(last) = levels.last().filter(|last| last.width.max(last.height) > COARSEST_SIDE) {
            let next = last.smoothed(2);
            levels.push(next);
        }
        Self { levels, halvings }
    }

    /// Pixels of the picture in a pixel of a level.
    pub(super) fn pixel_size(&self, level: usize) -> f64 {
        f64::from(1u32 << (self.halvings + level as u32))
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::Pyramid;

    #[test]
    fn flat_stays_flat_at_every_level() {
        for (width, height) in [(1, 1), (2, 1), (1, 300), (200, 97)] {
            let pyramid = Pyramid::new(&RgbImage::from_pixel(width, height, Rgb([9, 120, 77])), 5000);
            assert!(pyramid.levels[0].data.len() <= 5000);
            let value = 0.299 * 9.0 + 0.587 * 120.0 + 0.114 * 77.0;
            for level in &pyramid.levels {
                assert!(level.data.iter().all(|found| (found - value).abs() < 1e-3), "{width}x{height}");
            }
        }
    }

    #[test]
    fn levels_keep_places() {
        // A ramp: pixel x of a level lies at pixel_size x.
        let image = RgbImage::from_fn(200, 120, |x, y| Rgb([(x + y / 2) as u8; 3]));
        let pyramid = Pyramid::new(&image, 10_000);
        assert_eq!(pyramid.halvings, 1);
        for (index, level) in pyramid.levels.iter().enumerate() {
            let size = pyramid.pixel_size(index);
            let (x, y) = (level.width / 2, level.height / 2);
            let wanted = x as f64 * size + y as f64 * size / 2.0;
            assert!((f64::from(level.row(y)[x]) - wanted).abs() < 0.5, "level {index}");
        }
    }
}
