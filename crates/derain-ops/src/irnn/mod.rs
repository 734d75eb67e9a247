//! Four-directional IRNN scans (Wang et al., "Spatial Attentive Single-Image Deraining", CVPR 2019, Eq. 5).
//!
//! Along each row and column, per channel c and direction d, with x the input met on the way:
//!
//! ```text
//! h_0 = max(x_0, 0)
//! h_i = max(a · h_{i-1} + b + x_i, 0)        a = weights[d, c], b = biases[d, c]
//! ```
//!
//! Neither a nor b is applied to the border element. Equation 5 prints no bias; the authors' release has one, so pass
//! zeros for the printed form. The directions, in the order of every array here:
//!
//! | d | scan | runs from |
//! | --- | --- | --- |
//! | 0 | up | the bottom row to the top row |
//! | 1 | right | the left column to the right column |
//! | 2 | down | the top row to the bottom row |
//! | 3 | left | the right column to the left column |
//!
//! The four results are packed side by side, `[B, 4·C, H, W]`, as the next convolution wants them. Work is O(pixels):
//! the input is read from memory once (once more from the cache for each axis) and each result is written once.
//!
//! Gradients, with dh the incoming gradient and g running against the scan:
//!
//! ```text
//! g_i = [h_i > 0] · (dh_i + a · g_{i+1})     dx_i = g_i, summed over the directions
//! db  = Σ_{i>=1} g_i                         da   = Σ_{i>=1} g_i · h_{i-1}
//! ```
//!
//! The ReLU's gradient at 0 is 0. NaN in the input stays NaN in the output.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! let x = Tensor::new(&[[[[1f32, -3., 2.]]]], &Device::Cpu)?;            // one row of three pixels
//! let a = Tensor::new(&[[1f32], [1.], [1.], [1.]], &Device::Cpu)?;       // [4, C = 1]
//! let h = derain_ops::irnn(&x, &a, &a.zeros_like()?)?;
//! assert_eq!(h.get(0)?.get(1)?.to_vec2::<f32>()?, [[1., 0., 2.]]);       // right: max(1 - 3, 0) = 0
//! assert_eq!(h.get(0)?.get(3)?.to_vec2::<f32>()?, [[1., 0., 2.]]);       // left:  max(2 - 3, 0) = 0, then 0 + 1
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
mod op;
mod rect;
#[doc(hidden)]
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

use candle_core::{CustomOp3, Tensor};

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;
#[doc(hidden)]
pub use rect::{DirectionMaps, RectScans, ScanSums, Start};

use crate::plane::{check_dtype, check_shape};
use crate::{Error, Isa, Planes, Result};

/// The order of the four scans in every array of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Bottom row to top row.
    Up,
    /// Left column to right column.
    Right,
    /// Top row to bottom row.
    Down,
    /// Right column to left column.
    Left,
}

impl Direction {
    /// All four, in order.
    pub const ALL: [Self; 4] = [Self::Up, Self::Right, Self::Down, Self::Left];

    /// Whether the scan runs along columns.
    #[inline]
    pub fn is_vertical(self) -> bool {
        matches!(self, Self::Up | Self::Down)
    }

    /// Whether the scan meets rows or columns in rising order.
    #[inline]
    pub fn is_ascending(self) -> bool {
        matches!(self, Self::Down | Self::Right)
    }

    /// The row or column that the scan meets at a step, of `length`.
    #[inline(always)]
    fn line(self, step: usize, length: usize) -> usize {
        if self.is_ascending() { step } else { length - 1 - step }
    }

    /// Of something that rows have and something that columns have, first what the scan runs along, then what lies
    /// across.
    #[inline(always)]
    fn along_and_across(self, of_rows: usize, of_columns: usize) -> (usize, usize) {
        if self.is_vertical() { (of_rows, of_columns) } else { (of_columns, of_rows) }
    }
}

/// One weight and one bias per direction and channel, both `[4, C]`, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Coefficients<'a, E> {
    weights: &'a [E],
    biases: &'a [E],
}

impl<E: Copy> Coefficients<'_, E> {
    /// (a, b) of a direction and channel.
    fn at(&self, direction: Direction, channel: usize) -> (E, E) {
        let at = direction as usize * (self.weights.len() / 4) + channel;
        (self.weights[at], self.biases[at])
    }
}

/// The four scans of `x`, with gradients for all three arguments.
///
/// Shapes: `x` `[B, C, H, W]`, `weights` and `biases` `[4, C]` in the order up, right, down, left; the result is
/// `[B, 4·C, H, W]`. Type f32 or f64 (on GPUs also f16 and bf16), the same for all. Strided tensors are taken as they
/// are.
///
/// # Errors
/// When a shape or a type does not fit, or a dimension of `x` is 0.
pub fn irnn(x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Tensor> {
    check("irnn", x, weights, biases)?;
    let [x, weights, biases] = [x.contiguous()?, weights.contiguous()?, biases.contiguous()?];
    Ok(x.apply_op3(&weights, &biases, op::Irnn)?)
}

/// The four scans, each multiplied by its direction's weight map, with gradients for all four arguments.
///
/// `directions` is `[B, 4, H, W]`: the map of direction d multiplies every channel of that direction's result. The
/// other arguments are those of [`irnn()`]. The scan itself runs unweighted. The backward pass computes the scans
/// again.
///
/// # Errors
/// As [`irnn()`].
pub fn irnn_directional(x: &Tensor, weights: &Tensor, biases: &Tensor, directions: &Tensor) -> Result<Tensor> {
    const OP: &str = "irnn_directional";
    let planes = check(OP, x, weights, biases)?;
    let maps = [planes.batch, 4, planes.height, planes.width];
    check_shape(OP, "directions", directions, &maps, "[B, 4, H, W]")?;
    check_dtype(OP, "directions", directions, x.dtype())?;
    let coefficients = Tensor::stack(&[weights, biases], 0)?.contiguous()?;
    Ok(x.contiguous()?.apply_op3(&coefficients, &directions.contiguous()?, op::IrnnDirectional)?)
}

/// The gradients of [`irnn()`] for its arguments, from its results h and their gradient: what training runs, without
/// what candle's backward pass adds. For benches.
///
/// # Errors
/// As [`irnn()`].
#[doc(hidden)]
pub fn gradients(
    x: &Tensor,
    weights: &Tensor,
    biases: &Tensor,
    h: &Tensor,
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    let planes = check("irnn", x, weights, biases)?;
    check_results("irnn", planes, x, &[("h", h), ("grad", grad)])?;
    let (of_x, of_weights, of_biases) = op::Irnn.bwd(x, weights, biases, h, grad)?;
    Ok([of_x, of_weights, of_biases])
}

/// The same of [`irnn_directional`], for x, coefficients (weights stacked on biases, `[2, 4, C]`) and directions; the
/// scans run once more.
///
/// # Errors
/// As [`irnn()`].
#[doc(hidden)]
pub fn gradients_directional(
    x: &Tensor,
    coefficients: &Tensor,
    directions: &Tensor,
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    const OP: &str = "irnn_directional";
    let planes = crate::plane::of_tensor(OP, x)?;
    let maps = [planes.batch, 4, planes.height, planes.width];
    check_shape(OP, "coefficients", coefficients, &[2, 4, planes.channels], "[2, 4, C]")?;
    check_shape(OP, "directions", directions, &maps, "[B, 4, H, W]")?;
    check_dtype(OP, "coefficients", coefficients, x.dtype())?;
    check_dtype(OP, "directions", directions, x.dtype())?;
    check_results(OP, planes, x, &[("grad", grad)])?;
    // The results, in whose place `grad` stands, are not looked at.
    let (of_x, of_coefficients, of_directions) = op::IrnnDirectional.bwd(x, coefficients, directions, grad, grad)?;
    Ok([of_x, of_coefficients, of_directions])
}

/// The four scans over slices, written into a buffer of the caller's; no gradient, no allocation of the result.
///
/// `x` holds `planes`, `weights` and `biases` `[4, C]`, `directions` (if any) `[B, 4, H, W]`, `out` `[B, 4·C, H, W]`.
///
/// # Errors
/// When a slice's length does not fit `planes`, or a dimension is 0.
pub fn irnn_into(
    x: &[f32],
    planes: Planes,
    weights: &[f32],
    biases: &[f32],
    directions: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    const OP: &str = "irnn_into";
    let Some(results) = planes.checked_len(4).filter(|&results| results > 0) else {
        let expected = "above 0 in every dimension, and small enough to count";
        return Err(Error::Option { op: OP, option: "planes", expected, got: format!("{planes:?}") });
    };
    let maps = results / planes.channels;
    let lengths = [
        ("x", results / 4, x.len()),
        ("weights", 4 * planes.channels, weights.len()),
        ("biases", 4 * planes.channels, biases.len()),
        ("directions", maps, directions.map_or(maps, <[f32]>::len)),
        ("out", results, out.len()),
    ];
    for (argument, expected, got) in lengths {
        if expected != got {
            return Err(Error::Length { op: OP, argument, expected, got });
        }
    }
    cpu::forward(Isa::current(), planes, x, Coefficients { weights, biases }, directions, out);
    Ok(())
}

/// Tensors like the scans of x.
fn check_results(op: &'static str, planes: Planes, x: &Tensor, tensors: &[(&'static str, &Tensor)]) -> Result<()> {
    for &(argument, tensor) in tensors {
        check_shape(
            op,
            argument,
            tensor,
            &[planes.batch, 4 * planes.channels, planes.height, planes.width],
            "[B, 4C, H, W]",
        )?;
        check_dtype(op, argument, tensor, x.dtype())?;
    }
    Ok(())
}

fn check(op: &'static str, x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Planes> {
    let planes = crate::plane::of_tensor(op, x)?;
    for (argument, tensor) in [("weights", weights), ("biases", biases)] {
        check_shape(op, argument, tensor, &[4, planes.channels], "[4, C]")?;
        check_dtype(op, argument, tensor, x.dtype())?;
    }
    Ok(planes)
}
