//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::gpu;
use super::{Upsampling, cpu};
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes, buffer};

/// Input x `[B, C, H, W]`, result `[B, C, 2·H, 2·W]`.
pub(super) struct Upsample2x(pub(super) Upsampling);

impl CustomOp1 for Upsample2x {
    fn name(&self) -> &'static str {
        "upsample2x"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match x.dtype() {
            DType::F64 => self.forward::<f64>(x, layout),
            _ => self.forward::<f32>(x, layout),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok(gpu::forward(self.0, x, layout)?)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(Some(gpu::backward(self.0, x, grad)?));
        }
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, grad),
            _ => self.backward::<f32>(x, grad),
        }
    }
}

impl Upsample2x {
    fn forward<E: Element>(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::from(layout.shape().dims4()?);
        let mut out = buffer::zeroed(4 * planes.len());
        cpu::forward::<E>(Isa::current(), planes, self.0, elements(x, layout)?, &mut out);
        let shape = (planes.batch, planes.channels, 2 * planes.height, 2 * planes.width);
        Ok((E::to_cpu_storage_owned(out), shape.into()))
    }

    fn backward<E: Element>(&self, x: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let planes = Planes::from(x.dims4()?);
        let gradient = with_elements([grad], |[grad]: [&[E]; 1]| cpu::backward(Isa::current(), planes, self.0, grad))?;
        Tensor::from_vec(gradient, x.shape(), x.device()).map(Some)
    }
}
