//! What a step of training changes in place: parameters by Adam, averages of them. All f32, element by element.
//!
//! ```text
//! adam:      m = β1·m + (1 - β1)·s·g      v = β2·v + (1 - β2)·(s·g)²      w = kept·w - step·m / (root·sqrt(v) + ε)
//! approach:  a = a + share·(b - a)
//! ```
//!
//! On GPUs each tensor takes one launch, where tensor operations would take a dozen and as many allocations.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

use candle_core::{DType, Tensor};

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;

use crate::plane::{check_dtype, check_shape};
use crate::{Error, Result};

/// Numbers of a step of Adam.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// β1 and β2.
    pub betas: [f64; 2],
    /// s, by which gradients are multiplied first.
    pub scale: f64,
    /// rate / (1 - β1^t).
    pub step: f64,
    /// 1 / sqrt(1 - β2^t).
    pub root: f64,
    /// ε.
    pub epsilon: f64,
    /// 1 - rate·decay.
    pub kept: f64,
}

/// Changes a parameter and its two moments by its gradient.
///
/// # Errors
/// When they differ in shape, are not f32 or share memory.
pub fn adam(parameter: &Tensor, gradient: &Tensor, moments: [&Tensor; 2], step: &AdamStep) -> Result<()> {
    const OP: &str = "adam";
    let [first, second] = moments;
    check(OP, parameter, &[("gradient", gradient), ("first", first), ("second", second)])?;
    #[cfg(feature = "cuda")]
    if parameter.device().is_cuda() {
        return gpu::adam(parameter, &gradient.contiguous()?, moments, step);
    }
    cpu::adam(parameter, gradient, moments, step)
}

/// Moves each element of `average` by `share` of the way to that of `to`.
///
/// # Errors
/// When they differ in shape or are not f32.
pub fn approach(average: &Tensor, to: &Tensor, share: f64) -> Result<()> {
    const OP: &str = "approach";
    check(OP, average, &[("to", to)])?;
    #[cfg(feature = "cuda")]
    if average.device().is_cuda() {
        return gpu::approach(average, &to.contiguous()?, share);
    }
    cpu::approach(average, to, share)
}

/// The sum of the squares of each tensor's elements, in f64. NaN and infinity pass through. On a GPU it is waited for once.
///
/// # Errors
/// When a tensor is not f32.
pub fn sums_of_squares(tensors: &[Tensor]) -> Result<Vec<f64>> {
    const OP: &str = "sums_of_squares";
    for tensor in tensors {
        check(OP, tensor, &[])?;
    }
    #[cfg(feature = "cuda")]
    if tensors.first().is_some_and(|tensor| tensor.device().is_cuda()) {
        return gpu::sums_of_squares(tensors);
    }
    cpu::sums_of_squares(tensors)
}

fn check(op: &'static str, first: &Tensor, others: &[(&'static str, &Tensor)]) -> Result<()> {
    if first.dtype() != DType::F32 {
        return Err(Error::DType { op, argument: "the first", got: first.dtype() });
    }
    for &(argument, other) in others {
        check_shape(op, argument, other, first.dims(), "that of the first")?;
        check_dtype(op, argument, other, DType::F32)?;
    }
    Ok(())
}
