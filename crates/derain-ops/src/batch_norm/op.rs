//! Glue between candle's tensors and the slice kernels.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::{Statistics, cpu};
use crate::element::Element;
use crate::relu::where_positive;
use crate::storage::{elements, with_elements};
use crate::{Activation, Isa, Planes, buffer};

/// Input x `[B, C, H, W]`; the result, f64 whatever the type of x, is `[2, C]`: means, then biased variances. It has no
/// gradient: [`NormalizeByBatch`] has the statistics' share in its own.
pub(super) struct Moments;

/// Inputs x `[B, C, H, W]`, gain and offset `[C]`, result of the shape of x. The statistics are those of x, which its
/// gradient takes into account. With `B·C` of each, every plane is a channel of its own.
pub(super) struct NormalizeByBatch {
    pub(super) statistics: Vec<Statistics>,
    pub(super) activation: Activation,
}

/// The same with statistics that do not depend on x, and without activation.
pub(super) struct NormalizeByConstants(pub(super) Vec<Statistics>);

pub(super) type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp1 for Moments {
    fn name(&self) -> &'static str {
        "batch_norm_moments"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn typed<E: Element>(x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            let planes = Planes::from(layout.shape().dims4()?);
            let moments = cpu::moments::<E>(Isa::current(), planes, elements(x, layout)?);
            let means = moments.iter().map(|moments| moments.mean);
            let variances = moments.iter().map(|moments| moments.variance);
            Ok((CpuStorage::F64(means.chain(variances).collect()), (2, planes.channels).into()))
        }
        if x.dtype() == DType::F64 { typed::<f64>(x, layout) } else { typed::<f32>(x, layout) }
    }
}

impl CustomOp3 for NormalizeByBatch {
    fn name(&self) -> &'static str {
        "batch_norm_train"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(&self.statistics, self.activation, [(x, x_layout), (gamma, gamma_layout), (beta, beta_layout)])
    }

    fn bwd(&self, x: &Tensor, gamma: &Tensor, beta: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        match x.dtype() {
            DType::F64 => self.backward::<f64>([x, gamma, beta], y, grad),
            _ => self.backward::<f32>([x, gamma, beta], y, grad),
        }
    }
}

impl NormalizeByBatch {
    fn backward<E: Element>(&self, inputs: [&Tensor; 3], y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        let gated = match self.activation {
            Activation::None => None,
            Activation::Relu => {
                let values = with_elements([grad, y], |[grad, y]: [&[E]; 2]| where_positive(grad, y))?;
                Some(Tensor::from_vec(values, y.shape(), y.device())?)
            }
        };
        let grad = gated.as_ref().unwrap_or(grad);
        backward(&self.statistics, inputs, grad, cpu::backward_through_statistics::<E>)
    }
}

impl CustomOp3 for NormalizeByConstants {
    fn name(&self) -> &'static str {
        "batch_norm_eval"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(&self.0, Activation::None, [(x, x_layout), (gamma, gamma_layout), (beta, beta_layout)])
    }

    fn bwd(&self, x: &Tensor, gamma: &Tensor, beta: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        let inputs = [x, gamma, beta];
        match x.dtype() {
            DType::F64 => backward(&self.0, inputs, grad, cpu::backward_with_constants::<f64>),
            _ => backward(&self.0, inputs, grad, cpu::backward_with_constants::<f32>),
        }
    }
}

/// The dimensions of x with as many channels as there are statistics.
fn planes(statistics: &[Statistics], shape: &Shape) -> Result<Planes> {
    let (batch, channels, height, width) = shape.dims4()?;
    Ok(Planes { batch: batch * channels / statistics.len(), channels: statistics.len(), height, width })
}

fn forward(
    statistics: &[Statistics],
    activation: Activation,
    inputs: [(&CpuStorage, &Layout); 3],
) -> Result<(CpuStorage, Shape)> {
    fn typed<E: Element>(
        statistics: &[Statistics],
        activation: Activation,
        [x, gamma, beta]: [(&CpuStorage, &Layout); 3],
    ) -> Result<(CpuStorage, Shape)> {
        let planes = planes(statistics, x.1.shape())?;
        let mut out = buffer::zeroed(planes.len());
        let [x_elements, gamma, beta]: [&[E]; 3] =
            [elements(x.0, x.1)?, elements(gamma.0, gamma.1)?, elements(beta.0, beta.1)?];
        cpu::forward(Isa::current(), planes, x_elements, [gamma, beta], statistics, activation, &mut out);
        Ok((E::to_cpu_storage_owned(out), x.1.shape().clone()))
    }
    let double = inputs[0].0.dtype() == DType::F64;
    if double { typed::<f64>(statistics, activation, inputs) } else { typed::<f32>(statistics, activation, inputs) }
}

fn backward<E: Element>(
    statistics: &[Statistics],
    [x, gamma, beta]: [&Tensor; 3],
    grad: &Tensor,
    gradients: impl FnOnce(Isa, Planes, &[E], &[E], &[Statistics], &[E]) -> cpu::Gradients<E>,
) -> Result<Gradients> {
    let planes = planes(statistics, x.shape())?;
    let gradients = with_elements([x, gamma, grad], |[x, gamma, grad]: [&[E]; 3]| {
        gradients(Isa::current(), planes, x, gamma, statistics, grad)
    })?;
    let tensor = |values: Vec<E>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
    Ok((tensor(gradients.x, x)?, tensor(gradients.gamma, gamma)?, tensor(gradients.beta, beta)?))
}
