//! Adam with moments that can be saved, the gradient's norm, and a moving average of weights.
//!
//! Parameters, gradients and moments are lists of tensors in one order. Whatever is summed is summed in that order, in
//! fixed pieces, so results have the same bits for any number of threads.

mod adam;
mod average;
mod norm;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamConfig};
pub use average::MovingAverage;
use candle_core::Tensor;
pub use norm::global_norm;

use crate::Error;

/// Whether tensors are as many as an optimizer's own, and each of the same shape: an update that fails after others
/// would leave half a step.
///
/// # Errors
/// [`Error::Count`], [`Error::Shapes`] of the first that differ.
fn same_shapes<'a>(
    op: &'static str,
    own: &[Tensor],
    others: impl IntoIterator<Item = &'a Tensor, IntoIter: ExactSizeIterator>,
) -> crate::Result<()> {
    let others = others.into_iter();
    if others.len() != own.len() {
        return Err(Error::Count { op, expected: own.len(), got: others.len() });
    }
    match own.iter().zip(others).find(|(own, other)| own.shape() != other.shape()) {
        Some((own, other)) => Err(Error::Shapes { op, left: own.shape().clone(), right: other.shape().clone() }),
        None => Ok(()),
    }
}
