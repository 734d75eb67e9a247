//! What follows a convolution's sum: kernels of ours on GPUs, tensor operations elsewhere, without gradients.

use candle_core::Tensor;

use crate::Result;
use crate::conv2d::Activation;

/// `y = activation((sum + bias) · scale + residual)`, all contiguous. By default nothing follows the sum.
#[derive(Default)]
pub(super) struct Epilogue {
    /// `[O]`.
    pub(super) bias: Option<Tensor>,
    /// `[B, 1, H, W]`.
    pub(super) scale: Option<Tensor>,
    /// `[B, O, H, W]`.
    pub(super) residual: Option<Tensor>,
    pub(super) activation: Activation,
}

/// What [`Epilogue::backward`] gives.
pub(super) struct Gradients {
    /// g, which is also the residual's, `[B, O, H, W]`.
    pub(super) residual: Tensor,
    /// For the sums, `[B, O, H, W]`.
    pub(super) sums: Tensor,
    /// `[O]`, where there is a bias.
    pub(super) bias: Option<Tensor>,
}

impl Epilogue {
    /// Whether nothing follows the sum.
    fn is_empty(&self) -> bool {
        let extras = [&self.bias, &self.scale, &self.residual];
        extras.iter().all(|extra| extra.is_none()) && self.activation == Activation::None
    }

    /// The result; on GPUs in the place of the sums, which nothing else must hold.
    pub(super) fn forward(&self, sums: Tensor) -> Result<Tensor> {
        if self.is_empty() {
            return Ok(sums);
        }
        #[cfg(feature = "cuda")]
        if sums.device().is_cuda() {
            return super::launch::forward(self, sums);
        }
        let y = self.scaled(&self.biased(&sums)?)?;
        let y = match &self.residual {
            Some(residual) => (y + residual)?,
            None => y,
        };
        match self.activation {
            Activation::None => Ok(y),
            // Not candle's ReLU, which makes 0 of NaN.
            Activation::Relu => Ok(y.le(0.0)?.where_cond(&y.zeros_like()?, &y)?),
        }
    }

    /// The gradients of a sum weighted by `grad`, from the result y.
    pub(super) fn backward(&self, y: &Tensor, grad: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::launch::backward(self, y, grad);
        }
        let residual = match self.activation {
            Activation::None => grad.clone(),
            Activation::Relu => y.le(0.0)?.where_cond(&grad.zeros_like()?, grad)?,
        };
        let sums = self.scaled(&residual)?;
        let bias = self.bias.as_ref().map(|_| sums.sum((0, 2, 3))).transpose()?;
        Ok(Gradients { residual, sums, bias })
    }

    /// The gradient for the scale, from the sums and g.
    pub(super) fn scale_gradient(&self, sums: &Tensor, g: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if g.device().is_cuda() {
            return super::launch::scale_gradient(self, sums, g);
        }
        Ok((self.biased(sums)? * g)?.sum_keepdim(1)?)
    }

    fn biased(&self, sums: &Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => Ok(sums.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
            None => Ok(sums.clone()),
        }
    }

    fn scaled(&self, x: &Tensor) -> Result<Tensor> {
        match &self.scale {
            Some(scale) => Ok(x.broadcast_mul(scale)?),
            None => Ok(x.clone()),
        }
    }
}
