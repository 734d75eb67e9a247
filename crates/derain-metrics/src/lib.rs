//! PSNR and SSIM as image restoration reports them.
//!
//! | item | does |
//! | --- | --- |
//! | [`psnr()`] | peak signal-to-noise ratio of two arrays `[H, W, C]` |
//! | [`Ssim`] | structural similarity of two arrays `[H, W, C]`, as a score or a map |
//! | [`Protocol`] | both, with every choice made: `rgb`, `y` or `spanet`; arrays and `image` pictures |
//! | [`pairing`] | which test picture belongs to which reference picture, by name |
//!
//! A figure means something only beside the choices behind it: channels or luma, window, covariance, data range,
//! borders. The protocols name them. All arithmetic is in `f64`, runs on rayon's threads, and gives the same bits for
//! any number of them. scikit-image is the oracle of the tests.
//!
//! ```
//! use derain_metrics::{Protocol, psnr};
//! use ndarray::{Array3, array};
//!
//! # fn main() -> Result<(), derain_metrics::Error> {
//! let a = array![[[0.5], [0.5]]];
//! let b = array![[[0.5], [0.7]]]; // mean squared error 0.02
//! assert!((psnr(&a, &b, 1.0)? - 16.9897).abs() < 1e-4);
//!
//! let (clean, rainy) = (Array3::from_elem((16, 16, 3), 0.5), Array3::from_elem((16, 16, 3), 0.6));
//! let scores = Protocol::Rgb.score(&clean, &rainy)?;
//! assert!((scores.psnr - 20.0).abs() < 1e-9 && scores.ssim < 1.0);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod check;
mod error;
mod luma;
pub mod pairing;
mod picture;
pub mod protocol;
pub mod psnr;
pub mod ssim;

pub use check::Sample;
pub use error::{Error, Result, Side};
#[cfg(feature = "image")]
pub use image;
// With `image`, the crate whose types stand in the interface: taken from here, its version fits.
pub use ndarray;
pub use picture::{Float, Picture};
pub use protocol::{Protocol, Scores};
pub use psnr::psnr;
pub use ssim::{Covariance, Ssim, Window};
