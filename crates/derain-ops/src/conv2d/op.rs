//! Glue between candle's tensors and the slice kernels.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::Conv2dOptions;
use super::cpu::{self, Call, Extras, Wanted, Weights};
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes, buffer};

/// Inputs x `[B, C, H, W]`, parameters (weights `[O, C, K, K]` and then, if any, the bias `[O]`, as one list) and, if
/// any, extras (residual planes `[B, O, H, W]` and then a scale `[B, 1, H, W]`, as one tensor): an operation may have
/// three inputs at most.
pub(super) struct Conv2d {
    pub options: Conv2dOptions,
    pub outputs: usize,
    pub size: usize,
    pub residual: bool,
    pub scale: bool,
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (parameters, parameters_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x, parameters, _] = self.backward(x, parameters, None, y, grad)?;
        Ok((x, parameters))
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
        parameters: &CpuStorage,
        parameters_layout: &Layout,
        extras: &CpuStorage,
        extras_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (parameters, parameters_layout), Some((extras, extras_layout)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        extras: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [x, parameters, extras] = self.backward(x, parameters, Some(extras), y, grad)?;
        Ok((x, parameters, extras))
    }
}

type Input<'a> = (&'a CpuStorage, &'a Layout);

impl Conv2d {
    fn forward(&self, x: Input<'_>, parameters: Input<'_>, extras: Option<Input<'_>>) -> Result<(CpuStorage, Shape)> {
        match x.0.dtype() {
            DType::F64 => self.typed_forward::<f64>(x, parameters, extras),
            _ => self.typed_forward::<f32>(x, parameters, extras),
        }
    }

    fn typed_forward<E: Element>(
        &self,
        (x, x_layout): Input<'_>,
        (parameters, parameters_layout): Input<'_>,
        extras: Option<Input<'_>>,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::from(x_layout.shape().dims4()?);
        let extras: Option<&[E]> = extras.map(|(extras, layout)| elements(extras, layout)).transpose()?;
        let call = self.call(planes, elements(x, x_layout)?, elements(parameters, parameters_layout)?, extras);
        let mut out = buffer::zeroed::<E>(planes.batch * self.outputs * planes.pixels());
        cpu::forward(call.isa, planes, call.x, call.weights, call.extras, self.options, &mut out)?;
        Ok((E::to_cpu_storage_owned(out), (planes.batch, self.outputs, planes.height, planes.width).into()))
    }

    fn backward(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        extras: Option<&Tensor>,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        match x.dtype() {
            DType::F64 => self.typed_backward::<f64>(x, parameters, extras, y, grad),
            _ => self.typed_backward::<f32>(x, parameters, extras, y, grad),
        }
    }

    fn typed_backward<E: Element>(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        extras: Option<&Tensor>,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let planes = Planes::from(x.dims4()?);
        // Where there are no extras, the result stands in for them and is not looked at.
        let wanted =
            Wanted { x: x.track_op(), parameters: parameters.track_op(), extras: extras.is_some_and(Tensor::track_op) };
        let tensors = [x, parameters, extras.unwrap_or(y), y, grad];
        let gradients = with_elements(tensors, |[values, parameters, all_extras, y, grad]: [&[E]; 5]| {
            let call = self.call(planes, values, parameters, extras.map(|_| all_extras));
            cpu::backward(call, y, grad, wanted)
        })??;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let of_parameters = gradients.parameters.map(|(mut weights, bias)| {
            if parameters.elem_count() > weights.len() {
                weights.extend(bias);
            }
            tensor(weights, parameters)
        });
        Ok([
            gradients.x.map(|of_x| tensor(of_x, x)).transpose()?,
            of_parameters.transpose()?,
            gradients.extras.zip(extras).map(|(of_extras, extras)| tensor(of_extras, extras)).transpose()?,
        ])
    }

    fn call<'a, E: Element>(
        &self,
        planes: Planes,
        x: &'a [E],
        parameters: &'a [E],
        extras: Option<&'a [E]>,
    ) -> Call<'a, E> {
        let (values, bias) = parameters.split_at(self.outputs * planes.channels * self.size * self.size);
        let bias = Some(bias).filter(|bias| !bias.is_empty());
        let residuals = if self.residual { self.outputs } else { 0 };
        Call {
            isa: Isa::current(),
            planes,
            x,
            weights: Weights { values, bias, outputs: self.outputs, size: self.size },
            extras: Extras { values: extras.unwrap_or_default(), residuals, scales: usize::from(self.scale) },
            options: self.options,
        }
    }
}
