//! Glue between candle's tensors and the slice kernels.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

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

    fn bwd(&self, x: &Tensor, _l: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
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
