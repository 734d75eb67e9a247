//! Light that flickers and large things that pass: parts of the picture that change their brightness as a whole.

use std::ops::Range;

use rayon::prelude::*;

use super::plane::Plane;

/// Parts along the longer side of the picture.
const PARTS: usize = 10;

/// The shortest side of a part in pixels: rain leaves the level of smaller ones too unsteady.
const LEAST_SIDE: usize = 12;

/// This share of a part's pixels lies below its level. Rain mostly brightens, and even dense rain leaves this share
/// free.
const LEVEL: f64 = 0.2;

/// A part is unsteady if its level changes by more than this many luma steps. In the densest rain, whose gusts come and
/// go, nearly all steady parts stay below.
const UNSTEADY: f32 = 14.0;

/// The level of each part of what a frame and the candidate differ by.
pub(super) fn levels(residual: &Plane) -> Vec<f32> {
    let Plane { width, height, ref values } = *residual;
    let side = (width.max(height) / PARTS).max(LEAST_SIDE);
    let parts = |length: usize| {
        let count = (length / side).max(1);
        (0..count).map(move |part| length * part / count..length * (part + 1) / count)
    };
    let all: Vec<_> = parts(height).flat_map(|rows| parts(width).map(move |columns| (rows.clone(), columns))).collect();
    let level = |(rows, columns): (Range<usize>, Range<usize>)| {
        let rows = rows.map(|y| &values[y * width..(y + 1) * width]);
        let mut part: Vec<f32> = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
        let place = (LEVEL * part.len() as f64) as usize;
        *part.select_nth_unstable_by(place, f32::total_cmp).1
    };
    all.into_par_iter().map(level).collect()
}

/// The share of parts whose level over all frames spans more than a steady scene's.
pub(super) fn unsteady(frames: &[Vec<f32>]) -> f32 {
    let parts = frames.first().map_or(0, Vec::len);
    let span = |part: usize| {
        let levels = || frames.iter().map(|levels| levels[part]);
        levels().fold(f32::MIN, f32::max) - levels().fold(f32::MAX, f32::min)
    };
    (0..parts).filter(|&part| span(part) > UNSTEADY).count() as f32 / parts.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_thing_is_unsteady_where_it_passes() {
        let frame = |left: usize| {
            let values = (0..200 * 100).map(|at| if (left..left + 40).contains(&(at % 200)) { 60.0 } else { 1.0 });
            levels(&Plane { width: 200, height: 100, values: values.collect() })
        };
        assert_eq!(unsteady(&[frame(0), frame(0)]), 0.0);
        assert_eq!(unsteady(&[frame(0), frame(100)]), 0.4);
        assert_eq!(unsteady(&[]), 0.0);
        assert_eq!(levels(&Plane { width: 1, height: 1, values: vec![4.0] }), [4.0]);
    }
}
