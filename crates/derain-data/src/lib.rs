//! Pictures in, pictures out: loading with limits, encoding without silent loss, durable writes.
//!
//! | function | does |
//! | --- | --- |
//! | [`load_picture`] | reads BMP, JPEG, PNG, PNM, TIFF or WebP, upright, within a memory limit |
//! | [`save_picture`] | writes the format that the file name asks for, or says why it cannot |
//! | [`write_durably`] | replaces a file so that a kill leaves the old or the new one, never a part |
//! | [`remove_orphans`] | removes what a killed [`write_durably`] left behind |
//! | [`find_pictures`] | lists the pictures below a folder in natural order |
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
#![forbid(unsafe_code)]

mod durable;
mod encode;
mod error;
mod find;
mod jpeg;
mod load;
mod netpbm;
mod orphans;
mod png_exif;
pub mod synthesis;
mod temporary;

pub use durable::write_durably;
pub use encode::{check_format, encode_picture, output_format, save_picture};
pub use error::Error;
pub use find::{find_pictures, is_picture_name};
pub use load::{LoadOptions, Picture, load_picture, load_picture_with};
pub use orphans::remove_orphans;
