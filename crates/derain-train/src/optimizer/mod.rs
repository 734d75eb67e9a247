//! Adam with moments that can be saved, the gradient's norm, and a moving average of weights.
//!
//! Parameters, gradients and moments are lists of tensors in one order. Whatever is summed is summed in that order, in fixed pieces, so
//! results have the same bits for any number of threads.

mod adam;
mod average;
mod elementwise;
mod norm;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamConfig};
pub use average::MovingAverage;
pub use norm::global_norm;
