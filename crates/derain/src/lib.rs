//! Takes rain out of pictures.
//!
//! This crate gathers the members of the workspace under one name and adds nothing of its own:
//!
//! | module | crate | holds |
//! | --- | --- | --- |
//! | [`ops`] | `derain-ops` | IRNN scans, RLCN, convolution, pooling, norms, LSTM gates, SSIM as a loss: candle operations with gradients |
//! | [`models`] | `derain-models` | SPANet, RRANet, weight import, [`Derainer`] |
//! | [`data`] | `derain-data` | pictures and frames, clean images of rain videos, rain synthesis, data sets |
//! | [`metrics`] | `derain-metrics` | PSNR, SSIM, evaluation protocols |
//! | [`train`] | `derain-train` | training: losses, Adam, schedules, checkpoints, exact resume |
//!
//! | feature | adds |
//! | --- | --- |
//! | `pretrained`, on by default | trained weights of both networks, inside the library: `Derainer::pretrained` |
//! | `cuda`, `cudnn` | NVIDIA GPUs, which [`cuda`] opens; convolutions by cuDNN |
//! | `video` | reading and writing videos by FFmpeg's libraries |
//! | `review` | judging clean images on a local web page |
//! | `mpi` | training on several machines |
//!
#![cfg_attr(feature = "pretrained", doc = "```no_run")]
#![cfg_attr(not(feature = "pretrained"), doc = "```ignore")]
//! use derain::data::{load_picture, save_picture};
//! use derain::{Derainer, Device, Network};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let derainer = Derainer::pretrained(Network::SpaNet, &Device::Cpu)?;   // or from_weights, with a file
//! let picture = load_picture("rainy.jpg")?;
//! let out = derainer.derain(&picture.image.to_rgb8())?;    // out.image: RgbImage, out.attention: Option<GrayImage>
//! let clean = derainer.derain_dynamic(&picture.image)?;    // bit depth and alpha kept
//! save_picture("clean.png", &picture.with_image(clean))?;
//! # Ok(()) }
//! ```
//!
//! [`candle_core`], [`candle_nn`], [`image`] and [`ndarray`], whose types stand in the interface, can be taken from here, so that their versions
//! fit. Every member has an error type of its own ([`models::Error`], [`data::Error`] and so on); causes are in their `source()`.
//!
//! # In servers
//! - One [`Derainer`] serves all threads (it is `Send` and `Sync`); a clone shares its weights. On a GPU, open the device with [`cuda`].
//! - A call keeps all threads of the current rayon pool busy, so more calls at once make each slower and take a multiple of the memory. A queue in
//!   front of one or two plain threads does best. From asynchronous code use what it has for blocking work; do not call it from a `par_iter` over
//!   pictures. To leave processors free, call it within a pool of fewer threads: `pool.install(|| derainer.derain(&picture))`.
//! - [`Derainer::with_max_memory`] is a limit for each call, [`Derainer::memory_needed`] tells beforehand. Read what users send with
//!   [`data::load_picture_from`], whose [`data::LoadOptions`] bound a picture's size before anything is decoded.
//! - [`Derainer::derain_dynamic_until`] ends a picture that nobody waits for any more, on the CPU.
//! - Wrong pictures and files are errors, not panics; whether a GPU was full, `is_out_of_memory` of [`models::Error`] and [`train::Error`] tells.
//!   Libraries print nothing.

pub use candle_core;
pub use candle_core::Device;
pub use candle_nn;
pub use derain_data as data;
pub use derain_metrics as metrics;
pub use derain_models as models;
pub use derain_models::{Derained, DerainedPicture, Derainer, Network, Placement, Precision, heat_map};
pub use derain_ops as ops;
pub use derain_ops::device::cuda;
pub use derain_train as train;
pub use image;
pub use ndarray;

// README's code, compiled and run as a test of the documentation.
#[cfg(all(doctest, feature = "pretrained"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
