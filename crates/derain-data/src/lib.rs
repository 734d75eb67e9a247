//! Pictures and frames in, pictures and data sets out: loading with limits, clean images of rain videos, rain
//! synthesis, durable writes.
//!
//! | function | does |
//! | --- | --- |
//! | [`load_picture`] | reads BMP, JPEG, PNG, PNM, TIFF or WebP, upright, within a memory limit ([what becomes of what](load)) |
//! | [`load_picture_from`] | the same from bytes in memory |
//! | [`picture_size`] | how large a picture is, by its header alone |
//! | [`save_picture`] | writes the format that the file name asks for, or says why it cannot ([what each holds](encode)) |
//! | [`write_durably`] | replaces a file so that a kill leaves the old or the new one, never a part |
//! | [`remove_orphans`] | removes what a killed [`write_durably`] left behind |
//! | [`find_pictures`] | lists the pictures below a folder in natural order |
//! | [`StillnessCheck`], [`Registration`] | notice a camera that moved, undo small movements ([how](register)) |
//! | [`open_frames`] | reads the frames of a folder, a `.y4m` file or, with the feature `video`, a video ([what counts as a frame](frames)) |
//! | `transcode` | from a video to a video with other frames, sound and times kept, with the feature `video` |
//! | [`dataset`] | pairs of pictures: readers, augmentation, prefetching loader, building a set from rain videos |
//! | [`judge`] | accepting or rejecting clean images, with more frames on demand |
//! | `review` | a web page on which a person judges, with the feature `review` |
//! | [`CleanImage`] | the clean picture of a still scene from the frames of a rain video |
//! | [`Shard`] | one machine's share of a job |
//! | [`synthesis`] | rain over clean pictures, single or as video, with the truth known |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use derain_data::{Picture, load_picture, save_picture};
//! use image::{DynamicImage, GrayImage};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("two.png");
//! let grey = GrayImage::from_vec(2, 1, vec![0, 255]).ok_or("two samples")?;
//! save_picture(&path, &Picture::from(DynamicImage::ImageLuma8(grey)))?;
//! assert_eq!(load_picture(&path)?.image.as_bytes(), [0, 255]);
//! # Ok(())
//! # }
//! ```
// Forbidden where FFmpeg is not: `frames/transcode/fields.rs` alone needs it.
#![cfg_attr(not(feature = "video"), forbid(unsafe_code))]
#![deny(unsafe_code)]

mod amounts;
mod brief_debug;
pub mod clean;
pub mod dataset;
mod density;
mod durable;
pub mod encode;
mod error;
mod exif;
mod find;
pub mod frames;
mod hash;
#[doc(hidden)]
pub mod hex;
mod jpeg;
pub mod judge;
pub mod load;
mod lock;
mod luma;
mod netpbm;
mod orphans;
#[doc(hidden)]
pub mod paths;
mod pixels;
mod png;
pub mod register;
#[cfg(feature = "review")]
pub mod review;
mod shard;
mod size;
pub mod synthesis;
mod temporary;
#[doc(hidden)]
pub mod text;
mod tiff_pages;

pub use clean::{CleanImage, CleanOptions, CleanResult};
pub use density::Density;
pub use durable::{write_durably, write_durably_with};
pub use encode::{check_format, encode_picture, output_format, save_picture};
pub use error::{Error, Result};
pub use find::{find_files, find_pictures, is_picture_name};
#[cfg(feature = "video")]
pub use frames::transcode;
pub use frames::{FrameOptions, FrameSource, Y4mWriter, open_frames};
pub use load::{LoadOptions, Picture, load_picture, load_picture_from, load_picture_with};
pub use orphans::remove_orphans;
pub use register::{
    Camera, Insets, Motion, MotionModel, MotionOptions, Registered, Registration, Resampling, STILL_LIMIT,
    StillnessCheck, steady,
};
pub use shard::Shard;
pub use size::picture_size;
