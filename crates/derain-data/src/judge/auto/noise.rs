//! Sensor noise, from what two frames of a still scene differ by.

use super::plane::Plane;

/// The share of pixels that noise is taken from, those that differ least: even dense rain leaves as many free.
const LEAST: f64 = 0.2;

/// A normal variable is within this many standard deviations of its mean in [`LEAST`] of all cases.
const DEVIATION: f32 = 0.2533;

/// Standard deviation of the luma noise of either frame, 8-bit steps.
///
/// From the difference of both: how far the fifth that differs least goes, or the same of the checkerboard in each
/// square of four pixels, whichever is less. Streaks are smooth along their way and have no checkerboard, but
/// compression may make one.
pub(super) fn noise(a: &Plane, b: &Plane) -> f32 {
    let difference = a.minus(b);
    let Plane { width, height, ref values } = difference;
    let mut checkers = Vec::with_capacity(values.len() / 4);
    for y in (1..height).step_by(2) {
        for x in (1..width).step_by(2) {
            let at = y * width + x;
            checkers.push((values[at] + values[at - width - 1] - values[at - 1] - values[at - width]) / 2.0);
        }
    }
    if checkers.is_empty() {
        return 0.0;
    }
    let (checkers, whole) = rayon::join(|| size_of_least(checkers), || size_of_least(difference.values));
    let size = checkers.min(whole);
    // Either is made of two frames, and so deviates by √2 of what one does.
    size / DEVIATION / std::f32::consts::SQRT_2
}

fn size_of_least(mut values: Vec<f32>) -> f32 {
    let place = (LEAST * values.len() as f64) as usize;
    values.select_nth_unstable_by(place, |a, b| a.abs().total_cmp(&b.abs())).1.abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::{Density, RainOptions, RainScene};
    use image::{Rgb, RgbImage};

    #[test]
    fn noise_is_measured_through_rain() {
        let clean = RgbImage::from_fn(160, 120, |x, y| Rgb([(40 + x / 2) as u8, 90, (60 + y) as u8]));
        for density in [Density::Sparse, Density::Normal] {
            for sigma in [0.0f32, 1.0, 2.0, 4.0] {
                let options = RainOptions { noise: sigma, ..RainOptions::preset(density) };
                let scene = RainScene::new(&options, 160, 120, 5).unwrap();
                let [a, b] = [0, 9].map(|frame| Plane::luma(&scene.render(&clean, frame).unwrap().rainy));
                // Independent noise of three channels, weighted as luma, and rounding.
                let expected = 0.669 * sigma;
                let found = noise(&a, &b);
                assert!((found - expected).abs() < 0.15 * expected + 0.3, "{density:?} {sigma}: {found}");
            }
        }
        let one = Plane { width: 1, height: 1, values: vec![3.0] };
        assert_eq!(noise(&one, &one), 0.0);
    }
}
