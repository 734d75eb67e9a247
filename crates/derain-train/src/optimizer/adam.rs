//! Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015), with weight decay decoupled from the
//! gradient (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019):
//!
//! ```text
//! m = β1·m + (1 - β1)·g          v = β2·v + (1 - β2)·g²
//! w = w - rate·decay·w - rate · (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)
//! ```

use candle_core::{Tensor, Var};
use derain_ops::update::{AdamStep, AdamTensors, adam};
use serde::{Deserialize, Serialize};

use super::same_shapes;
use crate::{Error, Result};

/// Adam's constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the two moments, from 0 to below 1. Default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, above 0. Default 1e-8.
    pub epsilon: f64,
    /// Share of the learning rate by which each weight shrinks in a step, 0 or more. Default 0.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    /// The paper's constants, no decay.
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamConfig {
    pub(crate) fn check(&self) -> Result<()> {
        for beta in self.betas {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::config("adam.betas", beta, "at least 0 and below 1"));
            }
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::config("adam.epsilon", self.epsilon, "above 0"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::config("adam.weight_decay", self.weight_decay, "0 or more"));
        }
        Ok(())
    }
}

/// The optimizer with its moments, which a checkpoint saves: candle's own cannot be restored.
///
/// Moments belong to parameters by their place alone, so parameters, gradients and moments must have one order, after a
/// restart the same as before. [`VarMap::all_vars`](candle_nn::VarMap::all_vars) has no fixed order: sort a map's
/// variables by name, or restored moments get to the wrong parameters, without a word where their shapes are equal.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
}

impl Adam {
    /// An optimizer that has seen no gradient of these f32 variables.
    ///
    /// # Errors
    /// When a constant makes no sense.
    pub fn new(config: &AdamConfig, parameters: &[Var]) -> Result<Self> {
        config.check()?;
        let zeros = || parameters.iter().map(|parameter| Ok(parameter.zeros_like()?)).collect::<Result<_>>();
        Ok(Self { config: config.clone(), first: zeros()?, second: zeros()? })
    }

    /// The first and the second moments, in the order of the parameters. They share memory with the optimizer.
    pub fn moments(&self) -> [&[Tensor]; 2] {
        [&self.first, &self.second]
    }

    /// Goes on with moments that were saved, in the order of the parameters.
    ///
    /// # Errors
    /// [`Error::Count`] or [`Error::Shapes`] if they are not as many as the parameters and of their shapes; nothing is changed then.
    pub fn restore(&mut self, first: Vec<Tensor>, second: Vec<Tensor>) -> Result<()> {
        for saved in [&first, &second] {
            same_shapes("restore", &self.first, saved)?;
        }
        (self.first, self.second) = (first, second);
        Ok(())
    }

    /// Step `t`, counted from 1, with a learning rate and gradients that are first multiplied by `scale`. Parameters
    /// change in place.
    ///
    /// # Errors
    /// [`Error::Count`] or [`Error::Shapes`] when parameters or gradients are not as many as the optimizer was made for, and of the same shapes in
    /// the same order; [`Error::Config`] for step 0. Nothing is changed in these cases.
    pub fn step(&mut self, parameters: &[Var], gradients: &[Tensor], t: u64, rate: f64, scale: f64) -> Result<()> {
        if t == 0 {
            return Err(Error::config("step", t, "counted from 1"));
        }
        same_shapes("step", &self.first, parameters.iter().map(Var::as_tensor))?;
        same_shapes("step", &self.first, gradients)?;
        let [beta1, beta2] = self.config.betas;
        let power = t.min(i32::MAX as u64) as i32;
        let step = AdamStep {
            betas: self.config.betas,
            scale,
            step: rate / (1.0 - beta1.powi(power)),
            root: 1.0 / (1.0 - beta2.powi(power)).sqrt(),
            epsilon: self.config.epsilon,
            kept: 1.0 - rate * self.config.weight_decay,
        };
        let moments = self.first.iter().zip(&self.second);
        let tensors = parameters.iter().zip(gradients).zip(moments).map(|((parameter, gradient), (first, second))| {
            AdamTensors { parameter: parameter.as_tensor(), gradient, first, second }
        });
        Ok(adam(&tensors.collect::<Vec<_>>(), &step)?)
    }
}
