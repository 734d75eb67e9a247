//! One Gauss–Newton step: differences, their robust scale, the equations' sums, the motion that solves them. See
//! `align.rs` for the formula.

use rayon::prelude::*;

use super::equations::{Equations, SUMS, UNKNOWNS};
use super::motion::Motion;
use super::options::MotionModel;
use super::pyramid::Plane;
use super::rectangle::Rectangle;
use super::sample::Warp;

/// c is this many times the median absolute difference. 4.4 times is 3 standard deviations of
/// normal noise.
const SCALE_PER_MEDIAN: f32 = 4.4;

/// c is at least this: differences of a grey level are rounding.
const LEAST_SCALE: f32 = 2.0;

/// A median of this many differences is as good as that of all.
const MEDIAN_SAMPLES: usize = 20_000;

/// Values that are summed side by side, for vector units.
const LANES: usize = 8;

/// A step at one level.
pub(super) struct Step<'a> {
    /// Reference and frame.
    pub(super) planes: [&'a Plane; 2],
    /// The pixels that count, in the level's. All of their neighbours are in the planes.
    pub(super) inside: Rectangle,
    /// Pixels of the picture in one of the level.
    pub(super) pixel: f64,
    /// Of the picture.
    pub(super) size: (u32, u32),
    pub(super) model: MotionModel,
}

impl Step<'_> {
    /// F(W(x)) − R(x), row by row.
    pub(super) fn compare(&self, motion: &Motion, differences: &mut Vec<f32>) {
        let [x, y] = [self.inside.x, self.inside.y];
        let columns = x[1] - x[0];
        differences.resize(columns * (y[1] - y[0]), 0.0);
        let [reference, frame] = self.planes;
        let warp = Warp { frame, motion, size: self.size, pixel: self.pixel };
        differences.par_chunks_exact_mut(columns).enumerate().for_each_init(Vec::new, |scratch, (row, out)| {
            let y = y[0] + row;
            warp.row(x[0], y, out, scratch);
            for (out, reference) in out.iter_mut().zip(&reference.row(y)[x[0]..x[1]]) {
                *out -= reference;
            }
        });
    }

    /// The motion after the step and the standard error of its shift, in pixels of the picture.
    pub(super) fn take(&self, motion: &Motion, differences: &mut Vec<f32>) -> Option<(Motion, f64)> {
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
        let from = self.inside.x[0];
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
            if chunk.len() == LANES {
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
pub(super) fn middle_and_scale(differences: &[f32]) -> (f32, f32) {
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
