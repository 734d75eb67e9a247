//! Which form serves which convolution: a table, so that results depend neither on a picture's size nor on a measurement.

use candle_core::DType;

use crate::Isa;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Every product of the formula.
    Direct,
    /// Winograd's F(4x4, 3x3): a quarter of the products, and transforms of inputs and results.
    Winograd,
}

/// Fewest channels, in and out, for which the transforms cost less than the products saved.
const WINOGRAD_CHANNELS: usize = 16;

/// The form for a kernel of `size`, `dilation`, input and output channels.
pub(super) fn choose(isa: Isa, dtype: DType, size: usize, dilation: usize, channels: usize, outputs: usize) -> Form {
    let wide = channels >= WINOGRAD_CHANNELS && outputs >= WINOGRAD_CHANNELS;
    let vectors = dtype == DType::F32 && isa != Isa::Portable;
    if size == 3 && dilation <= 2 && wide && vectors { Form::Winograd } else { Form::Direct }
}
