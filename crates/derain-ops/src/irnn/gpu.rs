//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, DType, Layout, Shape, Tensor};

use super::cuda::{self, Inputs};
use super::op::Gradients;
use crate::cuda::Arg;
use crate::cuda::gpu::{Input, Memory, on_storages, on_tensors, tensor};
use crate::{Planes, Result};

/// Candle's form of an input.
type Stored<'a> = (&'a CudaStorage, &'a Layout);

/// The scans of x with weights and biases.
pub(super) fn forward(inputs: [Stored<'_>; 3]) -> Result<(CudaStorage, Shape)> {
    let [(x, layout), ..] = inputs;
    let (dtype, planes) = (x.dtype(), Planes::from(layout.shape().dims4()?));
    on_storages("irnn", inputs, |gpu, [x, weights, biases]| {
        let (weights, biases) = (weights.argument(), biases.argument());
        let inputs = Inputs { dtype, planes, weights, biases, maps: Arg::Null };
        // SAFETY: the entry point has checked all shapes and types against x, whose planes these are.
        let out = unsafe { cuda::forward(gpu, &inputs, &x.argument())? };
        Ok((out.into_storage()?, results(planes)))
    })
}

/// The scans of x with weights stacked on biases, times the maps.
pub(super) fn forward_directional(inputs: [Stored<'_>; 3]) -> Result<(CudaStorage, Shape)> {
    let [(x, layout), ..] = inputs;
    let (dtype, planes) = (x.dtype(), Planes::from(layout.shape().dims4()?));
    on_storages("irnn_directional", inputs, |gpu, [x, coefficients, maps]| {
        let inputs = stacked(dtype, planes, &coefficients, maps.argument());
        // SAFETY: the entry point has checked all shapes and types against x, whose planes these are.
        let out = unsafe { cuda::forward(gpu, &inputs, &x.argument())? };
        Ok((out.into_storage()?, results(planes)))
    })
}

/// The gradients for x, weights and biases from the scans h.
pub(super) fn backward([x, weights, biases, h, grad]: [&Tensor; 5]) -> Result<Gradients> {
    let (dtype, planes) = (x.dtype(), Planes::from(x.dims4()?));
    on_tensors("irnn", [weights, biases, h, grad], |gpu, [w, b, h, grad]| {
        let inputs = Inputs { dtype, planes, weights: w.argument(), biases: b.argument(), maps: Arg::Null };
        // SAFETY: the entry point has checked all shapes and types against x; h and its gradient have the scans' shape.
        let gradients = unsafe { cuda::backward(gpu, &inputs, &h.argument(), &grad.argument())? };
        let coefficients = tensor(gradients.coefficients, (2, 4, planes.channels))?;
        let [of_weights, of_biases] = [coefficients.get(0)?, coefficients.get(1)?];
        Ok((Some(tensor(gradients.x, x.shape())?), Some(of_weights), Some(of_biases)))
    })
}

/// The gradients for x, coefficients and maps; the scans run once more.
pub(super) fn backward_directional([x, coefficients, maps, grad]: [&Tensor; 4]) -> Result<Gradients> {
    let (dtype, planes) = (x.dtype(), Planes::from(x.dims4()?));
    on_tensors("irnn_directional", [x, coefficients, maps, grad], |gpu, [values, stack, weights, grad]| {
        // SAFETY: the entry point has checked all shapes and types against x; the gradient has the scans' shape.
        let (gradients, of_maps) = unsafe {
            let h = cuda::forward(gpu, &stacked(dtype, planes, &stack, Arg::Null), &values.argument())?;
            let inputs = stacked(dtype, planes, &stack, weights.argument());
            let (h, grad) = (Arg::Buffer(&h), grad.argument());
            (cuda::backward(gpu, &inputs, &h, &grad)?, cuda::map_gradients(gpu, dtype, planes, &h, &grad)?)
        };
        let of_coefficients = tensor(gradients.coefficients, coefficients.shape())?;
        Ok((Some(tensor(gradients.x, x.shape())?), Some(of_coefficients), Some(tensor(of_maps, maps.shape())?)))
    })
}

fn results(planes: Planes) -> Shape {
    (planes.batch, 4 * planes.channels, planes.height, planes.width).into()
}

/// Weights stacked on biases, `[2, 4, C]`.
fn stacked<'a, 'b>(
    dtype: DType,
    planes: Planes,
    coefficients: &'b Input<'a>,
    maps: Arg<'b, Memory<'a>>,
) -> Inputs<'b, Memory<'a>> {
    let (weights, biases) = (coefficients.argument(), coefficients.argument_at(4 * planes.channels));
    Inputs { dtype, planes, weights, biases, maps }
}

#[cfg(test)]
mod tests;
