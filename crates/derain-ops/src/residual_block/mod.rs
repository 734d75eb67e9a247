//! A residual block of three convolutions, as SPANet has seventeen of, with its attention map, in one operation.
//!
//! ```text
//! t = relu(W1 * x)      1x1
//! u = relu(W2 * t)      3x3, dilated
//! y = relu((W3 * u) · map + x)      1x1; map has one factor a pixel, or is 1
//! ```
//!
//! The same as three calls of [`conv2d`](crate::conv2d()), whose forms it uses; but what lies between them, and its gradients, never become
//! tensors: they stay in the layout of the kernels. The inner results are kept for the gradient, as tensors of a graph would be.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! let x = Tensor::new(&[[[[1f32, -3.]]]], &Device::Cpu)?;
//! let (two, three) = (Tensor::new(&[[[[2f32]]]], &Device::Cpu)?, Tensor::full(3f32, (1, 1, 3, 3), &Device::Cpu)?);
//! let y = derain_ops::residual_block(&x, [&two, &three, &two], None, 1)?;
//! // t = [2, 0], u = [6, 6], and [12 + 1, 12 - 3].
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [13., 9.]);
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
mod op;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

use crate::conv2d::check_dilation;
use crate::plane::{check_dtype, check_shape};
use crate::{Isa, Planes, Result};

/// What a block is run with: `x` `[B, C, H, W]`, weights `[C, C, K, K]`, perhaps a map `[B, 1, H, W]`.
#[derive(Clone, Copy)]
struct Arguments<'a, E> {
    isa: Isa,
    planes: Planes,
    x: &'a [E],
    weights: [&'a [E]; 3],
    map: Option<&'a [E]>,
    dilation: usize,
}

/// Runs the block on `x` `[B, C, H, W]` with weights `[C, C, 1, 1]`, `[C, C, 3, 3]` and `[C, C, 1, 1]` and a map `[B, 1, H, W]`, if any.
///
/// Type f32 or f64, the same for all; strided tensors are taken as they are; gradients flow to all.
///
/// # Errors
/// When a shape or a type does not fit, a dimension is 0, or the dilation is not from 1 to 64.
pub fn residual_block(x: &Tensor, weights: [&Tensor; 3], map: Option<&Tensor>, dilation: usize) -> Result<Tensor> {
    const OP: &str = "residual_block";
    let planes = crate::plane::of_tensor(OP, x)?;
    check_dilation(OP, dilation)?;
    let channels = planes.channels;
    let mut parameters = Vec::with_capacity(weights.len());
    for (weight, (argument, size)) in weights.into_iter().zip([("weights[0]", 1), ("weights[1]", 3), ("weights[2]", 1)])
    {
        check_shape(OP, argument, weight, &[channels, channels, size, size], "[C, C, K, K]")?;
        check_dtype(OP, argument, weight, x.dtype())?;
        parameters.push(weight.flatten_all()?);
    }
    let (x, parameters) = (x.contiguous()?, Tensor::cat(&parameters, 0)?);
    let op = op::ResidualBlock::new(dilation);
    match map {
        None => Ok(x.apply_op2(&parameters, op)?),
        Some(map) => {
            check_shape(OP, "map", map, &[planes.batch, 1, planes.height, planes.width], "[B, 1, H, W]")?;
            check_dtype(OP, "map", map, x.dtype())?;
            Ok(x.apply_op3(&parameters, &map.contiguous()?, op)?)
        }
    }
}
