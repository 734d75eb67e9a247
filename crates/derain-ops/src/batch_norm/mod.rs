//! Batch normalization (Ioffe and Szegedy, ICML 2015) and instance normalization.
//!
//! Per channel, with gain γ and offset β:
//!
//! ```text
//! x̂ = (x - μ) / s        s = sqrt(σ² + ε)        y = activation(γ · x̂ + β)
//! ```
//!
//! | function | μ and σ² |
//! | --- | --- |
//! | [`batch_norm_train`] | of the N = B·H·W elements of the channel, σ² = Σ (x - μ)² / N |
//! | [`batch_norm_eval`] | running statistics, which are constants |
//! | [`instance_norm()`] | of the N = H·W elements of each channel of each picture; γ = 1, β = 0 |
//!
//! The caller keeps running statistics, by PyTorch's rule, with the mean and the unbiased variance Σ (x - μ)² / (N - 1)
//! that [`batch_norm_train`] returns:
//!
//! ```text
//! running = (1 - momentum) · running + momentum · batch
//! ```
//!
//! Gradients, with the incoming gradient g, which a ReLU lets through where y > 0:
//!
//! ```text
//! dβ = Σ g        dγ = Σ g · x̂
//! dx = γ / s · (g - dβ / N - x̂ · dγ / N)        through the batch's statistics
//! dx = γ / s · g                                with running statistics
//! ```
//!
//! Each piece of a plane is summed in f64, first for its mean, then for the squared deviations from that; pieces depend
//! on the shape alone and are combined in index order. A channel of one value has variance exactly 0 and becomes
//! exactly β. By its own statistics, NaN or an infinity makes a whole channel NaN. A running variance below -ε gives
//! NaN.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use derain_ops::{Activation, BatchNormOutput, batch_norm_train};
//! let x = Tensor::new(&[[[[1f32, 3.]]], [[[5., 7.]]]], &Device::Cpu)?;      // two pictures of one channel
//! let (gamma, beta) = (Tensor::new(&[1f32], &Device::Cpu)?, Tensor::new(&[10f32], &Device::Cpu)?);
//! let BatchNormOutput { y, mean, variance } = batch_norm_train(&x, &gamma, &beta, 4.0, Activation::None)?;
//! assert_eq!(mean.to_vec1::<f32>()?, [4.]);
//! assert_eq!(variance.to_vec1::<f32>()?, [20. / 3.]);                       // (9 + 1 + 1 + 9) / 3
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [9., 10. - 1. / 3., 10. + 1. / 3., 11.]);   // s = sqrt(5 + 4)
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
mod op;
#[doc(hidden)]
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

use candle_core::{DType, Tensor};

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;

use crate::plane::{check_dtype, check_shape};
use crate::{Activation, Error, Planes, Result};

/// What [`batch_norm_train`] gives.
#[derive(Clone, Debug)]
pub struct BatchNormOutput {
    /// The normalized batch, of the shape of x, with gradients.
    pub y: Tensor,
    /// The batch's mean, `[C]`, without gradient; f32 beside halves.
    pub mean: Tensor,
    /// The batch's unbiased variance, `[C]`, without gradient; f32 beside halves.
    pub variance: Tensor,
}

/// A channel's statistics, as every element of it is normalized: (x - μ) / s.
#[derive(Clone, Copy, Debug)]
struct Statistics {
    /// μ.
    mean: f64,
    /// 1 / s = 1 / sqrt(σ² + ε).
    inverse: f64,
}

/// Normalizes `x` with the batch's own statistics, the activation in the same pass, with gradients for `x`, `gamma` and
/// `beta`.
///
/// `x` is `[B, C, H, W]`, `gamma` and `beta` are `[C]`; f32 or f64 (on GPUs also f16 and bf16), the same for all,
/// strided or not. PyTorch's usual `epsilon` is 1e-5.
///
/// # Errors
/// When a shape or a type does not fit, a dimension of `x` is 0, `epsilon` is not above 0 and finite, or a channel has
/// but one element: its variance says nothing, and every picture would become `beta`.
pub fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    const OP: &str = "batch_norm_train";
    let planes = check(OP, x, &[("gamma", gamma), ("beta", beta)], epsilon)?;
    let count = planes.batch * planes.pixels();
    if count == 1 {
        let expected = "[B, C, H, W] with more than one element per channel (B·H·W > 1) to train on".into();
        return Err(Error::Shape { op: OP, argument: "x", expected, got: x.shape().clone() });
    }
    let x = x.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let cuda::Moments { biased, statistics } = gpu::moments(&x)?;
        let op = gpu::Normalize { moments: biased, epsilon, activation, source: gpu::Source::Batch };
        let y = x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
        return Ok(BatchNormOutput { y, mean: statistics.get(0)?, variance: statistics.get(1)? });
    }
    let unbiased = count as f64 / (count - 1) as f64;
    let (means, variances) = moments(&x)?;
    let as_tensor = |values: Vec<f64>| Tensor::new(values, x.device())?.to_dtype(x.dtype());
    let mean = as_tensor(means.clone())?;
    let variance = as_tensor(variances.iter().map(|variance| variance * unbiased).collect())?;
    let statistics = statistics(means, variances, epsilon);
    let op = op::NormalizeByBatch { statistics, activation };
    let y = x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    Ok(BatchNormOutput { y, mean, variance })
}

/// Normalizes `x` with running statistics, with gradients for `x`, `gamma` and `beta`.
///
/// `x` is `[B, C, H, W]`, the others are `[C]`; f32 or f64 (on GPUs also f16 and bf16), the same for all, strided or
/// not. Beside halves, which GPUs take, running statistics are f32. No gradient reaches them.
///
/// # Errors
/// When a shape or a type does not fit, a dimension of `x` is 0, or `epsilon` is not above 0 and finite.
pub fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running_mean: &Tensor,
    running_variance: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    let channels = check(OP, x, &[("gamma", gamma), ("beta", beta)], epsilon)?.channels;
    for (argument, statistics) in [("running_mean", running_mean), ("running_variance", running_variance)] {
        check_shape(OP, argument, statistics, &[channels], "[C]")?;
        check_dtype(OP, argument, statistics, of_statistics(x))?;
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let moments = gpu::stacked(running_mean, running_variance)?;
        let op = gpu::Normalize { moments, epsilon, activation: Activation::None, source: gpu::Source::Constants };
        return Ok(x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?);
    }
    let [means, variances] = [running_mean, running_variance].map(|values| values.to_dtype(DType::F64)?.to_vec1());
    let statistics = statistics(means?, variances?, epsilon);
    Ok(x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op::NormalizeByConstants(statistics))?)
}

/// Normalizes each channel of each picture of `x` with its own statistics, the activation in the same pass, with the
/// gradient for `x`. There is neither gain nor offset, and nothing that training would have to keep.
///
/// `x` is `[B, C, H, W]`, f32 or f64 (on GPUs also f16 and bf16), strided or not. PyTorch's usual `epsilon` is 1e-5.
///
/// # Errors
/// When `x` has another shape or type, a dimension of 0 or pictures of one pixel, or `epsilon` is not above 0 and
/// finite.
pub fn instance_norm(x: &Tensor, epsilon: f64, activation: Activation) -> Result<Tensor> {
    const OP: &str = "instance_norm";
    let Planes { batch, channels, height, width } = check(OP, x, &[], epsilon)?;
    if height * width == 1 {
        let expected = "[B, C, H, W] with more than one pixel per picture (H·W > 1)".into();
        return Err(Error::Shape { op: OP, argument: "x", expected, got: x.shape().clone() });
    }
    // A channel for each channel of each picture: statistics, gain and offset alike.
    let x = x.contiguous()?;
    let planes = x.reshape((1, batch * channels, height, width))?;
    let gamma = Tensor::ones(batch * channels, x.dtype(), x.device())?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let op =
            gpu::Normalize { moments: gpu::moments(&planes)?.biased, epsilon, activation, source: gpu::Source::Batch };
        return Ok(x.apply_op3(&gamma, &gamma.zeros_like()?, op)?);
    }
    let (means, variances) = moments(&planes)?;
    let statistics = statistics(means, variances, epsilon);
    Ok(x.apply_op3(&gamma, &gamma.zeros_like()?, op::NormalizeByBatch { statistics, activation })?)
}

/// The type of a tensor's statistics: halves do not hold the squares of halves.
fn of_statistics(x: &Tensor) -> DType {
    if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The mean and the biased variance of every channel of a contiguous tensor.
fn moments(x: &Tensor) -> Result<(Vec<f64>, Vec<f64>)> {
    // Constants here: the gradient through the statistics is part of the normalization's.
    let moments = x.apply_op1_no_bwd(&op::Moments)?;
    Ok((moments.get(0)?.to_vec1()?, moments.get(1)?.to_vec1()?))
}

fn statistics(means: Vec<f64>, variances: Vec<f64>, epsilon: f64) -> Vec<Statistics> {
    let of = |(mean, variance): (f64, f64)| Statistics { mean, inverse: 1.0 / (variance + epsilon).sqrt() };
    means.into_iter().zip(variances).map(of).collect()
}

fn check(op: &'static str, x: &Tensor, channels: &[(&'static str, &Tensor)], epsilon: f64) -> Result<Planes> {
    let planes = crate::plane::of_tensor(op, x)?;
    for &(argument, tensor) in channels {
        check_shape(op, argument, tensor, &[planes.channels], "[C]")?;
        check_dtype(op, argument, tensor, x.dtype())?;
    }
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(planes);
    }
    Err(Error::Option { op, option: "epsilon", expected: "above 0 and finite", got: epsilon.to_string() })
}
