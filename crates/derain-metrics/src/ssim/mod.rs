//! Structural similarity (Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13, 2004).
//!
//! In a window around every pixel, with weighted means `mu`, variances `var` and the covariance `cov` of one channel:
//!
//! ```text
//!             (2 mu_a mu_b + C1) (2 cov + C2)
//! S = -----------------------------------------------,   C1 = (k1 R)²,  C2 = (k2 R)²,  R = data range
//!     (mu_a² + mu_b² + C1) (var_a + var_b + C2)
//! ```
//!
//! The score is the mean of S over channels and over the pixels whose window lies inside the picture: a border of
//! `(size − 1) / 2` pixels is cropped. Only [`Ssim::map`] shows that border; there the window sees the picture mirrored
//! with its edge pixels repeated, `d c b a | a b c d | d c b a`. All of this is scikit-image's `structural_similarity`.
//!
//! Pictures are arrays `[H, W, C]` with H and W no smaller than the window. Integer samples need no conversion:
//! `Ssim { data_range: 255.0, ..Ssim::default() }` on 8-bit samples is `Ssim::default()` on the same samples over 255.
//!
//! ```
//! use derain_metrics::{Covariance, Ssim, Window};
//! use ndarray::{Array3, array};
//!
//! # fn main() -> Result<(), derain_metrics::Error> {
//! // One window over means 4 and 5 and equal deviations: the mean term alone is below 1.
//! let a = array![[[0.], [8.], [0.]], [[8.], [4.], [8.]], [[0.], [8.], [0.]]];
//! let b = &a + 1.0;
//! let ssim = Ssim { window: Window::Uniform { size: 3 }, covariance: Covariance::Sample, data_range: 8.0, ..Ssim::default() };
//! let c1 = (0.01_f64 * 8.0).powi(2);
//! assert!((ssim.score(&a, &b)? - (2.0 * 4.0 * 5.0 + c1) / (4.0 * 4.0 + 5.0 * 5.0 + c1)).abs() < 1e-12);
//! assert_eq!(ssim.score(&a, &a)?, 1.0);
//! assert_eq!(ssim.map(&a, &a)?, Array3::from_elem((3, 3, 1), 1.0));
//! # Ok(())
//! # }
//! ```

mod row;
mod window;

use ndarray::{Array3, ArrayBase, ArrayView3, Data, Ix3};
use rayon::prelude::*;

use self::row::{RowFilter, Scratch};
pub use self::window::Window;
use crate::check::{common_shape, explain, positive, rows};
use crate::{Error, Sample};

/// How variances and the covariance are normalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Covariance {
    /// As the weights say: `E[ab] − E[a] E[b]`.
    Population,
    /// The same times `n / (n − 1)`, n the pixels of the window; scikit-image's default.
    Sample,
}

/// Options of SSIM. The default is Wang 2004: Gaussian window of 11 x 11 and sigma 1.5, population covariance, data
/// range 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ssim {
    /// Which neighbours count.
    pub window: Window,
    /// How variances are normalized.
    pub covariance: Covariance,
    /// The greatest difference that samples can have: 1 for pictures in 0..1, 255 for 8-bit samples.
    pub data_range: f64,
    /// Stabilizes the mean term in dark windows.
    pub k1: f64,
    /// Stabilizes the covariance term in flat windows.
    pub k2: f64,
}

impl Default for Ssim {
    fn default() -> Self {
        Self {
            window: Window::Gaussian { size: 11, sigma: 1.5 },
            covariance: Covariance::Population,
            data_range: 1.0,
            k1: 0.01,
            k2: 0.03,
        }
    }
}

impl Ssim {
    /// Mean similarity of two arrays `[H, W, C]`, borders cropped: exactly 1 if they are equal, at least −1. With `k1`
    /// and `k2` so small that their squares vanish beside the rounding of the samples, it may be less, and of flat
    /// pictures there is no score.
    ///
    /// # Errors
    /// Shapes that differ, are empty or smaller than the window; a sample that is not finite; options out of range.
    pub fn score<A, S, T>(&self, a: &ArrayBase<S, Ix3>, b: &ArrayBase<T, Ix3>) -> Result<f64, Error>
    where
        A: Sample,
        S: Data<Elem = A>,
        T: Data<Elem = A>,
    {
        self.score_of_views(&a.view(), &b.view())
    }

    /// Similarity around every sample of two arrays `[H, W, C]`, borders included.
    ///
    /// # Errors
    /// As [`Ssim::score`].
    pub fn map<A, S, T>(&self, a: &ArrayBase<S, Ix3>, b: &ArrayBase<T, Ix3>) -> Result<Array3<f64>, Error>
    where
        A: Sample,
        S: Data<Elem = A>,
        T: Data<Elem = A>,
    {
        let (a, b) = (a.view(), b.view());
        let shape @ [_, width, channels] = self.validate(&a, &b)?;
        let mut map = Array3::zeros(shape);
        let (a_contiguous, b_contiguous) = (a.as_standard_layout(), b.as_standard_layout());
        let (a_view, b_view) = (a_contiguous.view(), b_contiguous.view());
        let filter = RowFilter::new(self, rows(&a_view), rows(&b_view), width, channels);
        if let Some(samples) = map.as_slice_mut() {
            samples
                .par_chunks_mut(width * channels)
                .enumerate()
                .for_each_init(Scratch::default, |scratch, (row, out)| filter.similarities(row, scratch, out));
        }
        match map.iter().all(|similarity| similarity.is_finite()) {
            true => Ok(map),
            false => Err(explain(&a, &b)),
        }
    }

    pub(crate) fn score_of_views<A: Sample>(&self, a: &ArrayView3<'_, A>, b: &ArrayView3<'_, A>) -> Result<f64, Error> {
        let [height, width, channels] = self.validate(a, b)?;
        let (a_contiguous, b_contiguous) = (a.as_standard_layout(), b.as_standard_layout());
        let (a_view, b_view) = (a_contiguous.view(), b_contiguous.view());
        let filter = RowFilter::new(self, rows(&a_view), rows(&b_view), width, channels);
        let crop = self.window.size() / 2;
        // One sum a row, added in order: the same bits for any number of threads.
        let sums: Vec<f64> = (crop..height - crop)
            .into_par_iter()
            .map_init(
                || (Scratch::default(), vec![0.0; width * channels]),
                |(scratch, out), row| {
                    filter.similarities(row, scratch, out);
                    out[crop * channels..(width - crop) * channels].iter().sum()
                },
            )
            .collect();
        let counted = (height - 2 * crop) as f64 * (width - 2 * crop) as f64 * channels as f64;
        let score = sums.iter().sum::<f64>() / counted;
        match score.is_finite() {
            true => Ok(score),
            false => Err(explain(a, b)),
        }
    }

    fn validate<A>(&self, a: &ArrayView3<'_, A>, b: &ArrayView3<'_, A>) -> Result<[usize; 3], Error> {
        self.window.validate()?;
        positive("the data range", self.data_range)?;
        positive("k1", self.k1)?;
        positive("k2", self.k2)?;
        let shape @ [height, width, _] = common_shape(a, b)?;
        let window = self.window.size();
        match height.min(width) < window {
            true => Err(Error::TooSmall { height, width, window }),
            false => Ok(shape),
        }
    }
}
