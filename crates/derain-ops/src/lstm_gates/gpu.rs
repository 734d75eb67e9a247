//! Glue between candle's tensors and the launches of `cuda.rs`.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Shape, Tensor};

use super::cuda;
use super::op::Gradients;
use crate::cuda::gpu::{on_storages, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "lstm_gates";

/// h and c', packed, from gates and cell.
pub(super) fn forward(inputs: [(&CudaStorage, &Layout); 2]) -> Result<(CudaStorage, Shape)> {
    let [_, (cell, layout)] = inputs;
    let planes = Planes::from(layout.shape().dims4()?);
    on_storages(OP, inputs, |gpu, [gates, cell_input]| {
        // SAFETY: the entry point has checked both against the cell, whose planes these are.
        let out = unsafe { cuda::forward(gpu, cell.dtype(), planes, &gates.argument(), &cell_input.argument()) }?;
        let shape = (2, planes.batch, planes.channels, planes.height, planes.width);
        Ok((out.into_storage()?, shape.into()))
    })
}

/// The gradients for gates and cell from that of h and c', packed.
pub(super) fn backward(gates: &Tensor, cell: &Tensor, grad: &Tensor) -> Result<Gradients> {
    let planes = Planes::from(cell.dims4()?);
    on_tensors(OP, [gates, cell, grad], |gpu, [gates_input, cell_input, grad]| {
        let packed = [&grad.argument(), &grad.argument_at(planes.len())];
        // SAFETY: the entry point has checked both against the cell, whose planes these are; the gradient has the
        // packed result's shape.
        let gradients = unsafe {
            cuda::backward(gpu, cell.dtype(), planes, &gates_input.argument(), &cell_input.argument(), packed)
        }?;
        Ok((Some(tensor(gradients.gates, gates.shape())?), Some(tensor(gradients.cell, cell.shape())?)))
    })
}

#[cfg(test)]
mod tests;
