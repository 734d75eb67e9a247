//! What both networks take: batches of pictures as tensors.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Height and width of pictures `[B, 3, H, W]`, for a network whose features are of this type.
pub(crate) fn check(pictures: &Tensor, features: DType) -> Result<(usize, usize)> {
    let (height, width) = match *pictures.dims() {
        [batch, 3, height, width] if batch * height * width > 0 => (height, width),
        _ => return Err(Error::Pictures { got: pictures.shape().clone() }),
    };
    // Pictures stay f32 where features are halves.
    let expected = if features.size_in_bytes() < DType::F32.size_in_bytes() { DType::F32 } else { features };
    match pictures.dtype() {
        got if got == expected => Ok((height, width)),
        got => Err(Error::PictureType { expected, got }),
    }
}
