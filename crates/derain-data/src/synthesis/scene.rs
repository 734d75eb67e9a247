//! The drops of a scene and where they are at a time.

use image::RgbImage;
use rand::RngExt;
use rayon::prelude::*;

use super::random::{self, Purpose};
use super::streak::{self, Course, Footprint, Streak};
use super::{Backdrop, RainLayer, RainOptions, RainyPicture};
use crate::Error;
use crate::brief_debug::brief_debug;

/// Slices of depth with about as many drops each. Every slice has its own margin around the picture, so that the
/// many far, short streaks need no drops far outside.
const SLICES: u32 = 8;

/// Drop sizes are cut to this factor around the mean, so that margins are bounded.
const LARGEST: f32 = 2.5;

/// More would take gigabytes; a 4K picture in the densest rain has 2 million.
const MOST_DROPS: f64 = 8e6;

/// A frame's opacity is a number of four bytes a pixel, so 4 GiB; no camera's picture has as many.
const MOST_PIXELS: u64 = 1 << 30;

/// No direction comes closer to horizontal than this, degrees from straight down.
const STEEPEST: f32 = 75.0;

/// Fewest and most times that a drop brightens and dims along its path.
const BEADS: [f32; 2] = [0.8, 4.0];

/// Gusts are about this share of the picture's longer side wide and change within this many seconds.
const GUST_SHARE: f32 = 0.25;
const GUST_SECONDS: f32 = 1.5;

/// Rain over a picture of one size, for a single frame or a film.
///
/// Drops fall straight. One that leaves comes back on the other side at another place with another opacity, its
/// depth, size and direction kept, so the rain neither thins nor repeats. Any frame can be asked for in any order.
#[derive(Clone)]
pub struct RainScene {
    options: RainOptions,
    width: u32,
    height: u32,
    seed: u64,
    drops: Vec<Drop>,
}

brief_debug!(RainScene, |scene| {
    options: scene.options,
    width: scene.width,
    height: scene.height,
    seed: scene.seed,
    drops: scene.drops.len(),
});

/// A drop that falls for ever through a box around the picture, coming back at the opposite side.
#[derive(Clone, Copy, Debug)]
struct Drop {
    id: [u64; 2],
    /// Share of the box where it is at time 0.
    start: [f32; 2],
    direction: [f32; 2],
    /// Pixels per second.
    speed: f32,
    /// Of the box around the picture, pixels.
    margin: f32,
    radius: f32,
    edge: f32,
    /// Mean over its passages.
    opacity: f32,
}

impl RainScene {
    /// Places the drops.
    ///
    /// # Errors
    /// [`Error::InvalidOption`]; [`Error::NoPixels`] if a side is 0; [`Error::TooManyPixels`] above 2³⁰ pixels; [`Error::TooMuchRain`].
    pub fn new(options: &RainOptions, width: u32, height: u32, seed: u64) -> Result<Self, Error> {
        options.check()?;
        if width == 0 || height == 0 {
            return Err(Error::NoPixels { width, height });
        }
        if u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(Error::TooManyPixels { width, height, limit: MOST_PIXELS });
        }
        let mut scene = Self { options: options.clone(), width, height, seed, drops: Vec::new() };
        for slice in 0..=SLICES {
            scene.place(slice)?;
        }
        Ok(scene)
    }

    /// What the rain is like.
    #[must_use]
    pub fn options(&self) -> &RainOptions {
        &self.options
    }

    /// The rain of frame `frame`, at the time `frame` · `frame_time`.
    #[must_use]
    pub fn frame(&self, frame: u64) -> RainLayer {
        RainLayer::draw(&self.streaks(frame), self.width, self.height, self.seed, frame)
    }

    /// Frame `frame` over a picture. For many frames over one picture, keep a [`Backdrop`].
    ///
    /// # Errors
    /// Those of [`Backdrop::new`] and [`Backdrop::apply`].
    pub fn render(&self, picture: &RgbImage, frame: u64) -> Result<RainyPicture, Error> {
        Backdrop::new(picture, &self.options)?.apply(&self.frame(frame))
    }

    /// Adds the drops of one slice of depth; the one after the last is right before the lens.
    fn place(&mut self, slice: u32) -> Result<(), Error> {
        let options = &self.options;
        let is_bokeh = slice == SLICES;
        let (nearest, share) = match is_bokeh {
            true => (streak::BOKEH_DISTANCE, options.bokeh.density),
            false => (options.distance(slice as f32 / SLICES as f32), options.density / SLICES as f32),
        };
        let longest = options.speed * options.exposure / nearest * LARGEST.sqrt();
        let widest = match is_bokeh {
            true => 0.5 * options.bokeh.diameter * LARGEST,
            false => {
                let farthest = options.distance((slice + 1) as f32 / SLICES as f32);
                let blur = streak::confusion(options, nearest).max(streak::confusion(options, farthest));
                Footprint::of_drop(options.thickness / nearest * LARGEST, longest, blur).radius
            }
        };
        let margin = longest + widest + 1.0;
        let [box_width, box_height] = self.domain(margin);
        let mean = f64::from(share) * 1e-6 * box_width * box_height;
        // The fraction of a drop is there in that fraction of all seeds.
        let luck = random::unit(random::hash(self.seed, Purpose::Count, [slice.into(), 0, 0]));
        let count = (mean + f64::from(luck)).floor();
        if self.drops.len() as f64 + count > MOST_DROPS {
            return Err(Error::TooMuchRain { width: self.width, height: self.height });
        }
        let drops = (0..count as u64).into_par_iter().map(|index| self.drop(slice, index, margin));
        let drops: Vec<Drop> = drops.collect();
        self.drops.extend(drops);
        Ok(())
    }

    fn drop(&self, slice: u32, index: u64, margin: f32) -> Drop {
        let options = &self.options;
        let id = [u64::from(slice), index];
        let mut rng = random::generator(self.seed, Purpose::Drop, [id[0], id[1], 0]);
        let [size, turn] = random::normals(&mut rng);
        let size = (options.size_spread * size).exp().clamp(1.0 / LARGEST, LARGEST);
        let angle = (options.angle + options.angle_spread * turn).clamp(-STEEPEST, STEEPEST).to_radians();
        let start = [rng.random(), rng.random()];
        let quantile = (slice as f32 + rng.random::<f32>()) / SLICES as f32;
        let is_bokeh = slice == SLICES;
        let distance = if is_bokeh { streak::BOKEH_DISTANCE } else { options.distance(quantile) };
        // Terminal speed of a drop grows as the root of its size (Gunn and Kinzer 1949, above 1 mm).
        let speed = options.speed / distance * size.sqrt();
        let length = speed * options.exposure;
        let (footprint, opacity) = match is_bokeh {
            true => (Footprint::of_bokeh(options.bokeh.diameter * size, length), options.bokeh.opacity),
            false => {
                let blur = streak::confusion(options, distance);
                let footprint = Footprint::of_drop(options.thickness / distance * size, length, blur);
                (footprint, options.opacity * distance.powf(-options.fade))
            }
        };
        let Footprint { radius, edge, dilution } = footprint;
        let opacity = opacity * dilution;
        Drop { id, start, direction: [angle.sin(), angle.cos()], speed, margin, radius, edge, opacity }
    }

    /// Width and height of the box around the picture.
    fn domain(&self, margin: f32) -> [f64; 2] {
        [self.width, self.height].map(|side| f64::from(side) + 2.0 * f64::from(margin))
    }

    /// What can be seen in a frame, in the drops' order.
    pub(super) fn streaks(&self, frame: u64) -> Vec<Streak> {
        let seconds = frame as f64 * f64::from(self.options.frame_time);
        let streaks = self.drops.par_iter().map(|drop| self.streak(drop, seconds));
        streaks.filter(|streak| streak.opacity > 0.0 && streak.touches(self.width, self.height)).collect()
    }

    /// The drop's image if the shutter closes now.
    fn streak(&self, drop: &Drop, seconds: f64) -> Streak {
        let [box_width, box_height] = self.domain(drop.margin);
        let fallen = f64::from(drop.speed) * seconds;
        let y = f64::from(drop.start[1]) * box_height + fallen * f64::from(drop.direction[1]);
        let round = (y / box_height).floor();
        // Each time round from the top it falls somewhere else.
        let jump = random::unit(random::hash(self.seed, Purpose::Passage, [drop.id[0], drop.id[1], round as u64]));
        let x = f64::from(drop.start[0] + jump) * box_width + fallen * f64::from(drop.direction[0]);
        let side = (x / box_width).floor();
        let margin = f64::from(drop.margin);
        let head = [(x - side * box_width - margin) as f32, (y - round * box_height - margin) as f32];

        let passage = (round as u64).wrapping_mul(1 << 32).wrapping_add(side as i64 as u64);
        let mut rng = random::generator(self.seed, Purpose::Passage, [drop.id[0], drop.id[1], !passage]);
        let [spread, _] = random::normals(&mut rng);
        let course = Course {
            taper: self.options.taper * (2.0 * rng.random::<f32>() - 1.0),
            soft_ends: self.options.soft_ends,
            beading: self.options.beading * rng.random::<f32>(),
            beads: BEADS[0] + (BEADS[1] - BEADS[0]) * rng.random::<f32>(),
            phase: rng.random(),
        };
        let gust = if self.options.unevenness > 0.0 { self.gust(head, seconds) } else { 0.0 };
        let opacity = drop.opacity * (self.options.opacity_spread * spread + self.options.unevenness * gust).exp();
        Streak {
            head,
            direction: drop.direction,
            length: drop.speed * self.options.exposure,
            radius: drop.radius,
            edge: drop.edge,
            opacity: opacity.min(1.0),
            course,
        }
    }

    /// Smooth noise over the picture and time, about −1 to 1.
    fn gust(&self, [x, y]: [f32; 2], seconds: f64) -> f32 {
        let cell = GUST_SHARE * self.width.max(self.height) as f32;
        let place = [f64::from(x / cell), f64::from(y / cell), seconds / f64::from(GUST_SECONDS)];
        let base = place.map(f64::floor);
        let weight: [f32; 3] = std::array::from_fn(|axis| {
            let share = (place[axis] - base[axis]) as f32;
            share * share * (3.0 - 2.0 * share)
        });
        let mut sum = 0.0;
        for corner in 0..8 {
            let name = std::array::from_fn(|axis| (base[axis] as i64).wrapping_add(corner >> axis & 1) as u64);
            let share: f32 =
                (0..3).map(|axis| if corner >> axis & 1 == 1 { weight[axis] } else { 1.0 - weight[axis] }).product();
            sum += share * (2.0 * random::unit(random::hash(self.seed, Purpose::Gust, name)) - 1.0);
        }
        sum
    }
}
