//! Which form serves which convolution: a table, so that results depend neither on a picture's size nor on a
//! measurement.
//!
//! GFLOP/s of the formula (2·K²·C·O a pixel), two threads, a picture of 512x512, by `cargo bench --bench conv2d` on an
//! Intel Xeon with AVX-512 whose register-bound peak in the same run was 340 (AVX-512):
//!
//! | kernel | AVX-512 direct | Winograd | AVX2 direct | Winograd |
//! | --- | --- | --- | --- | --- |
//! | 3x3, 32 to 32 | 262 | **608** | 92 | **315** |
//! | 3x3, 32 to 32, dilation 2 | 299 | **585** | 93 | **311** |
//! | 3x3, 128 to 32 | 287 | **646** | 138 | **326** |
//! | 3x3, 3 to 32 | **170** | 114 | **53** | 83 |
//! | 1x1, 32 to 32 | **119** | – | **49** | – |
//!
//! Bold is what the table takes. From 3 channels AVX2 would gain by Winograd's form, too, at a hundredth of a network's
//! work; one rule serves both. Portable vectors have no measurement yet and stay with the form of fewer roundings; so
//! does f64, which checks gradients.

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
