//! Glue between candle's tensors and the slice kernels.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::{Arguments, cpu};
use crate::element::Element;
use crate::storage::{elements, with_elements};
use crate::{Isa, Planes, buffer};

/// Inputs x, the three weights as one list and, if any, the map.
pub(super) struct ResidualBlock {
    dilation: usize,
    /// The inner results of the forward pass: the operation is made for one call and lives as long as its place in the graph.
    inner: Mutex<Option<Box<dyn Any + Send>>>,
}

impl ResidualBlock {
    pub(super) fn new(dilation: usize) -> Self {
        Self { dilation, inner: Mutex::new(None) }
    }
}

impl CustomOp2 for ResidualBlock {
    fn name(&self) -> &'static str {
        "residual_block"
    }

    fn cpu_fwd(&self, x: &CpuStorage, at_x: &Layout, w: &CpuStorage, at_w: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward((x, at_x), (w, at_w), None)
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x, w, _] = self.backward(x, w, None, y, dy)?;
        Ok((x, w))
    }
}

impl CustomOp3 for ResidualBlock {
    fn name(&self) -> &'static str {
        "residual_block"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        at_x: &Layout,
        w: &CpuStorage,
        at_w: &Layout,
        map: &CpuStorage,
        at_map: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, at_x), (w, at_w), Some((map, at_map)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        map: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [x, w, map] = self.backward(x, w, Some(map), y, dy)?;
        Ok((x, w, map))
    }
}

type Input<'a> = (&'a CpuStorage, &'a Layout);

impl ResidualBlock {
    fn forward(&self, x: Input<'_>, w: Input<'_>, map: Option<Input<'_>>) -> Result<(CpuStorage, Shape)> {
        match x.0.dtype() {
            DType::F64 => self.typed_forward::<f64>(x, w, map),
            _ => self.typed_forward::<f32>(x, w, map),
        }
    }

    fn typed_forward<E: Element>(
        &self,
        (x, at_x): Input<'_>,
        (w, at_w): Input<'_>,
        map: Option<Input<'_>>,
    ) -> Result<(CpuStorage, Shape)> {
        let planes = Planes::from(at_x.shape().dims4()?);
        let map: Option<&[E]> = map.map(|(map, layout)| elements(map, layout)).transpose()?;
        let mut out = buffer::zeroed::<E>(planes.len());
        let inner = cpu::forward(&self.arguments(planes, elements(x, at_x)?, elements(w, at_w)?, map), &mut out)?;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(inner));
        Ok((E::to_cpu_storage_owned(out), at_x.shape().clone()))
    }

    fn backward(
        &self,
        x: &Tensor,
        w: &Tensor,
        map: Option<&Tensor>,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        match x.dtype() {
            DType::F64 => self.typed_backward::<f64>(x, w, map, y, dy),
            _ => self.typed_backward::<f32>(x, w, map, y, dy),
        }
    }

    fn typed_backward<E: Element>(
        &self,
        x: &Tensor,
        w: &Tensor,
        map: Option<&Tensor>,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let planes = Planes::from(x.dims4()?);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(inner) = inner.as_ref().and_then(|inner| inner.downcast_ref::<cpu::Inner<E>>()) else {
            candle_core::bail!("residual_block: a gradient without a forward pass");
        };
        // Without a map the result stands in for it and is not looked at.
        let gradients =
            with_elements([x, w, map.unwrap_or(y), y, dy], |[values, weights, map_values, y, dy]: [&[E]; 5]| {
                cpu::backward(&self.arguments(planes, values, weights, map.map(|_| map_values)), inner, y, dy)
            })??;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok([
            Some(tensor(gradients.x, x)?),
            Some(tensor(gradients.weights.concat(), w)?),
            map.map(|map| tensor(gradients.map, map)).transpose()?,
        ])
    }

    fn arguments<'a, E: Element>(
        &self,
        planes: Planes,
        x: &'a [E],
        parameters: &'a [E],
        map: Option<&'a [E]>,
    ) -> Arguments<'a, E> {
        let square = planes.channels * planes.channels;
        let (first, rest) = parameters.split_at(square);
        let (second, third) = rest.split_at(9 * square);
        Arguments { isa: Isa::current(), planes, x, weights: [first, second, third], map, dilation: self.dilation }
    }
}
