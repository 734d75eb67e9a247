//! Planes between their pixels.

use super::motion::Motion;
use super::pyramid::Plane;

/// Weights of the four pixels around a place that lies `fraction` after the second: cubic
/// convolution with a = −0.5 (Keys 1981), also known as Catmull–Rom.
pub(super) fn cubic_weights(fraction: f32) -> [f32; 4] {
    let t = fraction;
    [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
}

/// The whole pixel at or before a place, and how far after it the place lies. Far outside, any
/// pixel far outside does.
pub(super) fn split(place: f64) -> (isize, f64) {
    let floor = place.clamp(-1e9, 1e9).floor();
    (floor as isize, (place - floor).clamp(0.0, 1.0))
}

/// A frame as the reference sees it. Edges are repeated.
pub(super) struct Warp<'a> {
    /// The frame at some level.
    pub(super) frame: &'a Plane,
    /// Where the reference's pixels lie in the frame.
    pub(super) motion: &'a Motion,
    /// Of the pictures that the motion is of.
    pub(super) size: (u32, u32),
    /// Pixels of the picture in one of the plane.
    pub(super) pixel: f64,
}

impl Warp<'_> {
    /// Row `y` from column `x` on.
    pub(super) fn row(&self, x: usize, y: usize, out: &mut [f32], scratch: &mut Vec<f32>) {
        let Self { frame, motion, size, pixel } = *self;
        let (px, py) = (x as f64 * pixel, y as f64 * pixel);
        let (dx, dy) = motion.displacement(size, px, py);
        let (start_x, start_y) = (x as f64 + dx / pixel, y as f64 + dy / pixel);
        let (p, q) = motion.matrix();
        if motion.rotation == 0.0 && motion.scale == 1.0 {
            shift_row(frame, start_x, start_y, out, scratch);
        } else {
            for (column, out) in out.iter_mut().enumerate() {
                *out = at(frame, start_x + p * column as f64, start_y + q * column as f64);
            }
        }
    }
}

/// Places with the same fractions: one blend of four rows, then one of four columns.
fn shift_row(frame: &Plane, start_x: f64, start_y: f64, out: &mut [f32], blended: &mut Vec<f32>) {
    let ((left, across), (top, down)) = (split(start_x), split(start_y));
    let (across, down) = (cubic_weights(across as f32), cubic_weights(down as f32));
    let rows = [-1, 0, 1, 2].map(|offset| frame.clamped_row(top.saturating_add(offset)));
    blended.clear();
    blended.resize(out.len() + 3, 0.0);
    let last = frame.width as isize - 1;
    let first = left - 1;
    let blend = |x: usize| (0..4).map(|k| down[k] * rows[k][x]).sum::<f32>();
    // The columns that lie inside in one go.
    let inside_from = (-first).clamp(0, blended.len() as isize).cast_unsigned();
    let inside_to = (last + 1 - first).clamp(inside_from as isize, blended.len() as isize).cast_unsigned();
    if inside_from < inside_to {
        let source = (first + inside_from as isize).cast_unsigned();
        let count = inside_to - inside_from;
        let rows = rows.map(|row| &row[source..source + count]);
        for (x, value) in blended[inside_from..inside_to].iter_mut().enumerate() {
            *value = down[0] * rows[0][x] + down[1] * rows[1][x] + down[2] * rows[2][x] + down[3] * rows[3][x];
        }
    }
    blended[..inside_from].fill(blend(0));
    blended[inside_to..].fill(blend(last.cast_unsigned()));
    for (x, out) in out.iter_mut().enumerate() {
        let near = &blended[x..x + 4];
        *out = across[0] * near[0] + across[1] * near[1] + across[2] * near[2] + across[3] * near[3];
    }
}

fn at(frame: &Plane, x: f64, y: f64) -> f32 {
    let ((left, across), (top, down)) = (split(x), split(y));
    let (across, down) = (cubic_weights(across as f32), cubic_weights(down as f32));
    let last = frame.width as isize - 1;
    let inside = left >= 1 && left + 2 <= last;
    let mut sum = 0.0;
    for (offset, weight) in (-1..).zip(down) {
        let row = frame.clamped_row(top.saturating_add(offset));
        let blended: f32 = if inside {
            let near = &row[(left - 1).cast_unsigned()..][..4];
            across[0] * near[0] + across[1] * near[1] + across[2] * near[2] + across[3] * near[3]
        } else {
            let column = |k: isize| row[left.saturating_add(k).clamp(0, last).cast_unsigned()];
            (-1..).zip(across).map(|(k, weight)| weight * column(k)).sum()
        };
        sum += weight * blended;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Warp, cubic_weights, split};
    use crate::register::motion::Motion;
    use crate::register::pyramid::Plane;

    #[test]
    fn cubic_weights_are_those_of_the_formula() {
        for (fraction, wanted) in [(0.0, [0.0, 1.0, 0.0, 0.0]), (0.5, [-0.0625, 0.5625, 0.5625, -0.0625])] {
            assert_eq!(cubic_weights(fraction), wanted);
        }
        for fraction in [0.1, 0.3, 0.77] {
            let weights = cubic_weights(fraction);
            // Quadratic polynomials are reproduced.
            let moment = |power| (-1..).zip(weights).map(|(k, w)| w * (k as f32).powi(power)).sum::<f32>();
            assert!((moment(0) - 1.0).abs() < 1e-6);
            assert!((moment(1) - fraction).abs() < 1e-6);
            assert!((moment(2) - fraction * fraction).abs() < 1e-6);
        }
    }

    #[test]
    fn shifts_and_turns_agree_with_sampling_one_by_one() {
        let plane = Plane { width: 13, height: 9, data: (0..117).map(|k| ((k * 37) % 101) as f32).collect() };
        let at = |x: f64, y: f64| {
            let ((left, across), (top, down)) = (split(x), split(y));
            let mut sum = 0.0;
            for (j, down) in (-1..).zip(cubic_weights(down as f32)) {
                for (k, across) in (-1..).zip(cubic_weights(across as f32)) {
                    let column = (left + k).clamp(0, 12) as usize;
                    sum += down * across * plane.clamped_row(top + j)[column];
                }
            }
            sum
        };
        let turn = Motion { dx: 1.3, dy: -2.6, rotation: 0.2, scale: 1.1 };
        for motion in
            [Motion::default(), Motion::shift(0.4, -0.7), Motion::shift(-30.2, 4.0), Motion::shift(40.0, 1.5), turn]
        {
            let warp = Warp { frame: &plane, motion: &motion, size: (13, 9), pixel: 1.0 };
            for y in 0..9 {
                let mut out = [0.0; 10];
                warp.row(2, y, &mut out, &mut Vec::new());
                for (column, found) in out.iter().enumerate() {
                    let x = (column + 2) as f64;
                    let (dx, dy) = motion.displacement((13, 9), x, y as f64);
                    let wanted = at(x + dx, y as f64 + dy);
                    assert!((found - wanted).abs() < 1e-2, "{motion:?} {column} {y}: {found} {wanted}");
                }
            }
        }
    }
}
