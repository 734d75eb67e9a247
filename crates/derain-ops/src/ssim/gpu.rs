//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Shape, Tensor};

use super::SsimOptions;
use super::cuda::{self, Pictures};
use super::op::Gradients;
use crate::cuda::Arg;
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "ssim";

pub(super) fn forward(options: &SsimOptions, inputs: [(&CudaStorage, &Layout); 2]) -> Result<(CudaStorage, Shape)> {
    let [(x, layout), _] = inputs;
    let (dtype, planes) = (x.dtype(), Planes::from(layout.shape().dims4()?));
    on_storages(OP, inputs, |gpu, [x, y]| {
        let pictures = Pictures { dtype, planes, x: x.argument(), y: y.argument() };
        // SAFETY: the entry point has checked both pictures, which are alike.
        Ok((unsafe { cuda::forward(gpu, &pictures, options) }?.into_storage()?, ().into()))
    })
}

/// The gradients for both pictures from that of the mean; the forward pass runs once more.
pub(super) fn backward(options: &SsimOptions, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Gradients> {
    let (dtype, planes) = (x.dtype(), Planes::from(x.dims4()?));
    on_tensors(OP, [x, y, grad], |gpu, [x_input, y_input, grad]| {
        let pictures = Pictures { dtype, planes, x: x_input.argument(), y: y_input.argument() };
        // SAFETY: the entry point has checked both pictures, which are alike; the gradient is a scalar of their type.
        let [of_x, of_y] = unsafe {
            let forward = cuda::forward_for_gradients(gpu, &pictures, options)?;
            cuda::backward(gpu, &pictures, options, &Arg::Buffer(&forward.partials), &grad.argument())?
        };
        let wanted = |picture: &Tensor, of_it| picture.track_op().then(|| tensor(of_it, picture.shape())).transpose();
        Ok((wanted(x, of_x)?, wanted(y, of_y)?))
    })
}

#[cfg(test)]
mod tests;
