//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Shape, Tensor};

use super::{Upsampling, cuda};
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "upsample2x";

pub(super) fn forward(mode: Upsampling, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let planes = Planes::from(layout.shape().dims4()?);
    on_storages(OP, [(x, layout)], |gpu, [input]| {
        // SAFETY: the entry point has checked x, whose planes these are.
        let out = unsafe { cuda::forward(gpu, x.dtype(), planes, mode, &input.argument()) }?;
        let shape = (planes.batch, planes.channels, 2 * planes.height, 2 * planes.width);
        Ok((out.into_storage()?, shape.into()))
    })
}

pub(super) fn backward(mode: Upsampling, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let planes = Planes::from(x.dims4()?);
    on_tensors(OP, [grad], |gpu, [grad]| {
        // SAFETY: the gradient has the result's shape, four times the planes.
        tensor(unsafe { cuda::backward(gpu, x.dtype(), planes, mode, &grad.argument()) }?, x.shape())
    })
}

#[cfg(test)]
mod tests;
