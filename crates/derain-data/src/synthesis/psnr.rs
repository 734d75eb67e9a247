//! As much rain as a wanted PSNR needs.

use image::RgbImage;

use super::{Backdrop, Bokeh, RainOptions, RainScene};
use crate::Error;

/// Steps of the search; each at least halves the interval in the long run, and the first few do most.
const STEPS: usize = 24;

/// As close as the search goes, decibels.
const CLOSE: f64 = 0.05;

/// The most drops per megapixel that the search tries.
const DENSEST: f32 = RainOptions::DENSEST;

/// Peak signal-to-noise ratio of two 8-bit pictures over all channels, decibels; infinite for equal ones.
///
/// # Errors
/// [`Error::SizesDiffer`].
pub fn psnr(a: &RgbImage, b: &RgbImage) -> Result<f64, Error> {
    if a.dimensions() != b.dimensions() {
        return Err(Error::SizesDiffer { expected: a.dimensions(), found: b.dimensions() });
    }
    let squares: u64 = a.iter().zip(b.iter()).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    let mean = squares as f64 / a.len() as f64;
    Ok(10.0 * (255.0 * 255.0 / mean).log10())
}

impl RainOptions {
    /// The same rain, as dense (drops before the lens included) as makes the mean PSNR of `frames` (none given: of frame 0) against the clean picture `decibels`,
    /// to 0.1 dB where the picture is large enough that one drop more or less does not matter.
    ///
    /// # Errors
    /// [`Error::PsnrOutOfReach`] if veil, dimming, noise or compression alone are stronger, or no density is enough: then raise
    /// opacity, thickness or light. [`Error::OptionOutOfRange`], [`Error::NoPixels`].
    pub fn with_psnr(&self, picture: &RgbImage, seed: u64, frames: &[u64], decibels: f64) -> Result<Self, Error> {
        let backdrop = Backdrop::new(picture, self)?;
        let with = |density: f32| {
            let mut options = self.clone();
            options.bokeh.density *= if self.density > 0.0 { density / self.density } else { 1.0 };
            options.bokeh.density = options.bokeh.density.min(Bokeh::DENSEST);
            options.density = density;
            options
        };
        let measure = |density: f32| -> Result<f64, Error> {
            let scene = RainScene::new(&with(density), picture.width(), picture.height(), seed)?;
            let mut sum = 0.0;
            let frames = if frames.is_empty() { &[0] } else { frames };
            for &frame in frames {
                sum += psnr(&backdrop.apply(&scene.frame(frame))?.rainy, picture)?;
            }
            Ok(sum / frames.len() as f64)
        };
        let unreachable = |nearest| Err(Error::PsnrOutOfReach { wanted: decibels, nearest });
        let without_rain = measure(0.0)?;
        if !(without_rain > decibels) {
            return unreachable(without_rain);
        }
        let (mut low, mut high, mut densest_seen) = (0.0f32, DENSEST, f64::INFINITY);
        let mut density = self.density.clamp(1.0, DENSEST);
        let mut best = (f64::INFINITY, density);
        for _ in 0..STEPS {
            let found = measure(density)?;
            let error = (found - decibels).abs();
            if error < best.0 {
                best = (error, density);
            }
            if error < CLOSE {
                break;
            }
            if found > decibels {
                if density == DENSEST {
                    return unreachable(found);
                }
                low = density;
            } else {
                (high, densest_seen) = (density, found);
            }
            // The squared error grows almost as the density does.
            let guess = density * 10f64.powf((found - decibels) / 10.0) as f32;
            density = match () {
                () if guess > low && guess < high => guess,
                () if densest_seen == f64::INFINITY => DENSEST,
                () => 0.5 * (low + high),
            };
        }
        Ok(with(best.1))
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::super::tests::{dense, picture};
    use super::super::{RainOptions, RainScene};
    use super::psnr;
    use crate::Error;

    #[test]
    fn psnr_by_hand() {
        let grey = RgbImage::from_pixel(2, 2, Rgb([100; 3]));
        let mut other = grey.clone();
        assert_eq!(psnr(&grey, &other).unwrap(), f64::INFINITY);
        other.put_pixel(0, 0, Rgb([100, 112, 100]));
        // 144 / 12 = 12; 10 log10(65025 / 12)
        assert!((psnr(&grey, &other).unwrap() - 37.338_9).abs() < 1e-3);
        assert!(matches!(psnr(&grey, &RgbImage::new(1, 2)), Err(Error::SizesDiffer { .. })));
    }

    #[test]
    fn density_follows_the_wanted_psnr() {
        let clean = picture(240, 160);
        let start = RainOptions { noise: 1.0, ..dense() };
        for wanted in [22.0, 25.4, 32.0] {
            let options = start.with_psnr(&clean, 3, &[0, 5], wanted).unwrap();
            let scene = RainScene::new(&options, 240, 160, 3).unwrap();
            let mean = [0, 5].map(|frame| psnr(&scene.render(&clean, frame).unwrap().rainy, &clean).unwrap());
            let mean = (mean[0] + mean[1]) / 2.0;
            assert!((mean - wanted).abs() < 0.1, "{wanted}: {mean}");
            assert_eq!(options, RainOptions { density: options.density, bokeh: options.bokeh, ..start.clone() });
        }
    }

    #[test]
    fn what_density_cannot_reach_is_refused() {
        let clean = picture(60, 40);
        let noisy = RainOptions { noise: 20.0, ..dense() };
        let nearest = |options: &RainOptions, wanted| match options.with_psnr(&clean, 1, &[], wanted) {
            Err(Error::PsnrOutOfReach { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert!((21.0..24.0).contains(&nearest(&noisy, 40.0)));
        let faint = RainOptions { opacity: 0.01, opacity_spread: 0.0, unevenness: 0.0, density: 100.0, ..dense() };
        assert!(nearest(&faint, 10.0) > 12.0);
    }
}
