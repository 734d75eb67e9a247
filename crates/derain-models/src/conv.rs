//! A convolution of odd size that keeps the picture's size, as all networks here use it.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use derain_ops::conv2d::cpu::Weights;
use derain_ops::conv2d::{Packed, conv2d_residual_with, conv2d_with};
use derain_ops::{Activation, Conv2dOptions};

/// A convolution's parameters.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    /// `[O, C, K, K]`.
    pub(crate) weight: Tensor,
    /// `[O]`.
    pub(crate) bias: Option<Tensor>,
    pub(crate) dilation: usize,
    /// Where GPUs keep the weights as their kernels read them.
    packed: Option<Packed>,
}

impl Conv {
    pub(crate) fn from_parameters(weight: Tensor, bias: Option<Tensor>, dilation: usize) -> Self {
        Self { weight, bias, dilation, packed: None }
    }

    /// The same, of parameters that do not change any more.
    pub(crate) fn kept(&self) -> Self {
        Self { packed: Some(self.packed.clone().unwrap_or_default()), ..self.clone() }
    }

    /// Input channels.
    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims().get(1).copied().unwrap_or(0)
    }

    pub(crate) fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        self.run(x, Activation::None)
    }

    pub(crate) fn forward_relu(&self, x: &Tensor) -> crate::Result<Tensor> {
        self.run(x, Activation::Relu)
    }

    pub(crate) fn run(&self, x: &Tensor, activation: Activation) -> crate::Result<Tensor> {
        let Self { weight, bias, dilation, packed } = self;
        let options = Conv2dOptions { dilation: *dilation, activation };
        Ok(conv2d_with(x, weight, bias.as_ref(), packed.as_ref(), &options)?)
    }

    /// activation(conv(x) · scale + residual), the scale `[B, 1, H, W]` or 1.
    pub(crate) fn forward_onto(
        &self,
        x: &Tensor,
        scale: Option<&Tensor>,
        residual: &Tensor,
        activation: Activation,
    ) -> crate::Result<Tensor> {
        let Self { weight, bias, dilation, packed } = self;
        let options = Conv2dOptions { dilation: *dilation, activation };
        Ok(conv2d_residual_with(x, weight, bias.as_ref(), packed.as_ref(), scale, residual, &options)?)
    }

    /// Calls `f` with the weights as f32 slices, and the dilation.
    pub(crate) fn with_weights<R>(
        &self,
        f: impl FnOnce(Weights<'_, f32>, usize) -> crate::Result<R>,
    ) -> crate::Result<R> {
        let (outputs, _, size, _) = self.weight.dims4()?;
        let bias = self.bias.as_ref().map(values).transpose()?;
        let values = values(&self.weight)?;
        f(Weights { values: &values, bias: bias.as_deref(), outputs, size }, self.dilation)
    }
}

/// A builder for what halves do not suffice for: f32 where the network's features are halves.
pub(crate) fn in_f32(vb: VarBuilder<'_>) -> VarBuilder<'_> {
    match vb.dtype() {
        DType::F16 | DType::BF16 => vb.set_dtype(DType::F32),
        _ => vb,
    }
}

/// A tensor in the type of a convolution's weights, where one of the two is of halves.
pub(crate) fn for_conv(x: &Tensor, conv: &Conv) -> Result<Tensor> {
    let is_half = |tensor: &Tensor| matches!(tensor.dtype(), DType::F16 | DType::BF16);
    if is_half(x) || is_half(&conv.weight) { x.to_dtype(conv.weight.dtype()) } else { Ok(x.clone()) }
}

/// A tensor's values as f32, in order.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}
