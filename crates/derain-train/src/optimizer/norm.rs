use candle_core::Tensor;
use derain_ops::update::sums_of_squares;

use crate::Result;

/// The Euclidean norm of all elements of all tensors together, in f64. NaN and infinity pass through.
///
/// # Errors
/// When a tensor is not f32.
pub fn global_norm(tensors: &[Tensor]) -> Result<f64> {
    // In order, whoever summed which tensor.
    Ok(sums_of_squares(tensors)?.iter().sum::<f64>().sqrt())
}
