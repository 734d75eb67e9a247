//! The operations that deraining networks need and tensor libraries lack, as [`candle_core`] custom operations.
//!
//! | operation | what it computes | source |
//! | --- | --- | --- |
//! | [`irnn()`] | four directional scans with a ReLU, one weight and bias per channel and direction | SPANet, CVPR 2019, Eq. 5 |
//! | [`irnn_directional`] | the same, each direction multiplied by a weight map | SPANet, section 4.2 |
//! | [`conv2d()`], [`conv2d_residual`] | 1x1 and 3x3 convolution with bias, ReLU, scale and residual | |
//! | [`max_pool2d()`], [`upsample2x()`] | the steps down and up of U-Nets; upsampling nearest or bilinear | |
//! | [`batch_norm_train`], [`batch_norm_eval`], [`instance_norm`] | normalization by statistics of the batch, running statistics, or the picture's own | Ioffe and Szegedy, ICML 2015 |
//! | [`lstm_gates()`] | what a convolutional LSTM does with its gates, in one pass | Shi et al., NIPS 2015 |
//! | [`rlcn()`] | rectified local contrast normalization | RRANet, MVA 2021, Eq. 2 |
//! | [`ssim()`] | mean structural similarity of two pictures, the training loss of both networks | Wang et al., IEEE TIP 2004 |
//! | [`temporal`] | mode and percentiles over time of the frames of a still scene (bytes, not tensors) | SPANet, section 3 |
//!
//! Every operation on tensors has gradients. On the CPU operations run in f32 and f64 and give the same bits for any
//! number of threads; their f32 kernels use AVX-512 or AVX2 with FMA where the processor has them ([`Isa`] is the one
//! place that looks). On NVIDIA GPUs, with the feature `cuda`, they also run in f16 and bf16; [`device::cuda`] opens a
//! GPU.
//!
//! Each operation is a folder: `mod.rs` (formula, shapes, entry point), `reference.rs` (the readable version that
//! everything else is tested against), `cpu` (slices in, slices out), `op.rs` (glue to candle), `tests.rs`.
//!
//! Modules that this page does not list are public for the workspace's other crates and the benches alone. They may
//! change in any release, and may panic where they are called wrongly.

pub mod batch_norm;
#[doc(hidden)]
pub mod buffer;
pub mod conv2d;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
pub mod device;
mod element;
mod error;
#[cfg(test)]
mod finite_differences;
mod interleave;
pub mod irnn;
pub mod lstm_gates;
pub mod max_pool2d;
#[doc(hidden)]
pub mod one_line;
#[doc(hidden)]
pub mod pixels;
mod plane;
#[doc(hidden)]
pub mod rect;
mod relu;
#[doc(hidden)]
pub mod reuse;
pub mod rlcn;
mod simd;
pub mod ssim;
#[doc(hidden)]
pub mod storage;
pub mod temporal;
#[doc(hidden)]
pub mod temporary;
#[cfg(test)]
mod testing;
#[doc(hidden)]
pub mod update;
pub mod upsample2x;

pub use batch_norm::{BatchNormOutput, batch_norm_eval, batch_norm_train, instance_norm};
// Its tensors stand in the interface: taken from here, its version fits.
pub use candle_core;
pub use conv2d::{Activation, Conv2dOptions, conv2d, conv2d_residual};
pub use element::Element;
pub use error::{Error, Result};
pub use irnn::{irnn, irnn_directional};
pub use lstm_gates::{LstmState, lstm_gates};
pub use max_pool2d::max_pool2d;
pub use plane::Planes;
pub use rlcn::{RlcnOptions, rlcn};
pub use simd::Isa;
pub use ssim::{SsimOptions, ssim};
pub use upsample2x::{Upsampling, upsample2x};
