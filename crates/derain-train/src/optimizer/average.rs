use candle_core::Tensor;
use derain_ops::update::approach;

use super::same_shapes;
use crate::{Error, Result};

/// A moving average of weights: `a = d·a + (1 - d)·w` after each step.
///
/// At step t, d is at most (1 + t) / (10 + t): early on the average forgets the initial weights soon.
#[derive(Debug)]
pub struct MovingAverage {
    decay: f64,
    tensors: Vec<Tensor>,
}

impl MovingAverage {
    /// Starts at the given f32 tensors, of which it makes copies. `decay` is d, at least 0 and below 1.
    ///
    /// # Errors
    /// [`Error::Config`] for another decay; when a tensor cannot be copied.
    pub fn new(decay: f64, start: &[Tensor]) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::config("ema", decay, "at least 0 and below 1"));
        }
        let tensors = start.iter().map(|tensor| Ok(tensor.detach().force_contiguous()?)).collect::<Result<_>>()?;
        Ok(Self { decay, tensors })
    }

    /// The average, in the order of the tensors. It shares memory with this, so later updates are seen.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Takes the weights after step `t`, counted from 1, in.
    ///
    /// # Errors
    /// [`Error::Count`] or [`Error::Shapes`] if they are not as many and of the same shapes; nothing
    /// is changed then.
    pub fn update(&mut self, weights: &[Tensor], t: u64) -> Result<()> {
        same_shapes("update", &self.tensors, weights)?;
        let share = 1.0 - self.decay.min((1.0 + t as f64) / (10.0 + t as f64));
        for (average, weight) in self.tensors.iter().zip(weights) {
            approach(average, weight, share)?;
        }
        Ok(())
    }
}
