//! Batch norms on GPUs: there the statistics stay, and operations hold them as a tensor.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, DType, Layout, Shape, Storage, Tensor};

use super::cuda::{self, Normalization};
use super::op::Gradients;
use crate::cuda::Arg;
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Activation, Planes, Result};

/// The moments of every channel of a contiguous tensor: see [`cuda::Moments`].
pub(super) fn moments(x: &Tensor) -> Result<cuda::Moments<Tensor>> {
    let planes = Planes::from(x.dims4()?);
    on_tensors("batch_norm_moments", [x], |gpu, [input]| {
        // SAFETY: the entry point has checked x, whose planes these are.
        let cuda::Moments { biased, statistics } = unsafe { cuda::moments(gpu, x.dtype(), planes, &input.argument()) }?;
        let shape = (2, planes.channels);
        Ok(cuda::Moments { biased: tensor(biased, shape)?, statistics: tensor(statistics, shape)? })
    })
}

/// Running statistics likewise.
pub(super) fn stacked(mean: &Tensor, variance: &Tensor) -> Result<Tensor> {
    Ok(Tensor::stack(&[mean.to_dtype(DType::F64)?, variance.to_dtype(DType::F64)?], 0)?.detach())
}

/// Inputs x `[B, C, H, W]`, gain and offset, as those of `op.rs`.
pub(super) struct Normalize {
    /// `[2, C]`; with `B·C` of each, every plane is a channel of its own.
    pub(super) moments: Tensor,
    pub(super) epsilon: f64,
    /// After [`Source::Batch`] alone.
    pub(super) activation: Activation,
    pub(super) source: Source,
}

/// Where moments come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From x, whose gradient takes that into account.
    Batch,
    /// From elsewhere.
    Constants,
}

impl Normalize {
    fn planes(&self, shape: &Shape) -> candle_core::Result<Planes> {
        let ((batch, channels, height, width), own) = (shape.dims4()?, self.moments.dim(1)?);
        Ok(Planes { batch: batch * channels / own, channels: own, height, width })
    }

    fn normalization<'a, B>(
        &self,
        dtype: DType,
        planes: Planes,
        gamma: Arg<'a, B>,
        moments: Arg<'a, B>,
    ) -> Normalization<'a, B> {
        let &Self { epsilon, activation, .. } = self;
        Normalization { dtype, planes, gamma, moments, epsilon, activation }
    }

    fn backward(&self, [x, gamma, beta]: [&Tensor; 3], y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        let planes = self.planes(x.shape())?;
        let inputs = [x, gamma, &self.moments, y, grad];
        on_tensors(self.name(), inputs, |gpu, [x_input, gain, moments, y, grad]| {
            let normalization = self.normalization(x.dtype(), planes, gain.argument(), moments.argument());
            let (x_input, y, grad) = (x_input.argument(), y.argument(), grad.argument());
            // SAFETY: the entry point has checked all shapes and types against x; the gradient has its shape.
            let gradients = unsafe {
                match self.source {
                    Source::Batch => cuda::backward_through_statistics(gpu, &normalization, &x_input, &y, &grad)?,
                    Source::Constants => cuda::backward_with_constants(gpu, &normalization, &x_input, &grad)?,
                }
            };
            let of_x = tensor(gradients.x, x.shape())?;
            let of_gamma = tensor(gradients.gamma, gamma.shape())?;
            Ok((Some(of_x), Some(of_gamma), Some(tensor(gradients.beta, beta.shape())?)))
        })
    }
}

impl CustomOp3 for Normalize {
    fn name(&self) -> &'static str {
        match self.source {
            Source::Batch => "batch_norm_train",
            Source::Constants => "batch_norm_eval",
        }
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        candle_core::bail!("{}: `gamma` and `beta` are on the cpu, x is not", self.name())
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        gamma: &CudaStorage,
        gamma_layout: &Layout,
        beta: &CudaStorage,
        beta_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let planes = self.planes(x_layout.shape())?;
        let (storage, layout) = self.moments.storage_and_layout();
        let Storage::Cuda(moments) = &*storage else {
            candle_core::bail!("{}: the statistics are on the cpu, x is not", self.name());
        };
        let x_dtype = x.dtype();
        let inputs = [(x, x_layout), (gamma, gamma_layout), (beta, beta_layout), (moments, layout)];
        let done = on_storages(self.name(), inputs, |gpu, [x, gamma, beta, moments]| {
            let normalization = self.normalization(x_dtype, planes, gamma.argument(), moments.argument());
            // SAFETY: the entry point has checked all shapes and types against x.
            let y = unsafe { cuda::normalize(gpu, &normalization, &beta.argument(), &x.argument()) }?;
            Ok((y.into_storage()?, x_layout.shape().clone()))
        });
        Ok(done?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<Gradients> {
        Ok(self.backward([x, gamma, beta], y, grad)?)
    }
}

#[cfg(test)]
mod tests;
