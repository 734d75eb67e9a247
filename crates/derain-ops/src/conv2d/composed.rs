//! The convolution on GPUs: candle's (cuDNN with the feature `cudnn`, else columns of pixels and a matrix product), and tensor operations behind it.
//!
//! Candle's own gradients of a convolution are a kernel without reuse for x and a convolution with kernels as large as the picture for the
//! weights. Here that for x is a convolution with turned kernels, that for the weights a matrix product for each of their places.

use std::sync::{Mutex, PoisonError};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor};

use super::{Activation, Conv2dOptions};
use crate::device;

/// Bytes of columns at once: bands of rows that need more go one after the other. A 3x3 convolution has nine times its input as columns.
const MOST_COLUMNS: usize = 1 << 30;

/// Convolution, scale, residual and activation, of arguments that the entry point has checked.
pub(super) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    scale: Option<&Tensor>,
    residual: Option<&Tensor>,
    options: &Conv2dOptions,
) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let mut y = convolve(&x, &weight, options.dilation)?;
    if let Some(bias) = bias {
        y = y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?;
    }
    if let Some(scale) = scale {
        y = y.broadcast_mul(scale)?;
    }
    if let Some(residual) = residual {
        y = (y + residual)?;
    }
    match options.activation {
        Activation::None => Ok(y),
        Activation::Relu => relu(&y),
    }
}

/// max(y, 0) that keeps NaN, which candle's does not, and has no gradient at 0, where candle's `maximum` has half of one.
fn relu(y: &Tensor) -> Result<Tensor> {
    let zeros = Tensor::zeros((), y.dtype(), y.device())?.broadcast_as(y.shape())?;
    y.le(0.0)?.where_cond(&zeros, y)
}

/// The sum alone, with its gradients.
fn convolve(x: &Tensor, weight: &Tensor, dilation: usize) -> Result<Tensor> {
    let sum = convolution(&x.detach(), &weight.detach(), dilation, MOST_COLUMNS)?;
    if !x.track_op() && !weight.track_op() {
        return Ok(sum);
    }
    x.apply_op2(weight, Convolution { dilation, sum: Mutex::new(Some(sum)) })
}

/// Inputs x `[B, C, H, W]` and weight `[O, C, K, K]`. The result has been computed before, by tensor operations, which a custom operation cannot
/// call; this one ties it to its gradients.
struct Convolution {
    dilation: usize,
    sum: Mutex<Option<Tensor>>,
}

impl Convolution {
    fn take(&self) -> Result<Tensor> {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner).take();
        sum.ok_or_else(|| candle_core::Error::msg("conv2d: its result has been taken"))
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let sum = self.take()?.contiguous()?;
        let (storage, layout) = sum.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) if layout.start_offset() == 0 => Ok((storage.clone(), sum.shape().clone())),
            _ => candle_core::bail!("conv2d: expected a whole tensor on the cpu"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        let sum = self.take()?.contiguous()?;
        let (storage, layout) = sum.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, sum.shape().clone())),
            _ => candle_core::bail!("conv2d: expected a tensor on the GPU"),
        }
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_weight) = (x.track_op(), weight.track_op());
        let gradients = device::named("conv2d", &[x, weight, grad], || {
            let (x, weight, grad) = (x.detach(), weight.detach(), grad.detach().contiguous()?);
            let of_x = of_x.then(|| {
                let turned = weight.flip(&[2, 3])?.transpose(0, 1)?.contiguous()?;
                convolution(&grad, &turned, self.dilation, MOST_COLUMNS)
            });
            let of_weight = of_weight.then(|| weight_gradient(&x, &grad, weight.dim(2)?, self.dilation));
            Ok((of_x.transpose()?, of_weight.transpose()?))
        });
        Ok(gradients?)
    }
}

/// The convolution of contiguous tensors without gradient, in bands of rows whose columns take at most so many bytes.
fn convolution(x: &Tensor, weight: &Tensor, dilation: usize, most_columns: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let size = weight.dim(2)?;
    let padding = size / 2 * dilation;
    let row = batch * channels * size * size * width * x.dtype().size_in_bytes();
    let rows = (most_columns / row).max(1);
    if rows >= height || cfg!(feature = "cudnn") {
        return x.conv2d(weight, padding, 1, dilation, 1);
    }
    let padded = pad(x, padding)?;
    let mut bands = Vec::with_capacity(height.div_ceil(rows));
    for first in (0..height).step_by(rows) {
        let rows = rows.min(height - first);
        let band = padded.narrow(2, first, rows + 2 * padding)?.contiguous()?;
        bands.push(band.conv2d(weight, 0, 1, dilation, 1)?);
    }
    Tensor::cat(&bands, 2)
}

/// Σ over pictures and pixels of grad `[B, O, H, W]` times the pixel of x `[B, C, H, W]` that each of a kernel's places meets: `[O, C, K, K]`.
fn weight_gradient(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let outputs = grad.dim(1)?;
    let padded = pad(x, size / 2 * dilation)?;
    let grad = grad.reshape((batch, outputs, height * width))?;
    let mut places = Vec::with_capacity(size * size);
    for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
        let met = padded.narrow(2, row * dilation, height)?.narrow(3, column * dilation, width)?;
        let met = met.contiguous()?.reshape((batch, channels, height * width))?;
        places.push(grad.matmul(&met.transpose(1, 2)?)?.sum(0)?);
    }
    Tensor::stack(&places, 2)?.reshape((outputs, channels, size, size))
}

/// Zeros on all four sides.
fn pad(x: &Tensor, pixels: usize) -> Result<Tensor> {
    x.pad_with_zeros(2, pixels, pixels)?.pad_with_zeros(3, pixels, pixels)
}

#[cfg(test)]
mod tests;
