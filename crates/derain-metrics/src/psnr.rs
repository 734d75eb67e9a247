//! Peak signal-to-noise ratio.
//!
//! `PSNR = 10 · log10(R² / MSE)` in dB, with the data range R (peak) and the mean squared error over all rows, columns
//! and channels of two arrays `[H, W, C]`.

use ndarray::{ArrayBase, ArrayView3, Data, Ix3};
use rayon::prelude::*;

use crate::check::{common_shape, explain, positive, rows};
use crate::{Error, Sample};

/// Peak signal-to-noise ratio of two arrays `[H, W, C]` in dB; infinity if they are equal.
///
/// `data_range` is the greatest difference that samples can have: 1 for pictures in 0..1, 255 for 8-bit samples.
///
/// ```
/// use ndarray::array;
/// # fn main() -> Result<(), derain_metrics::Error> {
/// let (a, b) = (array![[[10_u8, 20, 30]]], array![[[10_u8, 20, 33]]]); // mean squared error 3
/// assert!((derain_metrics::psnr(&a, &b, 255.0)? - 43.3596).abs() < 1e-4);
/// assert_eq!(derain_metrics::psnr(&a, &a, 255.0)?, f64::INFINITY);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Shapes that differ or are empty, a sample that is not finite, a `data_range` that is not greater than 0.
pub fn psnr<A, S, T>(a: &ArrayBase<S, Ix3>, b: &ArrayBase<T, Ix3>, data_range: f64) -> Result<f64, Error>
where
    A: Sample,
    S: Data<Elem = A>,
    T: Data<Elem = A>,
{
    psnr_of_views(&a.view(), &b.view(), data_range)
}

pub(crate) fn psnr_of_views<A: Sample>(
    a: &ArrayView3<'_, A>,
    b: &ArrayView3<'_, A>,
    data_range: f64,
) -> Result<f64, Error> {
    positive("the data range", data_range)?;
    let [height, width, channels] = common_shape(a, b)?;
    let (a_contiguous, b_contiguous) = (a.as_standard_layout(), b.as_standard_layout());
    let (a_view, b_view) = (a_contiguous.view(), b_contiguous.view());
    // One sum a row, added in order: the same bits for any number of threads.
    let sums: Vec<f64> =
        rows(&a_view).into_par_iter().zip(rows(&b_view)).map(|(a, b)| squared_differences(a, b)).collect();
    let mse = sums.iter().sum::<f64>() / (height as f64 * width as f64 * channels as f64);
    match mse.is_finite() {
        // In two logarithms, because the square of a large range may not be finite.
        true => Ok(20.0 * data_range.log10() - 10.0 * mse.log10()),
        false => Err(explain(a, b)),
    }
}

fn squared_differences<A: Sample>(a: &[A], b: &[A]) -> f64 {
    let square = |(&a, &b): (&A, &A)| {
        let difference: f64 = a.into() - b.into();
        difference * difference
    };
    a.iter().zip(b).map(square).sum()
}
