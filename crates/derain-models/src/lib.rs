//! Deraining networks, their weights, and [`Derainer`]: a picture in, the picture without rain out.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spanet`] | SPANet (CVPR 2019): the paper's form, the release's form, the variants of its Table 4 |
//! | [`weights`] | reads checkpoints (.pth and safetensors) without running anything that they contain |
//!
//! This crate reads and writes bytes and pixel buffers; picture files are `derain-data`'s.
//!
//! ```no_run
//! use derain_models::{Derainer, Network};
//! let derainer = Derainer::from_weights(Network::SpaNet, "spanet.pth", &candle_core::Device::Cpu)?;
//! let rainy = image::RgbImage::new(640, 480);
//! let out = derainer.derain(&rainy)?;
//! assert_eq!(out.image.dimensions(), rainy.dimensions());
//! # Ok::<(), derain_models::Error>(())
//! ```

mod derainer;
mod engine;
mod error;
mod heat_map;
mod network;
mod parameters;
mod pixels;
pub mod spanet;
pub mod weights;

pub use derainer::{Derained, DerainedPicture, Derainer};
pub use error::{Error, Result};
pub use heat_map::heat_map;
pub use network::Network;
pub use spanet::{Spanet, SpanetConfig, SpanetOutput};
