//! Small movements of a hand-held camera, with the truth known.

use image::{RgbImage, imageops};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::random::{self, Purpose};
use crate::Error;

/// What bicubic interpolation needs around a pixel.
const BICUBIC_REACH: u32 = 2;

/// Pixels.
const MOST_AMPLITUDE: f32 = 100.0;

/// Whether the camera moves by whole pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShakeSteps {
    /// Every frame holds the scene's own pixels.
    Whole,
    /// Frames are interpolated, bicubic, as a moved sensor would.
    #[default]
    Sub,
}

/// A camera that points elsewhere in every frame, except that frame 0 is where it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraShake {
    /// Greatest movement along each axis, pixels, 0 to 100. Outside that range [`margin`](Self::margin) and
    /// [`offset`](Self::offset) clamp, and take NaN as 0; [`see`](Self::see) refuses.
    pub amplitude: f32,
    /// Whether movements are whole pixels.
    pub steps: ShakeSteps,
    /// Of the movements.
    pub seed: u64,
}

impl CameraShake {
    /// Pixels of the picture lost on every side, so that every frame sees only what is there.
    #[must_use]
    pub fn margin(&self) -> u32 {
        self.reach().ceil() as u32 + BICUBIC_REACH
    }

    /// The amplitude within its range.
    fn reach(&self) -> f32 {
        if self.amplitude.is_nan() { 0.0 } else { self.amplitude.clamp(0.0, MOST_AMPLITUDE) }
    }

    /// Where the camera points in a frame, pixels to the right and down of frame 0; independent from frame to frame.
    #[must_use]
    pub fn offset(&self, frame: u64) -> [f32; 2] {
        if frame == 0 {
            return [0.0; 2];
        }
        let reach = self.reach();
        let mut rng = random::generator(self.seed, Purpose::Shake, [frame, 0, 0]);
        [(); 2].map(|()| {
            let offset = reach * (2.0 * rng.random::<f32>() - 1.0);
            match self.steps {
                ShakeSteps::Whole => offset.round().clamp(-reach.floor(), reach.floor()),
                ShakeSteps::Sub => offset,
            }
        })
    }

    /// What a frame sees of a picture that is larger by [`CameraShake::margin`] on every side.
    ///
    /// A point at (x, y) in frame 0 is at (x − dx, y − dy) in a frame with the offset [dx, dy].
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for the amplitude, [`Error::NoPixels`] if the margins leave nothing.
    pub fn see(&self, picture: &RgbImage, frame: u64) -> Result<RgbImage, Error> {
        if !(0.0..=MOST_AMPLITUDE).contains(&self.amplitude) {
            return Err(Error::range("amplitude", self.amplitude, [0.0, MOST_AMPLITUDE]));
        }
        let margin = self.margin();
        let [width, height] = [picture.width(), picture.height()].map(|side| side.saturating_sub(2 * margin));
        if width == 0 || height == 0 {
            return Err(Error::NoPixels { width, height });
        }
        let offset = self.offset(frame);
        let whole = offset.map(f32::floor);
        let [dx, dy] = [offset[0] - whole[0], offset[1] - whole[1]];
        let [left, top] = whole.map(|whole| (margin as i64 + whole as i64) as u32);
        if dx == 0.0 && dy == 0.0 {
            return Ok(imageops::crop_imm(picture, left, top, width, height).to_image());
        }
        Ok(interpolate(picture, [left, top], [width, height], [cubic(dx), cubic(dy)]))
    }
}

/// Weights of the pixels −1, 0, 1, 2 for a place between 0 and 1 (Keys 1981, a = −1/2).
fn cubic(place: f32) -> [f32; 4] {
    let t = place;
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1.0, -1.5 * t3 + 2.0 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2]
}

fn interpolate(
    picture: &RgbImage,
    [left, top]: [u32; 2],
    [width, height]: [u32; 2],
    [across, down]: [[f32; 4]; 2],
) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let mut sum = [0.0f32; 3];
        for (row, down) in (0..).zip(down) {
            for (column, across) in (0..).zip(across) {
                let pixel = picture.get_pixel(left + x + column - 1, top + y + row - 1);
                for (sum, &value) in sum.iter_mut().zip(&pixel.0) {
                    *sum += down * across * f32::from(value);
                }
            }
        }
        // Casts cut to 0..=255.
        image::Rgb(sum.map(|sum| (sum + 0.5) as u8))
    })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::{CameraShake, ShakeSteps};
    use crate::Error;

    #[test]
    fn offsets_stay_within_the_amplitude() {
        for steps in [ShakeSteps::Whole, ShakeSteps::Sub] {
            let shake = CameraShake { amplitude: 2.5, steps, seed: 1 };
            assert_eq!(shake.offset(0), [0.0; 2]);
            let offsets: Vec<_> = (1..200).map(|frame| shake.offset(frame)).collect();
            assert!(offsets.iter().flatten().all(|offset| offset.abs() <= 2.5));
            assert!(offsets.iter().any(|[dx, _]| *dx <= -2.0) && offsets.iter().any(|[_, dy]| *dy >= 2.0));
            let whole = offsets.iter().flatten().all(|offset| offset.fract() == 0.0);
            assert_eq!(whole, steps == ShakeSteps::Whole);
        }
    }

    #[test]
    fn amplitudes_that_are_none_are_no_panic() {
        for amplitude in [-1.0, f32::NAN, f32::INFINITY] {
            let shake = CameraShake { amplitude, steps: ShakeSteps::Whole, seed: 1 };
            assert!(shake.margin() <= 102 && shake.offset(1).iter().all(|offset| offset.abs() <= 100.0));
            assert!(matches!(shake.see(&RgbImage::new(300, 300), 1), Err(Error::InvalidOption { .. })));
        }
    }

    #[test]
    fn the_camera_sees_what_lies_at_the_offset() {
        // On a plane cubic interpolation is exact: value = 40 + 3x + 2y, in steps that 8 bits round.
        let scene = RgbImage::from_fn(30, 24, |x, y| Rgb([(40 + 3 * x + 2 * y) as u8; 3]));
        for steps in [ShakeSteps::Whole, ShakeSteps::Sub] {
            let shake = CameraShake { amplitude: 3.0, steps, seed: 2 };
            for frame in 0..20 {
                let [dx, dy] = shake.offset(frame);
                let seen = shake.see(&scene, frame).unwrap();
                assert_eq!(seen.dimensions(), (20, 14));
                for (x, y, pixel) in seen.enumerate_pixels() {
                    let expected = 40.0 + 3.0 * (x as f32 + 5.0 + dx) + 2.0 * (y as f32 + 5.0 + dy);
                    assert!((f32::from(pixel.0[1]) - expected).abs() <= 0.501, "{frame} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn too_small_pictures_and_too_much_shake_are_refused() {
        let shake = CameraShake { amplitude: 3.0, steps: ShakeSteps::Sub, seed: 2 };
        assert!(matches!(shake.see(&RgbImage::new(10, 40), 1), Err(Error::NoPixels { width: 0, .. })));
        let wild = CameraShake { amplitude: f32::NAN, ..shake };
        assert!(matches!(wild.see(&RgbImage::new(90, 40), 1), Err(Error::InvalidOption { option: "amplitude", .. })));
    }
}
