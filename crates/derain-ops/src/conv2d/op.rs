//! Glue between candle's tensors and the slice kernel.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape};

use super::Conv2dOptions;
use super::cpu::{self, Weights};
use crate::element::Element;
use crate::storage::elements;
use crate::{Isa, Planes, buffer};

/// Inputs x `[B, C, H, W]`, weight `[O, C, K, K]` and perhaps bias `[O]`; the result is `[B, O, H, W]`.
pub(super) struct Conv2d(pub(super) Conv2dOptions);

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (weight, weight_layout), None)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (weight, weight_layout), Some((bias, bias_layout)))
    }
}

type Input<'a> = (&'a CpuStorage, &'a Layout);

impl Conv2d {
    fn forward(&self, x: Input<'_>, weight: Input<'_>, bias: Option<Input<'_>>) -> Result<(CpuStorage, Shape)> {
        match x.0.dtype() {
            DType::F64 => self.typed::<f64>(x, weight, bias),
            _ => self.typed::<f32>(x, weight, bias),
        }
    }

    fn typed<E: Element>(
        &self,
        (x, x_layout): Input<'_>,
        (weight, weight_layout): Input<'_>,
        bias: Option<Input<'_>>,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::from(x_layout.shape().dims4()?);
        let (outputs, _, size, _) = weight_layout.shape().dims4()?;
        let bias: Option<&[E]> = bias.map(|(bias, layout)| elements(bias, layout)).transpose()?;
        let weights = Weights { values: elements(weight, weight_layout)?, bias, outputs, size };
        let mut out = buffer::zeroed::<E>(planes.batch * outputs * planes.pixels());
        cpu::forward(Isa::current(), planes, elements(x, x_layout)?, weights, self.0, &mut out);
        Ok((E::to_cpu_storage_owned(out), (planes.batch, outputs, planes.height, planes.width).into()))
    }
}
