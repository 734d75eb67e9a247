//! The ranges that the rain of a data set is drawn from.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{Blending, Bokeh, Density, RainOptions};
use crate::Error;

/// Ranges of options, both ends included, wide enough that photographs of rain lie inside. Units and limits as in
/// [`RainOptions`], for pictures or patches cut from pictures of about 300 to 1000 rows.
///
/// What is drawn "evenly in the logarithm" is as often between 1 and 2 as between 10 and 20.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RainRange {
    /// Mean number of streaks over a pixel, [`RainOptions::coverage`], drops before the lens apart. Evenly in the
    /// logarithm, as density follows from it: many short or few long streaks; cut where `heaviest` says so.
    pub coverage: [f32; 2],
    /// Degrees.
    pub angle: [f32; 2],
    /// Degrees.
    pub angle_spread: [f32; 2],
    /// `speed · exposure`, pixels. Evenly in the logarithm.
    pub length: [f32; 2],
    /// Seconds. Evenly in the logarithm.
    pub exposure: [f32; 2],
    /// Pixels. Evenly in the logarithm, but at most a sixth of the length.
    pub thickness: [f32; 2],
    /// Of the logarithm.
    pub size_spread: [f32; 2],
    /// Against the nearest drops.
    pub depth: [f32; 2],
    /// 0 to 1. Evenly in the logarithm.
    pub opacity: [f32; 2],
    /// Most that coverage times opacity may come to: coverage is cut to that. Where many streaks lie over each other
    /// each is faint, or nothing would be left of the picture. 0.001 to 1,000,000, which by default cuts nothing.
    pub heaviest: f32,
    /// Of the logarithm.
    pub opacity_spread: [f32; 2],
    /// Power of distance.
    pub fade: [f32; 2],
    /// Against the nearest drops.
    pub focus: [f32; 2],
    /// Pixels, but at most a sixth of the length.
    pub defocus: [f32; 2],
    /// 0 to 1.
    pub taper: [f32; 2],
    /// 0 to 1.
    pub soft_ends: [f32; 2],
    /// 0 to 1.
    pub beading: [f32; 2],
    /// Of the logarithm.
    pub unevenness: [f32; 2],
    /// Brightness against the surroundings. Evenly in the logarithm.
    pub light: [f32; 2],
    /// Share of pictures with drops before the lens.
    pub bokeh_chance: f32,
    /// Drops per megapixel. Evenly in the logarithm.
    pub bokeh_density: [f32; 2],
    /// Pixels. Evenly in the logarithm.
    pub bokeh_diameter: [f32; 2],
    /// 0 to 1.
    pub bokeh_opacity: [f32; 2],
    /// Share of pictures with a veil.
    pub veil_chance: f32,
    /// 0 to 0.95.
    pub veil: [f32; 2],
    /// −1 to 1.
    pub veil_gradient: [f32; 2],
    /// Share of pictures that are dimmed.
    pub dimming_chance: f32,
    /// 0 to 0.95.
    pub dimming: [f32; 2],
    /// Share of pictures with sensor noise.
    pub noise_chance: f32,
    /// 8-bit steps.
    pub noise: [f32; 2],
    /// Share of pictures that are compressed.
    pub jpeg_chance: f32,
    /// Quality.
    pub jpeg: [u8; 2],
    /// Share of pictures with [`Blending::Additive`] rain, as the common synthetic data sets have.
    pub additive_chance: f32,
    /// Share of pictures with [`Blending::Screen`] rain.
    pub screen_chance: f32,
}

impl Default for RainRange {
    fn default() -> Self {
        Self {
            coverage: [0.05, 3.0],
            angle: [-35.0, 35.0],
            angle_spread: [0.3, 4.0],
            length: [8.0, 260.0],
            exposure: [1.0 / 500.0, 1.0 / 30.0],
            thickness: [1.2, 6.0],
            size_spread: [0.1, 0.45],
            depth: [1.3, 6.0],
            opacity: [0.08, 0.7],
            heaviest: MOST_HEAVY,
            opacity_spread: [0.3, 1.0],
            fade: [0.0, 1.0],
            focus: [1.0, 8.0],
            defocus: [0.0, 10.0],
            taper: [0.0, 1.0],
            soft_ends: [0.2, 1.0],
            beading: [0.0, 0.6],
            unevenness: [0.0, 1.0],
            light: [0.7, 3.0],
            bokeh_chance: 0.4,
            bokeh_density: [3.0, 120.0],
            bokeh_diameter: [6.0, 40.0],
            bokeh_opacity: [0.3, 1.0],
            veil_chance: 0.5,
            veil: [0.02, 0.4],
            veil_gradient: [-0.5, 1.0],
            dimming_chance: 0.3,
            dimming: [0.02, 0.35],
            noise_chance: 0.4,
            noise: [0.5, 6.0],
            jpeg_chance: 0.4,
            jpeg: [60, 97],
            additive_chance: 0.15,
            screen_chance: 0.1,
        }
    }
}

/// No limit to speak of.
const MOST_HEAVY: f32 = 1e6;

/// Rain is at least this many times longer than wide: thickness and defocus are cut to that, or it would be snow.
const STOUTEST: f32 = 6.0;

impl RainRange {
    /// Draws one kind of rain. Equal generators give equal options.
    ///
    /// # Errors
    /// As [`RainRange::check`].
    pub fn sample(&self, rng: &mut impl Rng) -> Result<RainOptions, Error> {
        self.check()?;
        let exposure = log_uniform(rng, self.exposure);
        let length = log_uniform(rng, self.length);
        let coverage = log_uniform(rng, self.coverage);
        // Everything is drawn whether it is used or not, so that one chance does not change the rest.
        let bokeh = Bokeh {
            density: chance(rng, self.bokeh_chance) * log_uniform(rng, self.bokeh_density),
            diameter: log_uniform(rng, self.bokeh_diameter),
            opacity: uniform(rng, self.bokeh_opacity),
        };
        let blending = rng.random::<f32>();
        let mut options = RainOptions {
            density: 0.0,
            angle: uniform(rng, self.angle),
            angle_spread: uniform(rng, self.angle_spread),
            speed: length / exposure,
            exposure,
            thickness: log_uniform(rng, self.thickness).min((length / STOUTEST).max(self.thickness[0])),
            size_spread: uniform(rng, self.size_spread),
            depth: uniform(rng, self.depth),
            opacity: log_uniform(rng, self.opacity),
            opacity_spread: uniform(rng, self.opacity_spread),
            fade: uniform(rng, self.fade),
            focus: uniform(rng, self.focus),
            defocus: uniform(rng, self.defocus).min((length / STOUTEST).max(self.defocus[0])),
            taper: uniform(rng, self.taper),
            soft_ends: uniform(rng, self.soft_ends),
            beading: uniform(rng, self.beading),
            unevenness: uniform(rng, self.unevenness),
            bokeh,
            light: log_uniform(rng, self.light),
            blending: match blending {
                share if share < self.additive_chance => Blending::Additive,
                share if share < self.additive_chance + self.screen_chance => Blending::Screen,
                _ => Blending::Light,
            },
            veil: chance(rng, self.veil_chance) * uniform(rng, self.veil),
            veil_gradient: uniform(rng, self.veil_gradient),
            dimming: chance(rng, self.dimming_chance) * uniform(rng, self.dimming),
            noise: chance(rng, self.noise_chance) * uniform(rng, self.noise),
            jpeg: {
                let compressed = rng.random::<f32>() < self.jpeg_chance;
                let quality = rng.random_range(self.jpeg[0]..=self.jpeg[1]);
                compressed.then_some(quality)
            },
            ..RainOptions::preset(Density::Normal)
        };
        let coverage = coverage.min(self.heaviest / options.opacity);
        options.density = (coverage * 1e6 / options.mean_touched_pixels()).min(RainOptions::DENSEST);
        options.check()?;
        Ok(options)
    }

    /// Whether every range lies in the limits, so that rain can be drawn.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the first range that is the wrong way round or reaches beyond the limits of [`RainOptions`], or the
    /// first chance outside 0 to 1.
    pub fn check(&self) -> Result<(), Error> {
        let jpeg = self.jpeg.map(f32::from);
        let ranges = [
            ("coverage", self.coverage, 1e-3),
            ("angle", self.angle, f32::MIN),
            ("angle_spread", self.angle_spread, 0.0),
            ("length", self.length, 1e-3),
            ("exposure", self.exposure, 1e-5),
            ("thickness", self.thickness, 0.1),
            ("size_spread", self.size_spread, 0.0),
            ("depth", self.depth, 1.0),
            ("opacity", self.opacity, 1e-3),
            ("opacity_spread", self.opacity_spread, 0.0),
            ("fade", self.fade, 0.0),
            ("focus", self.focus, 1.0),
            ("defocus", self.defocus, 0.0),
            ("taper", self.taper, 0.0),
            ("soft_ends", self.soft_ends, 0.0),
            ("beading", self.beading, 0.0),
            ("unevenness", self.unevenness, 0.0),
            ("light", self.light, 1e-3),
            ("bokeh_density", self.bokeh_density, 1e-3),
            ("bokeh_diameter", self.bokeh_diameter, 1.0),
            ("bokeh_opacity", self.bokeh_opacity, 0.0),
            ("veil", self.veil, 0.0),
            ("veil_gradient", self.veil_gradient, f32::MIN),
            ("dimming", self.dimming, 0.0),
            ("noise", self.noise, 0.0),
            ("jpeg", jpeg, 1.0),
        ];
        for (name, [low, high], min) in ranges {
            // The upper limits are those of the options, below. Not a number is in no range.
            if !(min..=high).contains(&low) || !high.is_finite() {
                let least = if min == f32::MIN { String::new() } else { format!(", none below {min}") };
                let expected = format!("two finite numbers, the lesser first{least}");
                return Err(Error::option(name, format!("[{low}, {high}]"), expected));
            }
        }
        if !(1e-3..=MOST_HEAVY).contains(&self.heaviest) {
            return Err(Error::range("heaviest", self.heaviest, [1e-3, MOST_HEAVY]));
        }
        let chances = [
            ("bokeh_chance", self.bokeh_chance),
            ("veil_chance", self.veil_chance),
            ("dimming_chance", self.dimming_chance),
            ("noise_chance", self.noise_chance),
            ("jpeg_chance", self.jpeg_chance),
            ("additive_chance", self.additive_chance),
            ("screen_chance", self.screen_chance),
        ];
        for (name, value) in chances {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::range(name, value, [0.0, 1.0]));
            }
        }
        // Both ends within the limits, so everything between them is. Speed alone is drawn from two ranges.
        let [slowest, fastest] = RainOptions::SPEEDS;
        for speed in [self.length[0] / self.exposure[1], self.length[1] / self.exposure[0]] {
            if !(slowest..=fastest).contains(&speed) {
                return Err(Error::range("length / exposure", speed, RainOptions::SPEEDS));
            }
        }
        (0..2).try_for_each(|end| self.at(end).check())
    }

    /// The lower (0) or upper (1) end of every range.
    fn at(&self, end: usize) -> RainOptions {
        RainOptions {
            angle: self.angle[end],
            angle_spread: self.angle_spread[end],
            speed: self.length[end] / self.exposure[end],
            exposure: self.exposure[end],
            thickness: self.thickness[end],
            size_spread: self.size_spread[end],
            depth: self.depth[end],
            opacity: self.opacity[end],
            opacity_spread: self.opacity_spread[end],
            fade: self.fade[end],
            focus: self.focus[end],
            defocus: self.defocus[end],
            taper: self.taper[end],
            soft_ends: self.soft_ends[end],
            beading: self.beading[end],
            unevenness: self.unevenness[end],
            bokeh: Bokeh {
                density: self.bokeh_density[end],
                diameter: self.bokeh_diameter[end],
                opacity: self.bokeh_opacity[end],
            },
            light: self.light[end],
            veil: self.veil[end],
            veil_gradient: self.veil_gradient[end],
            dimming: self.dimming[end],
            noise: self.noise[end],
            jpeg: Some(self.jpeg[end]),
            ..RainOptions::preset(Density::Normal)
        }
    }
}

/// 1 with a probability, else 0.
fn chance(rng: &mut impl Rng, probability: f32) -> f32 {
    f32::from(u8::from(rng.random::<f32>() < probability))
}

fn uniform(rng: &mut impl Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

fn log_uniform(rng: &mut impl Rng, [low, high]: [f32; 2]) -> f32 {
    // Rounding must not leave the range.
    (low * (high / low).powf(rng.random())).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    use super::{Blending, RainOptions, RainRange};
    use crate::Error;

    fn draw(range: &RainRange, seed: u64) -> Result<RainOptions, Error> {
        range.sample(&mut Pcg64Mcg::seed_from_u64(seed))
    }

    #[test]
    fn samples_are_valid_varied_and_repeatable() {
        let range = RainRange::default();
        let samples: Vec<_> = (0..400).map(|seed| draw(&range, seed).unwrap()).collect();
        assert_eq!(samples[17], draw(&range, 17).unwrap());
        let count = |test: fn(&RainOptions) -> bool| samples.iter().filter(|options| test(options)).count();
        assert!((150..250).contains(&count(|options| options.angle > 0.0)));
        assert!((20..100).contains(&count(|options| options.blending == Blending::Additive)));
        assert!((100..220).contains(&count(|options| options.jpeg.is_some())));
        assert!((120..200).contains(&count(|options| options.bokeh.density > 0.0)));
        assert!(count(|options| options.coverage() < 0.2) > 40 && count(|options| options.coverage() > 1.0) > 40);
        let stout = |options: &RainOptions| {
            options.thickness > 1.3 && 5.9 * options.thickness > options.speed * options.exposure
        };
        assert_eq!(count(stout), 0);
    }

    #[test]
    fn where_streaks_are_many_they_are_faint() {
        let range = RainRange { coverage: [0.1, 40.0], opacity: [0.05, 0.7], heaviest: 1.5, ..RainRange::default() };
        // As many streaks as asked for may lie over each other; the mean over depths is what counts.
        let drawn = |seed| {
            let options = draw(&range, seed).unwrap();
            RainOptions { bokeh: super::Bokeh::default(), ..options }
        };
        let samples: Vec<_> = (0..300).map(drawn).collect();
        assert!(samples.iter().all(|options| options.coverage() * options.opacity < 1.51));
        assert!(samples.iter().any(|options| options.coverage() > 10.0));
        assert!(samples.iter().any(|options| options.coverage() < 1.0 && options.opacity > 0.5));
    }

    #[test]
    fn ranges_the_wrong_way_round_or_too_wide_are_refused() {
        RainRange::default().check().unwrap();
        let name = |range: RainRange| match (range.check(), draw(&range, 1)) {
            (Err(Error::InvalidOption { option, .. }), Err(_)) => option,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(RainRange { veil: [0.3, 0.2], ..RainRange::default() }), "veil");
        assert_eq!(name(RainRange { length: [0.0, 0.2], ..RainRange::default() }), "length");
        assert_eq!(name(RainRange { angle: [70.0, 80.0], ..RainRange::default() }), "angle");
        // Most samples would pass.
        assert_eq!(name(RainRange { angle: [-35.0, 60.5], ..RainRange::default() }), "angle");
        assert_eq!(name(RainRange { bokeh_density: [3.0, 2500.0], ..RainRange::default() }), "bokeh.density");
        assert_eq!(name(RainRange { jpeg: [60, 101], ..RainRange::default() }), "jpeg");
        assert_eq!(name(RainRange { length: [8.0, 20_000.0], ..RainRange::default() }), "length / exposure");
        let (length, exposure) = ([8.0, 20_000.0], [0.1, 0.2]);
        assert_eq!(name(RainRange { length, exposure, ..RainRange::default() }), "speed * exposure");
        assert_eq!(name(RainRange { exposure: [1.0 / 500.0, 9.0], ..RainRange::default() }), "length / exposure");
        assert_eq!(name(RainRange { heaviest: 0.0, ..RainRange::default() }), "heaviest");
        assert_eq!(name(RainRange { jpeg_chance: f32::NAN, ..RainRange::default() }), "jpeg_chance");
        assert!(serde_json::from_str::<RainRange>(r#"{"rain": 1}"#).is_err());
        let message = |range: RainRange| range.check().unwrap_err().to_string();
        let reversed = message(RainRange { angle: [35.0, -35.0], ..RainRange::default() });
        assert_eq!(reversed, "the option `angle` is [35, -35]: it must be two finite numbers, the lesser first");
        let reversed = message(RainRange { coverage: [3.0, 0.05], ..RainRange::default() });
        assert!(reversed.ends_with("the lesser first, none below 0.001"), "{reversed}");
    }
}
