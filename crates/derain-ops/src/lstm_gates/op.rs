//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

use super::cpu;
#[cfg(feature = "cuda")]
use super::gpu;
use super::sigmoid::Sigmoid;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes, buffer};

/// Inputs gates `[B, 4·C, H, W]` and cell `[B, C, H, W]`. An operation gives one tensor: h and c' are packed,
/// `[2, B, C, H, W]`.
pub(super) struct LstmGates;

pub(super) type Gradients = (Option<Tensor>, Option<Tensor>);

impl CustomOp2 for LstmGates {
    fn name(&self) -> &'static str {
        "lstm_gates"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        cell: &CpuStorage,
        cell_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match cell.dtype() {
            DType::F64 => forward::<f64>((gates, gates_layout), (cell, cell_layout)),
            _ => forward::<f32>((gates, gates_layout), (cell, cell_layout)),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gates: &CudaStorage,
        gates_layout: &Layout,
        cell: &CudaStorage,
        cell_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok(gpu::forward([(gates, gates_layout), (cell, cell_layout)])?)
    }

    fn bwd(&self, gates: &Tensor, cell: &Tensor, packed: &Tensor, grad: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if cell.device().is_cuda() {
            return Ok(gpu::backward(gates, cell, grad)?);
        }
        match cell.dtype() {
            DType::F64 => backward::<f64>(gates, cell, packed, grad),
            _ => backward::<f32>(gates, cell, packed, grad),
        }
    }
}

fn forward<E: Sigmoid>(gates: (&CpuStorage, &Layout), cell: (&CpuStorage, &Layout)) -> Result<(CpuStorage, Shape)> {
    let planes = Planes::from(cell.1.shape().dims4()?);
    let mut out = buffer::zeroed(2 * planes.len());
    cpu::forward::<E>(Isa::current(), planes, elements(gates.0, gates.1)?, elements(cell.0, cell.1)?, &mut out);
    let shape = (2, planes.batch, planes.channels, planes.height, planes.width);
    Ok((E::to_cpu_storage_owned(out), shape.into()))
}

fn backward<E: Sigmoid>(gates: &Tensor, cell: &Tensor, packed: &Tensor, grad: &Tensor) -> Result<Gradients> {
    let planes = Planes::from(cell.dims4()?);
    let gradients = with_elements([gates, cell, packed, grad], |[gates, cell, packed, grad]: [&[E]; 4]| {
        cpu::backward(Isa::current(), planes, gates, cell, packed, grad)
    })?;
    let tensor = |values: Vec<E>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
    Ok((tensor(gradients.gates, gates)?, tensor(gradients.cell, cell)?))
}
