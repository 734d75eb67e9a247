//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::gpu;
use super::{SsimOptions, cpu};
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes};

/// Inputs x and y `[B, C, H, W]`, result a scalar.
pub(super) struct Ssim(pub(super) SsimOptions);

pub(super) type Gradients = (Option<Tensor>, Option<Tensor>);

impl CustomOp2 for Ssim {
    fn name(&self) -> &'static str {
        "ssim"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match x.dtype() {
            DType::F64 => self.forward::<f64>((x, x_layout), (y, y_layout)),
            _ => self.forward::<f32>((x, x_layout), (y, y_layout)),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok(gpu::forward(&self.0, [(x, x_layout), (y, y_layout)])?)
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, _ssim: &Tensor, grad: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(gpu::backward(&self.0, x, y, grad)?);
        }
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, y, grad),
            _ => self.backward::<f32>(x, y, grad),
        }
    }
}

impl Ssim {
    fn forward<E: Element>(&self, x: (&CpuStorage, &Layout), y: (&CpuStorage, &Layout)) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::from(x.1.shape().dims4()?);
        let ssim = cpu::forward::<E>(Isa::current(), planes, elements(x.0, x.1)?, elements(y.0, y.1)?, &self.0);
        Ok((E::to_cpu_storage_owned(vec![E::from_f64(ssim)]), ().into()))
    }

    fn backward<E: Element>(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        let planes = Planes::from(x.dims4()?);
        let gradients = with_elements([x, y, grad], |[x, y, grad]: [&[E]; 3]| {
            cpu::backward(Isa::current(), planes, x, y, grad[0].to_f64(), &self.0)
        })?;
        let [d_x, d_y] = gradients;
        // The truth is a constant: candle would keep its gradient, and add it to zeros first.
        let tensor = |values: Vec<E>, of: &Tensor| {
            of.track_op().then(|| Tensor::from_vec(values, of.shape(), of.device())).transpose()
        };
        Ok((tensor(d_x, x)?, tensor(d_y, y)?))
    }
}
