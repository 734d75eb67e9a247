//! Gauss–Newton on robustly weighted luma differences, coarse to fine (Lucas and Kanade 1981; Baker
//! and Matthews 2004).
//!
//! Over the pixels of a rectangle it minimises the sum of rho(F(W(x)) − R(x) − o): R the reference,
//! F the frame, W the motion, o a difference in brightness, and rho(r) = r² / (1 + r² / c²) (Geman
//! and McClure 1985), which stops pulling at differences far above c. Streaks of rain, in the frame
//! or in the reference, are such differences. `step.rs` takes one step.

use super::motion::Motion;
use super::options::MotionModel;
use super::pyramid::{Plane, Pyramid};
use super::rectangle::Rectangle;
use super::step::{Step, middle_and_scale};

/// Steps at one level; the shortest are reached within three or four.
const MAX_STEPS: usize = 12;

/// A step below this, in pixels of its level, ends the level.
const SHORT_STEP: f64 = 0.004;

/// How far the first guess at the coarsest level looks, in its pixels, each way.
const SEARCH: isize = 6;

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
