//! Deraining networks, their weights, and [`Derainer`]: a picture in, the picture without rain out.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spanet`] | SPANet (CVPR 2019): the paper's form, the release's form, the variants of its Table 4 |
//! | [`rranet`] | RRANet (MVA 2021): six recurrent stages of a U-Net guided by local contrast |
//! | [`weights`] | reads checkpoints (.pth and safetensors) without running anything that they contain |
//!
//! This crate reads and writes bytes and pixel buffers; picture files are `derain-data`'s.
//!
#![cfg_attr(feature = "pretrained", doc = "```")]
#![cfg_attr(not(feature = "pretrained"), doc = "```ignore")]
//! use derain_models::{Derainer, Device, Network};
//! let derainer = Derainer::pretrained(Network::SpaNet, &Device::Cpu)?;   // or from_weights, with a file
//! let rainy = image::RgbImage::new(640, 480);
//! let out = derainer.derain(&rainy)?;
//! assert_eq!(out.image.dimensions(), rainy.dimensions());
//! # Ok::<(), derain_models::Error>(())
//! ```

mod bands;
mod conv;
mod derainer;
mod engine;
mod error;
mod heat_map;
mod model;
mod network;
mod output;
mod parameters;
mod pictures;
mod pixels;
mod precision;
#[cfg(feature = "pretrained")]
mod pretrained;
pub mod rranet;
pub mod spanet;
#[cfg(test)]
mod testing;
mod weight_file;
pub mod weights;

// With `image`, crates whose types stand in the interface: taken from here, their versions fit.
pub use candle_core::{self, Device};
pub use candle_nn;
pub use derainer::{Derained, DerainedPicture, Derainer};
pub use error::{Error, Result};
pub use heat_map::heat_map;
pub use image;
pub use network::Network;
pub use precision::{Placement, Precision};
pub use rranet::{RraNet, RraNetConfig, RraNetOutput};
pub use spanet::{SpaNet, SpaNetConfig, SpaNetOutput};
