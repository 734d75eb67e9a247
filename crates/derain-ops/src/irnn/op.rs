//! Glue between candle's tensors and the slice kernels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::gpu;
use super::{Coefficients, cpu};
use crate::buffer;
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes};

/// Inputs x `[B, C, H, W]`, weights and biases `[4, C]`; the result is h, from which the gradient is computed.
pub(super) struct Irnn;

/// Inputs x `[B, C, H, W]`, weights stacked on biases `[2, 4, C]`, directions `[B, 4, H, W]`. The result is h times the
/// directions, which cannot be divided back where a weight is 0: the gradient computes h again.
pub(super) struct IrnnDirectional;

pub(super) type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for Irnn {
    fn name(&self) -> &'static str {
        "irnn"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        biases: &CpuStorage,
        biases_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn typed<E: Element>([x, weights, biases]: [Input<'_>; 3]) -> Result<(CpuStorage, Shape)> {
            forward::<E>(x, Coefficients { weights: weights.elements()?, biases: biases.elements()? }, None)
        }
        let inputs = [(x, x_layout), (weights, weights_layout), (biases, biases_layout)].map(Input::from);
        if x.dtype() == DType::F64 { typed::<f64>(inputs) } else { typed::<f32>(inputs) }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weights: &CudaStorage,
        weights_layout: &Layout,
        biases: &CudaStorage,
        biases_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok(gpu::forward([(x, x_layout), (weights, weights_layout), (biases, biases_layout)])?)
    }

    fn bwd(&self, x: &Tensor, weights: &Tensor, biases: &Tensor, h: &Tensor, grad: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(gpu::backward([x, weights, biases, h, grad])?);
        }
        fn typed<E: Element>([x, weights, biases, h, grad]: [&Tensor; 5]) -> Result<Gradients> {
            let planes = Planes::from(x.dims4()?);
            let gradients = with_elements([weights, biases, h, grad], |[weights, biases, h, grad]: [&[E]; 4]| {
                cpu::backward(Isa::current(), planes, Coefficients { weights, biases }, None, h, grad)
            })?;
            Ok((tensor(gradients.x, x)?, tensor(gradients.weights, weights)?, tensor(gradients.biases, biases)?))
        }
        let tensors = [x, weights, biases, h, grad];
        if x.dtype() == DType::F64 { typed::<f64>(tensors) } else { typed::<f32>(tensors) }
    }
}

impl CustomOp3 for IrnnDirectional {
    fn name(&self) -> &'static str {
        "irnn_directional"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        coefficients: &CpuStorage,
        coefficients_layout: &Layout,
        directions: &CpuStorage,
        directions_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn typed<E: Element>([x, coefficients, directions]: [Input<'_>; 3]) -> Result<(CpuStorage, Shape)> {
            let coefficients = Coefficients::stacked(coefficients.elements::<E>()?);
            forward(x, coefficients, Some(directions.elements()?))
        }
        let inputs = [(x, x_layout), (coefficients, coefficients_layout), (directions, directions_layout)];
        let inputs = inputs.map(Input::from);
        if x.dtype() == DType::F64 { typed::<f64>(inputs) } else { typed::<f32>(inputs) }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        coefficients: &CudaStorage,
        coefficients_layout: &Layout,
        directions: &CudaStorage,
        directions_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let inputs = [(x, x_layout), (coefficients, coefficients_layout), (directions, directions_layout)];
        Ok(gpu::forward_directional(inputs)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        coefficients: &Tensor,
        directions: &Tensor,
        _weighted: &Tensor,
        grad: &Tensor,
    ) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(gpu::backward_directional([x, coefficients, directions, grad])?);
        }
        fn typed<E: Element>(tensors: [&Tensor; 4]) -> Result<Gradients> {
            let planes = Planes::from(tensors[0].dims4()?);
            let isa = Isa::current();
            let (gradients, d_directions) = with_elements(tensors, |[x, stacked, directions, grad]: [&[E]; 4]| {
                let coefficients = Coefficients::stacked(stacked);
                let mut h = buffer::zeroed(4 * planes.len());
                cpu::forward(isa, planes, x, coefficients, None, &mut h);
                let gradients = cpu::backward(isa, planes, coefficients, Some(directions), &h, grad);
                (gradients, cpu::direction_gradient(planes, &h, grad))
            })?;
            let [x, coefficients, directions, _] = tensors;
            let stacked = [gradients.weights, gradients.biases].concat();
            Ok((tensor(gradients.x, x)?, tensor(stacked, coefficients)?, tensor(d_directions, directions)?))
        }
        let tensors = [x, coefficients, directions, grad];
        if x.dtype() == DType::F64 { typed::<f64>(tensors) } else { typed::<f32>(tensors) }
    }
}

/// One argument of a custom operation.
struct Input<'a> {
    storage: &'a CpuStorage,
    layout: &'a Layout,
}

impl<'a> From<(&'a CpuStorage, &'a Layout)> for Input<'a> {
    fn from((storage, layout): (&'a CpuStorage, &'a Layout)) -> Self {
        Self { storage, layout }
    }
}

impl<'a> Input<'a> {
    fn elements<E: Element>(&self) -> Result<&'a [E]> {
        elements(self.storage, self.layout)
    }
}

impl<'a, E: Element> Coefficients<'a, E> {
    /// From weights stacked on biases, `[2, 4, C]`.
    fn stacked(both: &'a [E]) -> Self {
        let (weights, biases) = both.split_at(both.len() / 2);
        Self { weights, biases }
    }
}

fn forward<E: Element>(
    x: Input<'_>,
    coefficients: Coefficients<'_, E>,
    directions: Option<&[E]>,
) -> Result<(CpuStorage, Shape)> {
    let planes = Planes::from(x.layout.shape().dims4()?);
    let mut out = buffer::zeroed(4 * planes.len());
    cpu::forward(Isa::current(), planes, x.elements()?, coefficients, directions, &mut out);
    let shape = (planes.batch, 4 * planes.channels, planes.height, planes.width);
    Ok((E::to_cpu_storage_owned(out), shape.into()))
}

fn tensor<E: Element>(values: Vec<E>, like: &Tensor) -> Result<Option<Tensor>> {
    Tensor::from_vec(values, like.shape(), like.device()).map(Some)
}
