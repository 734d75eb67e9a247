//! Sensor noise, from what two frames of a still scene differ by.

use super::plane::Plane;

/// A normal variable is within this many standard deviations of its mean half of the time.
const MEDIAN_DEVIATION: f32 = 0.6745;

/// Finest steps in which deviations are counted, per 8-bit step.
const STEPS: f32 = 8.0;

/// Standard deviation of the luma noise of either frame, 8-bit steps.
///
/// Of the difference, what a square of four pixels holds as a checkerboard: its median size. Streaks are smooth along their way and
/// have none of it, unless they lie over half of all squares.
pub(super) fn noise(a: &Plane, b: &Plane) -> f32 {
    let difference = a.minus(b);
    let Plane { width, height, ref values } = difference;
    let mut counts = vec![0u32; (2.0 * 255.0 * STEPS) as usize + 1];
    let mut all = 0;
    for y in (1..height).step_by(2) {
        for x in (1..width).step_by(2) {
            let at = y * width + x;
            let checkers = (values[at] + values[at - width - 1] - values[at - 1] - values[at - width]) / 2.0;
            counts[(checkers.abs() * STEPS) as usize] += 1;
            all += 1;
        }
    }
    if all == 0 {
        return 0.0;
    }
    let mut below = 0;
    let median = counts.iter().position(|count| {
        below += count;
        2 * below >= all
    });
    // Each of the four is a difference of two frames: the checkerboard deviates by √2 of what one frame does.
    median.unwrap_or(0) as f32 / STEPS / MEDIAN_DEVIATION / std::f32::consts::SQRT_2
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
