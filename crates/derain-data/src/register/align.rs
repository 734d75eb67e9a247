//! Gauss–Newton on robustly weighted luma differences, coarse to fine (Lucas and Kanade 1981; Baker
//! and Matthews 2004).
//!
//! Over the pixels of a rectangle it minimises the sum of rho(F(W(x)) − R(x) − o): R the reference,
//! F the frame, W the motion, o a difference in brightness, and rho(r) = r² / (1 + r² / c²) (Geman
//! and McClure 1985), which stops pulling at differences far above c. Streaks of rain, in the frame
//! or in the reference, are such differences.

use rayon::prelude::*;

use super::equations::{Equations, SUMS, UNKNOWNS};
use super::motion::Motion;
use super::pyramid::{Plane, Pyramid};
use super::sample::warp_row;

/// c is this many times the median absolute difference. 4.4 times is 3 standard deviations of
/// normal noise.
const SCALE_PER_MEDIAN: f32 = 4.4;

/// c is at least this: differences of a grey level are rounding.
const LEAST_SCALE: f32 = 2.0;

/// A median of this many differences is as good as that of all.
const MEDIAN_SAMPLES: usize = 20_000;

/// Steps at one level; the shortest are reached within three or four.
const MAX_STEPS: usize = 12;

/// A step below this, in pixels of its level, ends the level.
const SHORT_STEP: f64 = 0.004;

/// How far the first guess at the coarsest level looks, in its pixels, each way.
const SEARCH: isize = 6;

/// Pixels left out at the rectangle's border, where gradients need neighbours.
const MARGIN: usize = 1;

/// Values that are summed side by side, for vector units.
const LANES: usize = 8;

/// Which motions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MotionModel {
    /// Shifts.
    Translation,
    /// Shifts, rotation and scale.
    Similarity,
}

impl MotionModel {
    fn has_matrix(self) -> bool {
        self == Self::Similarity
    }
}

/// Columns and rows of a picture, in its own pixels: from the first to before the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) x: [usize; 2],
    pub(super) y: [usize; 2],
}

impl Rectangle {
    pub(super) fn whole(size: (u32, u32)) -> Self {
        Self { x: [0, size.0 as usize], y: [0, size.1 as usize] }
    }

    /// The same in a level whose pixels are `pixel_size` large, less the margin.
    fn at_level(&self, plane: &Plane, pixel_size: f64) -> Self {
        let side = |[from, to]: [usize; 2], length: usize| {
            let scaled = |at: usize| (at as f64 / pixel_size).round() as usize;
            let to = scaled(to).min(length.saturating_sub(MARGIN));
            [scaled(from).max(MARGIN).min(to), to]
        };
        Self { x: side(self.x, plane.width), y: side(self.y, plane.height) }
    }

    fn is_empty(&self) -> bool {
        self.x[0] >= self.x[1] || self.y[0] >= self.y[1]
    }
}

/// A motion and how well it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) motion: Motion,
    /// Standard error of the shift along its least certain direction, in pixels of the picture;
    /// infinite where nothing can be told, as on a flat wall.
    pub(super) error: f64,
}

/// Aligns pictures of one size.
pub(super) struct Aligner<'a> {
    pub(super) reference: &'a Pyramid,
    pub(super) frame: &'a Pyramid,
    pub(super) size: (u32, u32),
}

impl Aligner<'_> {
    /// The motion of the whole picture, however it starts.
    pub(super) fn global(&self, model: MotionModel) -> Estimate {
        let coarsest = self.reference.levels.len() - 1;
        let pixel = self.reference.pixel_size(coarsest);
        let (dx, dy) = search(&self.reference.levels[coarsest], &self.frame.levels[coarsest]);
        let start = Motion::shift(dx as f64 * pixel, dy as f64 * pixel);
        let whole = Rectangle::whole(self.size);
        let shift = self.refine(MotionModel::Translation, &whole, start, coarsest);
        if model.has_matrix() { self.refine(model, &whole, shift.motion, coarsest.min(2)) } else { shift }
    }

    /// Follows `rectangle` from a motion that is nearly right, from level `coarsest` on.
    pub(super) fn refine(&self, model: MotionModel, rectangle: &Rectangle, start: Motion, coarsest: usize) -> Estimate {
        let mut estimate = Estimate { motion: start, error: f64::INFINITY };
        let mut differences = Vec::new();
        for level in (0..=coarsest.min(self.reference.levels.len() - 1)).rev() {
            let planes = [&self.reference.levels[level], &self.frame.levels[level]];
            let pixel = self.reference.pixel_size(level);
            let inside = rectangle.at_level(planes[0], pixel);
            if inside.is_empty() {
                continue;
            }
            for _ in 0..MAX_STEPS {
                let step = Step { planes, inside, pixel, size: self.size, model };
                let Some((next, error)) = step.take(&estimate.motion, &mut differences) else {
                    break;
                };
                let way = self.way(&estimate.motion, &next);
                estimate = Estimate { motion: next, error };
                if way < SHORT_STEP * pixel {
                    break;
                }
            }
        }
        estimate
    }

    /// How much a rectangle differs where `motion` puts it, in grey levels: the robust scale c.
    pub(super) fn difference(&self, rectangle: &Rectangle, motion: &Motion) -> f32 {
        let planes = [&self.reference.levels[0], &self.frame.levels[0]];
        let pixel = self.reference.pixel_size(0);
        let inside = rectangle.at_level(planes[0], pixel);
        if inside.is_empty() {
            return 0.0;
        }
        let mut differences = Vec::new();
        Step { planes, inside, pixel, size: self.size, model: MotionModel::Translation }
            .compare(motion, &mut differences);
        middle_and_scale(&differences).1
    }

    fn way(&self, from: &Motion, to: &Motion) -> f64 {
        let corners = from.corners(self.size).into_iter().zip(to.corners(self.size));
        corners.map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).fold(0.0, f64::max)
    }
}

/// The whole-pixel shift at which two small planes differ least.
fn search(reference: &Plane, frame: &Plane) -> (isize, isize) {
    let mean = |plane: &Plane| plane.data.iter().sum::<f32>() / plane.data.len().max(1) as f32;
    let brightness = mean(frame) - mean(reference);
    let reach = |side: usize| SEARCH.min(side as isize / 4);
    let (across, down) = (reach(reference.width), reach(reference.height));
    let cost = |dx: isize, dy: isize| {
        let range = |shift: isize, side: usize| {
            let side = side as isize;
            (-shift).max(0).cast_unsigned()..(side - shift.max(0)).cast_unsigned()
        };
        let (columns, rows) = (range(dx, reference.width), range(dy, reference.height));
        let mut sum = 0.0;
        for y in rows.clone() {
            let moved = frame.row(y.wrapping_add_signed(dy));
            for x in columns.clone() {
                let difference = moved[x.wrapping_add_signed(dx)] - reference.row(y)[x] - brightness;
                sum += difference.abs();
            }
        }
        sum / (rows.len() * columns.len()) as f32
    };
    let shifts = (-down..=down).flat_map(|dy| (-across..=across).map(move |dx| (dx, dy)));
    // Of equal costs, as on a flat wall, the shortest shift.
    let ranked = shifts.map(|(dx, dy)| (cost(dx, dy), dx * dx + dy * dy, dx, dy));
    let best = ranked.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    best.map_or((0, 0), |(_, _, dx, dy)| (dx, dy))
}

/// One step at one level.
struct Step<'a> {
    /// Reference and frame.
    planes: [&'a Plane; 2],
    inside: Rectangle,
    /// Pixels of the picture in one of the level.
    pixel: f64,
    size: (u32, u32),
    model: MotionModel,
}

impl Step<'_> {
    /// F(W(x)) − R(x), row by row.
    fn compare(&self, motion: &Motion, differences: &mut Vec<f32>) {
        let [x, y] = [self.inside.x, self.inside.y];
        let columns = x[1] - x[0];
        differences.resize(columns * (y[1] - y[0]), 0.0);
        let [reference, frame] = self.planes;
        differences.par_chunks_exact_mut(columns).enumerate().for_each_init(Vec::new, |scratch, (row, out)| {
            let y = y[0] + row;
            warp_row(frame, motion, self.size, self.pixel, x[0], y, out, scratch);
            for (out, reference) in out.iter_mut().zip(&reference.row(y)[x[0]..x[1]]) {
                *out -= reference;
            }
        });
    }

    /// The motion after the step and the standard error of its shift, in pixels of the picture.
    fn take(&self, motion: &Motion, differences: &mut Vec<f32>) -> Option<(Motion, f64)> {
        self.compare(motion, differences);
        let y = self.inside.y;
        let columns = self.inside.x[1] - self.inside.x[0];
        let (brightness, scale) = middle_and_scale(differences);
        let rows = differences.par_chunks_exact(columns).enumerate();
        let sums: Vec<[f64; SUMS]> =
            rows.map(|(row, differences)| self.sums(y[0] + row, differences, brightness, scale)).collect();
        // In order, so that the result does not depend on threads.
        let mut total = [0.0; SUMS];
        for row in &sums {
            total.iter_mut().zip(row).for_each(|(total, value)| *total += value);
        }
        self.solve(motion, &total, scale)
    }

    /// Sums of one row.
    fn sums(&self, y: usize, differences: &[f32], brightness: f32, scale: f32) -> [f64; SUMS] {
        let reference = self.planes[0];
        let [from, to] = self.inside.x;
        let (above, row, below) = (reference.row(y - 1), reference.row(y), reference.row(y + 1));
        // Coordinates from the picture's centre, of size about 1, or the equations would be of unlike size.
        let (unit, left, top) = self.coordinates();
        let v = (y as f32 - top) * unit;
        let with_matrix = if self.model.has_matrix() { 1.0 } else { 0.0 };
        let inverse = 1.0 / (scale * scale);
        let mut lanes = [[0.0f32; LANES]; SUMS];
        let mut add = |x: usize, count: usize, differences: &[f32]| {
            let (row, above, below) = (&row[x - 1..], &above[x..], &below[x..]);
            let mut products = [[0.0f32; LANES]; SUMS];
            for lane in 0..count {
                let gx = 0.5 * (row[lane + 2] - row[lane]);
                let gy = 0.5 * (below[lane] - above[lane]);
                let difference = differences[lane] - brightness;
                let weight = 1.0 / (1.0 + difference * difference * inverse);
                let weight = weight * weight;
                let u = ((x + lane) as f32 - left) * unit;
                let along = with_matrix * (gx * u + gy * v);
                let across = with_matrix * (gy * u - gx * v);
                let derivatives = [gx, gy, along, across, 1.0];
                let mut sum = 0;
                for (index, derivative) in derivatives.iter().enumerate() {
                    let weighted = weight * derivative;
                    for other in &derivatives[index..] {
                        products[sum][lane] = weighted * other;
                        sum += 1;
                    }
                    products[SUMS - UNKNOWNS + index][lane] = weighted * difference;
                }
            }
            for (lanes, products) in lanes.iter_mut().zip(&products) {
                for (lane, product) in lanes.iter_mut().zip(products) {
                    *lane += product;
                }
            }
        };
        for (index, chunk) in differences.chunks(LANES).enumerate() {
            let x = from + index * LANES;
            // A constant count lets the loop become vector code.
            if chunk.len() == LANES && x + LANES < to.max(1) + MARGIN {
                add(x, LANES, chunk);
            } else {
                add(x, chunk.len(), chunk);
            }
        }
        lanes.map(|lanes| lanes.iter().map(|lane| f64::from(*lane)).sum())
    }

    /// Units of centred coordinates in a pixel of the level, and the centre in the level's pixels.
    fn coordinates(&self) -> (f32, f32, f32) {
        let half = (f64::from(self.size.0).hypot(f64::from(self.size.1)) / 2.0).max(1.0);
        let centre = |side: u32| ((f64::from(side) - 1.0) / 2.0 / self.pixel) as f32;
        ((self.pixel / half) as f32, centre(self.size.0), centre(self.size.1))
    }

    fn solve(&self, motion: &Motion, total: &[f64; SUMS], scale: f32) -> Option<(Motion, f64)> {
        let mut equations = Equations::new(total);
        // c is three standard deviations of normal noise.
        let error = equations.shift_error(f64::from(scale) / 3.0) * self.pixel;
        if !self.model.has_matrix() {
            equations.fix_matrix();
        }
        let step = equations.solve()?;
        // From pixels of the level, and centred units, to pixels of the picture.
        let (unit, ..) = self.coordinates();
        let per_unit = f64::from(unit);
        let (p, q) = motion.matrix();
        let (p, q) = (p + step[2] * per_unit, q + step[3] * per_unit);
        let next = Motion::from_matrix(p, q, motion.dx + step[0] * self.pixel, motion.dy + step[1] * self.pixel);
        Some((next, error))
    }
}

/// The median, and the scale c from the median distance to it.
fn middle_and_scale(differences: &[f32]) -> (f32, f32) {
    let step = differences.len().div_ceil(MEDIAN_SAMPLES).max(1);
    let mut sample: Vec<f32> = differences.iter().step_by(step).copied().collect();
    let median = |sample: &mut [f32]| {
        let middle = sample.len() / 2;
        if sample.is_empty() { 0.0 } else { *sample.select_nth_unstable_by(middle, f32::total_cmp).1 }
    };
    let middle = median(&mut sample);
    sample.iter_mut().for_each(|value| *value = (*value - middle).abs());
    (middle, (SCALE_PER_MEDIAN * median(&mut sample)).max(LEAST_SCALE))
}
