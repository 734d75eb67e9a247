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

use crate::plane::check_device;
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

/// A parameter, its gradient and what Adam keeps of it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "named as in the module's formulas: w, g, m and v")]
pub struct AdamTensors<'a> {
    pub parameter: &'a Tensor,
    pub gradient: &'a Tensor,
    pub first: &'a Tensor,
    pub second: &'a Tensor,
}

/// Changes parameters and their moments by their gradients. Every tensor is checked before the first one changes.
///
/// # Errors
/// When those of one parameter differ in shape or device, are not f32 or share memory.
pub fn adam(tensors: &[AdamTensors<'_>], step: &AdamStep) -> Result<()> {
    const OP: &str = "adam";
    for &AdamTensors { parameter, gradient, first, second } in tensors {
        let others = [("gradient", gradient), ("first moment", first), ("second moment", second)];
        check(OP, ("parameter", parameter), &others, &[parameter, first, second])?;
    }
    for tensors in tensors {
        #[cfg(feature = "cuda")]
        if tensors.parameter.device().is_cuda() {
            gpu::adam(tensors, step)?;
            continue;
        }
        cpu::adam(tensors, step)?;
    }
    Ok(())
}

/// Moves each element of `average` by `share` of the way to that of `to`.
///
/// # Errors
/// When they differ in shape or device, are not f32 or share memory.
pub fn approach(average: &Tensor, to: &Tensor, share: f64) -> Result<()> {
    const OP: &str = "approach";
    check(OP, ("average", average), &[("to", to)], &[average])?;
    #[cfg(feature = "cuda")]
    if average.device().is_cuda() {
        return gpu::approach(average, &to.contiguous()?, share);
    }
    cpu::approach(average, to, share)
}

/// The sum of the squares of each tensor's elements, in f64. NaN and infinity pass through. A GPU is waited for once.
///
/// # Errors
/// When a tensor is not f32, or one is on another device than the first.
pub fn sums_of_squares(tensors: &[Tensor]) -> Result<Vec<f64>> {
    const OP: &str = "sums_of_squares";
    let Some(first) = tensors.first() else { return Ok(vec![]) };
    for tensor in tensors {
        check_dtype_and_device(OP, "tensors", tensor, first)?;
    }
    #[cfg(feature = "cuda")]
    if first.device().is_cuda() {
        return gpu::sums_of_squares(tensors);
    }
    cpu::sums_of_squares(tensors)
}

/// Whether the others fit the first, none of them shares memory with another, and those that change are contiguous.
fn check(
    op: &'static str,
    (name, first): (&'static str, &Tensor),
    others: &[(&'static str, &Tensor)],
    changed: &[&Tensor],
) -> Result<()> {
    check_dtype_and_device(op, name, first, first)?;
    for &(argument, other) in others {
        check_dtype_and_device(op, argument, other, first)?;
        if other.shape() != first.shape() {
            let expected = format!("{:?}, that of the {name}", first.dims());
            return Err(Error::Shape { op, argument, expected, got: other.shape().clone() });
        }
    }
    if let Some(tensor) = changed.iter().find(|tensor| !tensor.is_contiguous()) {
        let layout = tensor.layout();
        return Err(candle_core::Error::msg(format!("{op}: what changes must be contiguous, got {layout:?}")).into());
    }
    // Each is locked while it changes: one memory for two would be garbage, or waited for without end.
    let mut places: Vec<usize> = others.iter().map(|(_, other)| place(other)).chain([place(first)]).collect();
    places.sort_unstable();
    if places.windows(2).any(|two| two[0] == two[1]) {
        return Err(candle_core::Error::msg(format!("{op}: its tensors must not share memory; copy one")).into());
    }
    Ok(())
}

fn check_dtype_and_device(op: &'static str, argument: &'static str, tensor: &Tensor, first: &Tensor) -> Result<()> {
    check_device(op, tensor)?;
    if tensor.dtype() != DType::F32 {
        let message = format!("{op}: `{argument}` is {:?}; training changes f32 alone", tensor.dtype());
        return Err(candle_core::Error::msg(message).into());
    }
    if tensor.device().location() != first.device().location() {
        let (one, other) = (tensor.device().location(), first.device().location());
        return Err(candle_core::Error::msg(format!("{op}: `{argument}` is on {one:?}, another on {other:?}")).into());
    }
    Ok(())
}

/// Where a tensor's storage lies.
fn place(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}
