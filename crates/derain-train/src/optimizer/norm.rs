use candle_core::{DType, Tensor};
use derain_ops::storage::with_elements;
use rayon::prelude::*;

use crate::Result;

/// The Euclidean norm of all elements of all tensors together, in f64. NaN and infinity pass through.
///
/// # Errors
/// When a tensor is not f32.
pub fn global_norm(tensors: &[Tensor]) -> Result<f64> {
    let squares: Vec<f64> = match tensors.iter().all(|tensor| tensor.device().is_cpu()) {
        true => tensors.par_iter().map(squares).collect::<Result<_>>()?,
        // On the thread that computed them: on a GPU each may have a stream of its own, which waits for no other.
        false => tensors.iter().map(squares).collect::<Result<_>>()?,
    };
    // In order, whoever summed which tensor.
    Ok(squares.iter().sum::<f64>().sqrt())
}

fn squares(tensor: &Tensor) -> Result<f64> {
    if !tensor.device().is_cpu() {
        return Ok(f64::from(tensor.sqr()?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?));
    }
    let sum = |[elements]: [&[f32]; 1]| elements.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    Ok(with_elements([tensor], sum)?)
}
