//! As much rain as a wanted PSNR needs.

use image::RgbImage;
use ndarray::ArrayView3;

use super::{Backdrop, Bokeh, RainOptions, RainScene};
use crate::Error;

/// Halvings of the search; what is left then is smaller than one drop.
const STEPS: usize = 26;

/// As close as the search goes, decibels.
const CLOSE: f64 = 0.03;

/// Up to this coverage, rain gets denser together with stronger: every pixel is then free of rain in two thirds of
/// all frames or more, so that a film still shows what is behind.
const AIRY: f32 = 0.4;

/// How many times stronger than asked for rain may get before it gets only denser.
const STRONGEST: f32 = 12.0;

/// Light beyond which rain is white before any picture, unless more was asked for.
const BRIGHTEST: f32 = 4.0;

/// Peak signal-to-noise ratio of two 8-bit pictures over all channels, decibels; infinite for equal ones.
///
/// # Errors
/// [`Error::SizesDiffer`], [`Error::NoPixels`].
pub fn psnr(a: &RgbImage, b: &RgbImage) -> Result<f64, Error> {
    let (width, height) = a.dimensions();
    if (width, height) != b.dimensions() {
        return Err(Error::SizesDiffer { expected: (width, height), found: b.dimensions() });
    }
    let shape = (height as usize, width as usize, 3);
    let views = [a, b].map(|picture| ArrayView3::from_shape(shape, picture.as_raw()));
    let [Ok(a), Ok(b)] = views else { return Err(Error::NoPixels { width, height }) };
    derain_metrics::psnr(&a, &b, 255.0).map_err(|_| Error::NoPixels { width, height })
}

impl RainOptions {
    /// The same rain, fainter, stronger or, where that is not enough, denser, so that the mean PSNR of `frames` (none
    /// given: of frame 0) against the clean picture is `decibels`. To 0.1 dB, unless one drop more or less makes the
    /// difference, as in tiny pictures.
    ///
    /// Only `opacity`, `light`, `density` and the like of `bokeh` change. Density rises above a coverage of 0.4 (or its
    /// own, if higher) only as a last resort, so that films still show what is behind.
    ///
    /// # Errors
    /// [`Error::PsnrOutOfReach`] if veil, dimming, noise or compression alone do more, no rain does enough, or any does more.
    /// [`Error::InvalidOption`], [`Error::NoPixels`], [`Error::TooMuchRain`].
    pub fn with_psnr(&self, picture: &RgbImage, seed: u64, frames: &[u64], decibels: f64) -> Result<Self, Error> {
        self.check()?;
        let frames = if frames.is_empty() { &[0] } else { frames };
        let measure = |options: &Self| -> Result<f64, Error> {
            let backdrop = Backdrop::new(picture, options)?;
            let scene = RainScene::new(options, picture.width(), picture.height(), seed)?;
            let mut sum = 0.0;
            for &frame in frames {
                sum += psnr(&backdrop.apply(&scene.frame(frame))?.rainy, picture)?;
            }
            Ok(sum / frames.len() as f64)
        };
        let weakest = measure(&self.strengthened(0.0))?;
        if decibels.is_nan() || decibels > weakest {
            return Err(Error::PsnrOutOfReach { wanted: decibels, nearest: weakest });
        }
        let (mut low, mut high) = (0.0f32, 2.0f32);
        if measure(&self.strengthened(high))? > decibels {
            (low, high) = (2.0, 3.0);
            let strongest = measure(&self.strengthened(high))?;
            if strongest > decibels {
                return Err(Error::PsnrOutOfReach { wanted: decibels, nearest: strongest });
            }
        }
        // A single sample that is a step off leaves this.
        let samples = 3.0 * f64::from(picture.width()) * f64::from(picture.height());
        let finest = 10.0 * (255.0 * 255.0 * samples).log10();
        if decibels > finest && decibels != weakest {
            return Err(Error::PsnrOutOfReach { wanted: decibels, nearest: finest });
        }
        let mut options = self.clone();
        let mut strength = 0.5 * (low + high);
        for _ in 0..STEPS {
            options = self.strengthened(strength);
            let found = measure(&options)?;
            if (found - decibels).abs() < CLOSE {
                break;
            }
            if found > decibels {
                low = strength
            } else {
                high = strength
            }
            strength = 0.5 * (low + high);
        }
        Ok(options)
    }

    /// From 0, no rain, over 1, this rain, and 2, as strong as can be, to 3, as dense as can be.
    fn strengthened(&self, strength: f32) -> Self {
        let factor = if strength < 1.0 { strength } else { STRONGEST.powf((strength - 1.0).min(1.0)) };
        let airy = (AIRY / self.coverage()).max(1.0);
        let denser = factor.clamp(1.0, airy);
        let densest = (Self::DENSEST / (self.density.max(1.0) * denser)).max(1.0);
        let denser = denser * densest.powf((strength - 2.0).max(0.0));
        Self {
            opacity: (self.opacity * factor).min(1.0),
            light: self.light * factor.max(1.0).sqrt().min((BRIGHTEST / self.light).max(1.0)),
            density: (self.density * denser).min(Self::DENSEST),
            bokeh: Bokeh {
                opacity: (self.bokeh.opacity * factor).min(1.0),
                density: (self.bokeh.density * denser.min(airy)).min(Bokeh::DENSEST),
                ..self.bokeh
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::super::tests::{dense, picture};
    use super::super::{Bokeh, Density, RainOptions, RainScene};
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
    fn strength_follows_the_wanted_psnr() {
        let clean = picture(240, 160);
        let start = RainOptions { noise: 1.0, ..dense() };
        for wanted in [22.0, 25.4, 32.0] {
            let options = start.with_psnr(&clean, 3, &[0, 5], wanted).unwrap();
            let scene = RainScene::new(&options, 240, 160, 3).unwrap();
            let mean = [0, 5].map(|frame| psnr(&scene.render(&clean, frame).unwrap().rainy, &clean).unwrap());
            let mean = (mean[0] + mean[1]) / 2.0;
            assert!((mean - wanted).abs() < 0.1, "{wanted}: {mean}");
            let RainOptions { density, opacity, light, bokeh, .. } = options;
            assert_eq!(options, RainOptions { density, opacity, light, bokeh, ..start.clone() });
            assert_eq!(density, start.density, "{wanted}: stronger would do");
        }
    }

    #[test]
    fn sparse_rain_gets_denser_but_stays_airy() {
        let clean = picture(240, 160);
        let sparse = RainOptions::preset(Density::Sparse);
        let options = sparse.with_psnr(&clean, 3, &[0, 5], 25.4).unwrap();
        assert!(options.density > 1.5 * sparse.density && options.coverage() < 0.45, "{}", options.coverage());
        let faint = sparse.with_psnr(&clean, 3, &[0, 5], 45.0).unwrap();
        assert!(faint.density == sparse.density && faint.opacity < sparse.opacity);
    }

    #[test]
    fn what_rain_cannot_reach_is_refused() {
        let clean = picture(60, 40);
        let noisy = RainOptions { noise: 20.0, ..dense() };
        let nearest = |options: &RainOptions, wanted| match options.with_psnr(&clean, 1, &[], wanted) {
            Err(Error::PsnrOutOfReach { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert!((21.0..24.0).contains(&nearest(&noisy, 40.0)));
        assert!((nearest(&dense(), 200.0) - 86.7).abs() < 0.1);
        assert!(nearest(&dense(), 1.0) > 3.0 && nearest(&dense(), f64::NAN) > 3.0);
        // Rain of no opacity gets no stronger.
        assert_eq!(
            nearest(&RainOptions { opacity: 0.0, bokeh: Bokeh { opacity: 0.0, ..Bokeh::default() }, ..dense() }, 30.0),
            f64::INFINITY
        );
    }
}
