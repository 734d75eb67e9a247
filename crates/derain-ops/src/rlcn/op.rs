//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::gpu;
use super::{RlcnOptions, cpu};
use crate::buffer;
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes};

/// Input x `[B, C, H, W]`, result of the same shape.
pub(super) struct Rlcn(pub(super) RlcnOptions);

impl CustomOp1 for Rlcn {
    fn name(&self) -> &'static str {
        "rlcn"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match x.dtype() {
            DType::F64 => self.forward::<f64>(x, layout),
            _ => self.forward::<f32>(x, layout),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((gpu::forward(&self.0, x, layout)?, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _l: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(Some(gpu::backward(&self.0, x, grad)?));
        }
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, grad),
            _ => self.backward::<f32>(x, grad),
        }
    }
}

impl Rlcn {
    fn forward<E: Element>(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x: &[E] = elements(x, layout)?;
        let mut out = buffer::zeroed(x.len());
        cpu::forward(Isa::current(), layout.shape().dims4()?.into(), x, &self.0, &mut out);
        Ok((E::to_cpu_storage_owned(out), layout.shape().clone()))
    }

    fn backward<E: Element>(&self, x: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let planes = Planes::from(x.dims4()?);
        let gradient =
            with_elements([x, grad], |[x, grad]: [&[E]; 2]| cpu::backward(Isa::current(), planes, x, grad, &self.0))?;
        Tensor::from_vec(gradient, x.shape(), x.device()).map(Some)
    }
}
