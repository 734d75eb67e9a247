//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Tensor};

use super::{RlcnOptions, cuda};
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "rlcn";

pub(super) fn forward(options: &RlcnOptions, x: &CudaStorage, layout: &Layout) -> Result<CudaStorage> {
    let planes = Planes::from(layout.shape().dims4()?);
    on_storages(OP, [(x, layout)], |gpu, [input]| {
        // SAFETY: the entry point has checked x, whose planes these are.
        unsafe { cuda::forward(gpu, x.dtype(), planes, options, &input.argument()) }?.into_storage()
    })
}

pub(super) fn backward(options: &RlcnOptions, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let planes = Planes::from(x.dims4()?);
    on_tensors(OP, [x, grad], |gpu, [input, grad]| {
        // SAFETY: the entry point has checked x, whose planes these are; the gradient has its shape.
        let gradient = unsafe { cuda::backward(gpu, x.dtype(), planes, options, &input.argument(), &grad.argument()) }?;
        tensor(gradient, x.shape())
    })
}

#[cfg(test)]
mod tests;
