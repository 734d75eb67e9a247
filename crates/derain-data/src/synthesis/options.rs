//! What the rain, the camera and the weather are like.

use serde::{Deserialize, Serialize};

use super::streak;
use crate::{Density, Error};

/// How streaks and picture are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Blending {
    /// bg · (1 − a) + a · L in linear light: what a camera sees.
    #[default]
    Light,
    /// bg + a · L on the stored (sRGB) values, cut at white, as in the Rain100 and Rain800 families of data sets.
    Additive,
    /// 1 − (1 − bg) · (1 − a · L) on the stored values, as photo editors paint rain.
    Screen,
}

/// Drops so near that they show as soft discs and broad soft streaks. They are half as far as the nearest
/// other drops, so they move twice as fast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bokeh {
    /// Drops per megapixel, 0 to 2,000.
    pub density: f32,
    /// Mean diameter in pixels, 1 to 300.
    pub diameter: f32,
    /// Mean opacity of a drop at rest, 0 to 1. A moving one is there only for a part of the exposure and fades
    /// accordingly.
    pub opacity: f32,
}

impl Bokeh {
    pub(super) const DENSEST: f32 = 2_000.0;
    const LARGEST: f32 = 300.0;
}

impl Default for Bokeh {
    /// None.
    fn default() -> Self {
        Self { density: 0.0, diameter: 16.0, opacity: 0.6 }
    }
}

/// Rain, camera and weather. The default is [`Density::Normal`]'s preset.
///
/// Lengths are pixels of the picture: presets suit pictures of about 480 rows, [`RainOptions::scaled`] makes them fit
/// others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RainOptions {
    /// Drops per megapixel over all depths, 0 to 200,000.
    pub density: f32,
    /// Fall direction in degrees from straight down, −60 to 60; positive drifts to the right.
    pub angle: f32,
    /// Standard deviation of the direction from drop to drop, degrees, 0 to 15.
    pub angle_spread: f32,
    /// Speed of the nearest drops, pixels per second, 1 to 1,000,000.
    pub speed: f32,
    /// Shutter time in seconds, 0.00001 to 1. Streaks are `speed · exposure` long.
    pub exposure: f32,
    /// Time from frame to frame in seconds, 0.00001 to 60.
    pub frame_time: f32,
    /// Width of the nearest drops, pixels, 0.1 to 60.
    pub thickness: f32,
    /// Standard deviation of the logarithm of drop sizes, 0 to 1. Larger drops are faster, by the root of their size.
    pub size_spread: f32,
    /// Distance of the farthest drops, the nearest being 1; 1 to 30.
    pub depth: f32,
    /// Opacity of the nearest drops in focus, 0 to 1. Farther ones cover less than a pixel's width and fade
    /// accordingly.
    pub opacity: f32,
    /// Standard deviation of the logarithm of opacities, 0 to 1.5.
    pub opacity_spread: f32,
    /// Extra fading, as light scatters on the way: opacity is divided by distance^fade. 0 to 4.
    pub fade: f32,
    /// Distance in focus, the nearest drops being 1; 1 to 1000.
    pub focus: f32,
    /// Circle of confusion of the nearest drops with the focus at infinity, pixels, 0 to 100.
    pub defocus: f32,
    /// How much brighter one end of a streak may be than the other, 0 to 1.
    pub taper: f32,
    /// How far streaks fade out towards both ends, 0 to 1.
    pub soft_ends: f32,
    /// How much streaks brighten and dim along the way, 0 to 1: falling drops oscillate (Garg and Nayar,
    /// "Photorealistic rendering of rain streaks", SIGGRAPH 2006).
    pub beading: f32,
    /// How patchy the rain is (gusts, lit and unlit curtains), 0 to 1.5.
    pub unevenness: f32,
    /// Drops right before the lens.
    pub bokeh: Bokeh,
    /// Brightness of drops against their surroundings' mean light, 0 to 10. Above 1 the light comes from behind or from
    /// a flash.
    pub light: f32,
    /// How streaks and picture are put together.
    pub blending: Blending,
    /// Share of the picture's light that a veil of far drops replaces, 0 to 0.95.
    pub veil: f32,
    /// −1: the veil is all at the top, 1: all at the bottom, 0: even.
    pub veil_gradient: f32,
    /// Share of the light that the dark sky takes, 0 to 0.95.
    pub dimming: f32,
    /// Standard deviation of sensor noise in 8-bit steps, 0 to 64.
    pub noise: f32,
    /// JPEG quality that the picture is saved with, 1 to 100; none leaves it uncompressed.
    pub jpeg: Option<u8>,
    /// A pixel counts as rain in the mask if streaks moved a channel by more than this many 8-bit steps.
    pub mask_threshold: u8,
}

impl Default for RainOptions {
    fn default() -> Self {
        Self::preset(Density::Normal)
    }
}

/// 0.01 of full scale, which the SPANet recipe uses, in whole 8-bit steps: 3 and more count.
const MASK_THRESHOLD: u8 = 2;

impl RainOptions {
    pub(super) const DENSEST: f32 = 200_000.0;
    /// The slowest and the fastest nearest drops, pixels per second.
    pub(super) const SPEEDS: [f32; 2] = [1.0, 1e6];
    const THICKEST: f32 = 60.0;
    /// The widest circle of confusion.
    const SOFTEST: f32 = 100.0;

    /// Rain at 25 frames a second over a picture of about 480 rows, without veil, noise or compression
    /// below [`Density::Dense`].
    #[must_use]
    pub fn preset(density: Density) -> Self {
        let normal = Self {
            density: 9_000.0,
            angle: 6.0,
            angle_spread: 1.5,
            speed: 6_000.0,
            exposure: 1.0 / 125.0,
            frame_time: 1.0 / 25.0,
            thickness: 2.2,
            size_spread: 0.25,
            depth: 3.5,
            opacity: 0.3,
            opacity_spread: 0.7,
            fade: 0.3,
            focus: 4.0,
            defocus: 1.5,
            taper: 0.5,
            soft_ends: 0.8,
            beading: 0.3,
            unevenness: 0.4,
            bokeh: Bokeh { density: 15.0, diameter: 9.0, opacity: 0.9 },
            light: 1.3,
            blending: Blending::Light,
            veil: 0.0,
            veil_gradient: 0.0,
            dimming: 0.0,
            noise: 0.0,
            jpeg: None,
            mask_threshold: MASK_THRESHOLD,
        };
        match density {
            Density::Sparse => Self {
                density: 1_600.0,
                angle: 2.0,
                speed: 4_500.0,
                thickness: 2.0,
                depth: 3.0,
                opacity: 0.35,
                bokeh: Bokeh { density: 6.0, ..normal.bokeh },
                ..normal
            },
            Density::Normal => normal,
            Density::Dense => Self {
                density: 28_000.0,
                angle: 10.0,
                angle_spread: 2.0,
                speed: 7_500.0,
                depth: 4.0,
                bokeh: Bokeh { density: 40.0, ..normal.bokeh },
                unevenness: 0.6,
                veil: 0.12,
                ..normal
            },
        }
    }

    /// The same rain seen by a camera with `factor` times as many rows: lengths and speeds times the factor, drops per
    /// megapixel divided by its square. Whether all values still lie in their ranges, [`RainOptions::check`] tells.
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        let area = factor * factor;
        Self {
            density: self.density / area,
            speed: self.speed * factor,
            thickness: self.thickness * factor,
            defocus: self.defocus * factor,
            bokeh: Bokeh { density: self.bokeh.density / area, diameter: self.bokeh.diameter * factor, ..self.bokeh },
            ..self.clone()
        }
    }

    /// The largest factor by which [`RainOptions::scaled`] leaves lengths and speeds in their ranges.
    #[must_use]
    pub fn largest_scale(&self) -> f32 {
        let limits = [
            (self.speed, Self::SPEEDS[1]),
            (self.speed * self.exposure, streak::MAX_LENGTH),
            (self.thickness, Self::THICKEST),
            (self.defocus, Self::SOFTEST),
            (self.bokeh.diameter, Bokeh::LARGEST),
        ];
        // Products may be rounded up.
        limits
            .into_iter()
            .map(|(value, limit)| limit * (1.0 - 4.0 * f32::EPSILON) / value)
            .fold(f32::INFINITY, f32::min)
    }

    /// Mean number of streaks over a pixel, however faint. A pixel of a long video is free of rain in about
    /// a share exp(−coverage) of its frames.
    #[must_use]
    pub fn coverage(&self) -> f32 {
        self.density * 1e-6 * self.mean_touched_pixels()
            + self.bokeh.density * 1e-6 * streak::bokeh_touched_pixels(self)
    }

    /// Pixels that a mean drop, those before the lens apart, touches during the exposure.
    pub(super) fn mean_touched_pixels(&self) -> f32 {
        /// Enough for the smooth integrand: the mean over equally likely depths.
        const STEPS: u32 = 64;
        let quantile = |step: u32| (step as f32 + 0.5) / STEPS as f32;
        (0..STEPS).map(|step| streak::touched_pixels(self, self.distance(quantile(step)))).sum::<f32>() / STEPS as f32
    }

    /// The distance that a share `quantile` of all drops is nearer than: their number grows with distance squared.
    pub(super) fn distance(&self, quantile: f32) -> f32 {
        (1.0 + quantile * (self.depth.powi(3) - 1.0)).cbrt()
    }

    /// Whether all values lie in their ranges.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        let bokeh = &self.bokeh;
        let [slowest, fastest] = Self::SPEEDS;
        let ranges = [
            ("density", self.density, 0.0, Self::DENSEST),
            ("angle", self.angle, -60.0, 60.0),
            ("angle_spread", self.angle_spread, 0.0, 15.0),
            ("speed", self.speed, slowest, fastest),
            ("exposure", self.exposure, 1e-5, 1.0),
            ("frame_time", self.frame_time, 1e-5, 60.0),
            ("thickness", self.thickness, 0.1, Self::THICKEST),
            ("size_spread", self.size_spread, 0.0, 1.0),
            ("depth", self.depth, 1.0, 30.0),
            ("opacity", self.opacity, 0.0, 1.0),
            ("opacity_spread", self.opacity_spread, 0.0, 1.5),
            ("fade", self.fade, 0.0, 4.0),
            ("focus", self.focus, 1.0, 1000.0),
            ("defocus", self.defocus, 0.0, Self::SOFTEST),
            ("taper", self.taper, 0.0, 1.0),
            ("soft_ends", self.soft_ends, 0.0, 1.0),
            ("beading", self.beading, 0.0, 1.0),
            ("unevenness", self.unevenness, 0.0, 1.5),
            ("bokeh.density", bokeh.density, 0.0, Bokeh::DENSEST),
            ("bokeh.diameter", bokeh.diameter, 1.0, Bokeh::LARGEST),
            ("bokeh.opacity", bokeh.opacity, 0.0, 1.0),
            ("light", self.light, 0.0, 10.0),
            ("veil", self.veil, 0.0, 0.95),
            ("veil_gradient", self.veil_gradient, -1.0, 1.0),
            ("dimming", self.dimming, 0.0, 0.95),
            ("noise", self.noise, 0.0, 64.0),
            ("jpeg", f32::from(self.jpeg.unwrap_or(100)), 1.0, 100.0),
            ("speed * exposure", self.speed * self.exposure, 0.0, streak::MAX_LENGTH),
        ];
        for (name, value, min, max) in ranges {
            // Not a number is in no range.
            if !(min..=max).contains(&value) {
                return Err(Error::range(name, value, [min, max]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Density, RainOptions};
    use crate::Error;

    #[test]
    fn presets_grow_and_are_valid() {
        let [sparse, normal, dense] = [Density::Sparse, Density::Normal, Density::Dense].map(RainOptions::preset);
        for options in [&sparse, &normal, &dense] {
            options.check().unwrap();
            let json = serde_json::to_string(options).unwrap();
            assert_eq!(&serde_json::from_str::<RainOptions>(&json).unwrap(), options);
        }
        assert!(4.0 * sparse.coverage() < normal.coverage() && 2.0 * normal.coverage() < dense.coverage());
        assert_eq!(serde_json::from_str::<RainOptions>("{}").unwrap(), normal);
    }

    #[test]
    fn scaled_rain_covers_as_much() {
        // At widths where the pixel's own blur does not count.
        let broad = RainOptions { thickness: 20.0, ..RainOptions::default() };
        assert!((broad.scaled(3.0).coverage() / broad.coverage() - 1.0).abs() < 0.05);
    }

    #[test]
    fn the_largest_scale_stays_in_range() {
        let broad = RainOptions { exposure: 1.0, ..RainOptions::default() };
        let soft = RainOptions { defocus: 30.0, ..RainOptions::default() };
        for options in Density::ALL.map(RainOptions::preset).iter().chain([&broad, &soft]) {
            let most = options.largest_scale();
            options.scaled(most).check().unwrap();
            assert!(options.scaled(1.001 * most).check().is_err(), "{most}");
        }
        // Pictures of 229 megapixels are 27 times as high as those that presets suit.
        assert_eq!(RainOptions::default().largest_scale().floor(), 27.0);
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert!(serde_json::from_str::<RainOptions>(r#"{"densty": 3}"#).is_err());
        assert!(serde_json::from_str::<RainOptions>(r#"{"bokeh": {"size": 3}}"#).is_err());
        let faulty = [
            ("density", RainOptions { density: f32::NAN, ..RainOptions::default() }),
            ("angle", RainOptions { angle: 61.0, ..RainOptions::default() }),
            ("jpeg", RainOptions { jpeg: Some(0), ..RainOptions::default() }),
            ("speed * exposure", RainOptions { speed: 1e6, exposure: 1.0, ..RainOptions::default() }),
        ];
        for (expected, options) in faulty {
            assert!(matches!(options.check(), Err(Error::InvalidOption { option, .. }) if option == expected));
        }
    }
}
