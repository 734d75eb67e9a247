//! The operations that deraining networks need and tensor libraries lack, as [`candle_core`] custom operations.
//!
//! | operation | what it computes | source |
//! | --- | --- | --- |
//! | [`irnn()`] | four directional scans with a ReLU, one weight and bias per channel and direction | SPANet, CVPR 2019, Eq. 5 |
//! | [`irnn_directional`] | the same, each direction multiplied by a weight map | SPANet, section 4.2 |
//! | [`conv2d()`] | 1x1 and 3x3 convolution with bias and ReLU, for inference | |
//! | [`rlcn()`] | rectified local contrast normalization | RRANet, MVA 2021, Eq. 2 |
//!
//! All but the convolution have gradients; all run in f32 and f64 on the CPU and give the same bits for any number of threads.
//! The f32 kernels use AVX-512 or AVX2 with FMA where the processor has them ([`Isa`] is the one place that looks).
//!
//! Each operation is a folder: `mod.rs` (formula, shapes, entry point), `reference.rs` (the readable version that
//! everything else is tested against), `cpu` (slices in, slices out), `op.rs` (glue to candle), `tests.rs`.

mod buffer;
pub mod conv2d;
mod element;
mod error;
pub mod irnn;
mod plane;
pub mod rlcn;
mod simd;
mod storage;
#[cfg(test)]
mod testing;

pub use conv2d::{Activation, Conv2dOptions, conv2d};
pub use error::{Error, Result};
pub use irnn::{irnn, irnn_directional};
pub use plane::Planes;
pub use rlcn::{RlcnOptions, rlcn};
pub use simd::Isa;
