//! The convolution by candle's operations: columns of pixels and a matrix product, or cuDNN where candle would take
//! columns; in bands of rows where the whole would be too much at once.

use candle_core::Tensor;

use super::{MOST_OF_CUDNN, by_cudnn};
use crate::{Error, Result};

/// Bytes of columns at once: bands of rows that need more go one after the other. A 3x3 convolution has nine times its
/// input as columns.
pub(super) const MOST_COLUMNS: usize = 1 << 30;

/// The convolution of contiguous tensors without gradient, in bands of rows whose columns take at most `most_columns`
/// bytes.
pub(super) fn convolution(x: &Tensor, weight: &Tensor, dilation: usize, most_columns: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let size = weight.dim(2)?;
    let padding = size / 2 * dilation;
    let row = batch * channels.max(weight.dim(0)?) * (width + 2 * padding);
    check_count(row, height + 2 * padding)?;
    let columns = most_columns / (batch * channels * size * size * width * x.dtype().size_in_bytes());
    let rows = if by_cudnn(x) { rows_within(MOST_OF_CUDNN, row, height, padding) } else { columns.max(1) };
    if rows >= height {
        return sums(x, weight, padding, dilation);
    }
    let padded = pad(x, padding)?;
    let mut bands = Vec::with_capacity(height.div_ceil(rows));
    for first in (0..height).step_by(rows) {
        let rows = rows.min(height - first);
        let band = padded.narrow(2, first, rows + 2 * padding)?.contiguous()?;
        bands.push(sums(&band, weight, 0, dilation)?);
    }
    Ok(Tensor::cat(&bands, 2)?)
}

/// Candle's copying kernels count elements in 32 bits, and copy something else beyond that.
fn check_count(row: usize, rows: usize) -> Result<()> {
    if row.saturating_mul(rows) <= u32::MAX as usize {
        return Ok(());
    }
    Err(Error::TooManyElements { op: "conv2d", got: row.saturating_mul(rows) })
}

/// How many of a picture's rows, each of `row` elements, may be convolved at once so that they and their surroundings
/// are no more than `most`.
fn rows_within(most: usize, row: usize, height: usize, padding: usize) -> usize {
    match most / row {
        rows if rows >= height + 2 * padding => height,
        rows => rows.saturating_sub(2 * padding).max(1),
    }
}

/// The convolution of a whole tensor.
fn sums(x: &Tensor, weight: &Tensor, padding: usize, dilation: usize) -> Result<Tensor> {
    #[cfg(feature = "cudnn")]
    if by_cudnn(x) {
        return super::cudnn::forward(x, weight, padding, dilation);
    }
    Ok(x.conv2d(weight, padding, 1, dilation, 1)?)
}

/// Σ over pictures and pixels of grad `[B, O, H, W]` times the pixel of x `[B, C, H, W]` that each of a kernel's places
/// meets, by a matrix product for each place: `[O, C, K, K]`.
pub(super) fn weight_gradient(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let (outputs, padding) = (grad.dim(1)?, size / 2 * dilation);
    check_count(batch * channels * (width + 2 * padding), height + 2 * padding)?;
    let padded = pad(x, padding)?;
    let grad = grad.reshape((batch, outputs, height * width))?;
    let mut places = Vec::with_capacity(size * size);
    for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
        let met = padded.narrow(2, row * dilation, height)?.narrow(3, column * dilation, width)?;
        let met = met.contiguous()?.reshape((batch, channels, height * width))?;
        places.push(grad.matmul(&met.transpose(1, 2)?)?.sum(0)?);
    }
    Ok(Tensor::stack(&places, 2)?.reshape((outputs, channels, size, size))?)
}

/// Zeros on all four sides.
fn pad(x: &Tensor, pixels: usize) -> Result<Tensor> {
    Ok(x.pad_with_zeros(2, pixels, pixels)?.pad_with_zeros(3, pixels, pixels)?)
}

#[cfg(test)]
mod tests;
