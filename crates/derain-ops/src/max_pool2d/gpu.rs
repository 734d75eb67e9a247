//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Shape, Tensor};

use super::cuda;
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "max_pool2d";

pub(super) fn forward(x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let planes = Planes::from(layout.shape().dims4()?);
    on_storages(OP, [(x, layout)], |gpu, [input]| {
        // SAFETY: the entry point has checked x, whose planes these are, for even sides.
        let out = unsafe { cuda::forward(gpu, x.dtype(), planes, &input.argument()) }?;
        let shape = (planes.batch, planes.channels, planes.height / 2, planes.width / 2);
        Ok((out.into_storage()?, shape.into()))
    })
}

pub(super) fn backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let planes = Planes::from(x.dims4()?);
    on_tensors(OP, [x, grad], |gpu, [input, grad]| {
        // SAFETY: as in `forward`; the gradient has the result's shape.
        tensor(unsafe { cuda::backward(gpu, x.dtype(), planes, &input.argument(), &grad.argument()) }?, x.shape())
    })
}

#[cfg(test)]
mod tests;
