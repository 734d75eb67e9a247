//! Pictures of any size for a network that halves them three times.
//!
//! Rows and columns are added at the bottom and on the right until both counts are multiples of 8, by reflection that
//! does not repeat the border: `a b c d` goes on `c b a b c d …`, as often as needed, and a picture of one row repeats
//! it. Results are cropped back.

use candle_core::Tensor;

use super::SCALES;
use crate::Result;

/// Sizes must be multiples of this.
pub(super) const MULTIPLE: usize = 1 << (SCALES - 1);

/// Rows (or columns) of the picture that the network runs on.
pub(super) fn padded_extent(extent: usize) -> usize {
    extent.next_multiple_of(MULTIPLE)
}

/// The row (or column) of the picture that stands at `index`, for any index.
pub(super) fn reflected(index: usize, extent: usize) -> usize {
    let period = 2 * extent.saturating_sub(1).max(1);
    let index = index % period;
    index.min(period - index).min(extent.saturating_sub(1))
}

/// `[B, C, H, W]` -> `[B, C, padded H, padded W]`.
pub(super) fn pad(pictures: &Tensor) -> Result<Tensor> {
    let mut padded = pictures.clone();
    for axis in [2, 3] {
        let extent = pictures.dim(axis)?;
        let wanted = padded_extent(extent);
        if wanted > extent {
            let indices = (0..wanted).map(|index| reflected(index, extent) as u32).collect::<Vec<_>>();
            padded = padded.index_select(&Tensor::new(indices, pictures.device())?, axis)?;
        }
    }
    Ok(padded)
}

/// The part of a result, at 1 / `scale` of the size, that shows a picture of `height` x `width`.
pub(super) fn crop(result: &Tensor, (height, width): (usize, usize), scale: usize) -> Result<Tensor> {
    Ok(result.narrow(2, 0, height.div_ceil(scale))?.narrow(3, 0, width.div_ceil(scale))?)
}
