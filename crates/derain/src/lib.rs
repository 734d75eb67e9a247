//! Takes rain out of pictures.
//!
//! This crate gathers the members of the workspace under one name and adds nothing of its own:
//!
//! | module | crate | holds |
//! | --- | --- | --- |
//! | [`ops`] | `derain-ops` | IRNN scans and RLCN with gradients, convolution for inference, as candle operations |
//! | [`models`] | `derain-models` | SPANet, RRANet, weight import, [`Derainer`] |
//! | [`data`] | `derain-data` | pictures and frames, clean images of rain videos, rain synthesis, data sets |
//! | [`metrics`] | `derain-metrics` | PSNR, SSIM, evaluation protocols |
//! | [`train`] | `derain-train` | training: losses, Adam, schedules, checkpoints, exact resume |
//!
#![cfg_attr(feature = "pretrained", doc = "```no_run")]
#![cfg_attr(not(feature = "pretrained"), doc = "```ignore")]
//! use derain::{Derainer, Device, Network};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let derainer = Derainer::pretrained(Network::SpaNet, &Device::Cpu)?;   // or from_weights, with a file
//! let picture = derain::data::load_picture("rainy.jpg")?;
//! let clean = derainer.derain_dynamic(&picture.image)?;    // bit depth and alpha kept
//! let out = derainer.derain(&picture.image.to_rgb8())?;    // out.image: RgbImage, out.attention: Option<GrayImage>
//! # Ok(()) }
//! ```

pub use candle_core::Device;
pub use derain_data as data;
pub use derain_metrics as metrics;
pub use derain_models as models;
pub use derain_models::{Derained, DerainedPicture, Derainer, Network, Placement, Precision};
pub use derain_ops as ops;
pub use derain_train as train;
