//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use super::cpu;
#[cfg(feature = "cuda")]
use super::gpu;
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes, buffer};

/// Input x `[B, C, H, W]`, result `[B, C, H/2, W/2]`.
pub(super) struct MaxPool2d;

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match x.dtype() {
            DType::F64 => forward::<f64>(x, layout),
            _ => forward::<f32>(x, layout),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok(gpu::forward(x, layout)?)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(Some(gpu::backward(x, grad)?));
        }
        match x.dtype() {
            DType::F64 => backward::<f64>(x, grad),
            _ => backward::<f32>(x, grad),
        }
    }
}

fn forward<E: Element>(x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let planes = Planes::from(layout.shape().dims4()?);
    let mut out = buffer::zeroed(planes.len() / 4);
    cpu::forward::<E>(Isa::current(), planes, elements(x, layout)?, &mut out);
    let shape = (planes.batch, planes.channels, planes.height / 2, planes.width / 2);
    Ok((E::to_cpu_storage_owned(out), shape.into()))
}

fn backward<E: Element>(x: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
    let planes = Planes::from(x.dims4()?);
    let gradient = with_elements([x, grad], |[x, grad]: [&[E]; 2]| cpu::backward(Isa::current(), planes, x, grad))?;
    Tensor::from_vec(gradient, x.shape(), x.device()).map(Some)
}
