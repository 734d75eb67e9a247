//! Luma as real numbers, smoothed, and which way its edges run.

use image::RgbImage;
use rayon::prelude::*;

use crate::luma::luma_of;

/// One number for each pixel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// In 8-bit steps, 0 to 255.
    pub(super) fn luma(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let values = luma_of(picture);
        Self { width: width as usize, height: height as usize, values }
    }

    /// Pixel by pixel with one of the same size.
    pub(super) fn zip(&self, other: &Self, each: impl Fn(f32, f32) -> f32 + Sync) -> Self {
        let values = self.values.par_iter().zip(&other.values).map(|(&a, &b)| each(a, b)).collect();
        Self { values, ..*self }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// The mean of each pixel and its neighbours, those inside the picture.
    pub(super) fn smooth(&self) -> Self {
        let Self { width, height, .. } = *self;
        let near = |at: usize, end: usize| at.saturating_sub(1)..end.min(at + 2);
        let mut values = vec![0.0; self.values.len()];
        values.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, row)| {
            let rows = near(y, height);
            let columns: Vec<f32> =
                (0..width).map(|x| rows.clone().map(|y| self.values[y * width + x]).sum::<f32>()).collect();
            for (x, value) in row.iter_mut().enumerate() {
                let around = near(x, width);
                let count = (around.len() * rows.len()) as f32;
                *value = columns[around].iter().sum::<f32>() / count;
            }
        });
        Self { values, ..*self }
    }

    /// The mean over the picture of the products of its slopes: see [`Slopes`].
    pub(super) fn slopes(&self) -> Slopes {
        let Self { width, height, .. } = *self;
        if width < 3 || height < 3 {
            return Slopes::default();
        }
        let rows: Vec<Slopes> = (1..height - 1)
            .into_par_iter()
            .map(|y| {
                let [above, row, below] = [y - 1, y, y + 1].map(|y| &self.values[y * width..(y + 1) * width]);
                let (mut xx, mut xy, mut yy) = (0.0f64, 0.0f64, 0.0f64);
                for x in 1..width - 1 {
                    let dx = f64::from(row[x + 1] - row[x - 1]) / 2.0;
                    let dy = f64::from(below[x] - above[x]) / 2.0;
                    xx += dx * dx;
                    xy += dx * dy;
                    yy += dy * dy;
                }
                Slopes { xx, xy, yy }
            })
            .collect();
        // Summed in order, so that the number of threads does not matter.
        let pixels = ((width - 2) * (height - 2)) as f64;
        rows.iter().fold(Slopes::default(), |sum, row| sum.plus(row)).times(1.0 / pixels)
    }
}

/// The structure tensor: means of dx², dx · dy and dy², in 8-bit steps per pixel, squared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Slopes {
    pub(super) xx: f64,
    pub(super) xy: f64,
    pub(super) yy: f64,
}

impl Slopes {
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self { xx: self.xx + other.xx, xy: self.xy + other.xy, yy: self.yy + other.yy }
    }

    pub(super) fn times(&self, factor: f64) -> Self {
        Self { xx: self.xx * factor, xy: self.xy * factor, yy: self.yy * factor }
    }

    /// The direction of the steepest slopes as an angle from the x axis, radians: across the streaks.
    pub(super) fn across(&self) -> f64 {
        0.5 * (2.0 * self.xy).atan2(self.xx - self.yy)
    }

    /// How much more slope there is in one direction than at right angles to it. What runs every way, such as noise,
    /// cancels.
    pub(super) fn excess(&self, across: f64) -> f64 {
        (2.0 * across).cos() * (self.xx - self.yy) + (2.0 * across).sin() * 2.0 * self.xy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn smoothing_by_hand() {
        let plane = Plane { width: 3, height: 2, values: vec![0.0, 6.0, 0.0, 0.0, 0.0, 12.0] };
        assert_eq!(plane.smooth().values, [1.5, 3.0, 4.5, 1.5, 3.0, 4.5]);
        let one = Plane { width: 1, height: 1, values: vec![7.0] };
        assert_eq!(one.smooth(), one);
        assert_eq!(one.slopes(), Slopes::default());
    }

    #[test]
    fn slopes_know_their_direction() {
        for degrees in [-80.0f64, -30.0, 0.0, 20.0, 45.0] {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let values =
                (0..40 * 30).map(|at| (3.0 * (f64::from(at % 40) * cos + f64::from(at / 40) * sin)) as f32).collect();
            let slopes = Plane { width: 40, height: 30, values }.slopes();
            assert!((slopes.across().to_degrees() - degrees).abs() < 0.01, "{degrees}: {slopes:?}");
            assert!((slopes.excess(slopes.across()) - 9.0).abs() < 1e-3);
            assert!((slopes.excess(slopes.across() + std::f64::consts::FRAC_PI_2) + 9.0).abs() < 1e-3);
        }
    }

    #[test]
    fn luma_is_weighted() {
        let plane = Plane::luma(&RgbImage::from_pixel(2, 1, Rgb([100, 50, 10])));
        assert!((plane.values[1] - 60.39).abs() < 1e-3 && plane.values.len() == 2);
    }
}
