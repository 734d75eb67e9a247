//! Rain that was never there: seeded, physically shaped rain over clean pictures, single or as video.
//!
//! Drops fill a box in front of the camera evenly, from a nearest distance (1) to `depth` times that, so
//! their number grows with distance squared while width, length and movement on the sensor shrink as one
//! over distance. During the exposure a drop of width w is smeared along its path of length l = speed ·
//! exposure; its image is the exact line integral of a round footprint of radius
//! r = √((w/2)² + (c/2)² + p²), with c the circle of confusion and p the pixel's own blur:
//!
//! ```text
//! a(u, s) = A · ∫ k((σ² + u²) / r²) dσ over σ in [s − l, s]       k(q) = min(1, g · (1 − q)) ≥ 0
//! ```
//!
//! (u across, s along the path; g = 1 is a soft dab, large g a disc with an edge, as out-of-focus drops
//! have). What defocus and pixels spread is divided out of A, so far drops fade by themselves. A drop
//! refracts a wide angle of its surroundings into each pixel it crosses (Garg and Nayar, "Vision and
//! rain", IJCV 2007), so the picture behind is blended towards the light around, in linear light:
//!
//! ```text
//! out = bg · (1 − a) + a · L,        1 − a = Π (1 − a_i),        L = strongly blurred, brightened bg
//! ```
//!
//! Dark places show the rain, bright sky hides it. Where no drop passed, out = bg to the bit.
//!
//! | type | is |
//! | --- | --- |
//! | [`RainOptions`] | one kind of rain, camera and weather; presets by [`Density`] |
//! | [`RainRange`] | from where to draw options for a data set |
//! | [`RainScene`] | the drops; frame t depends on the options, the seed and t alone, in any order |
//! | [`RainLayer`] | one frame's opacity map |
//! | [`Backdrop`] | a picture with its light and veil, ready to be rained on |
//! | [`CameraShake`] | small camera movement, with the truth known |
//!
//! Units: pixels, seconds, degrees; sensor noise in 8-bit steps. Equal seeds give equal bits for any number of
//! threads, on one build and machine (elsewhere sines and exponentials may round otherwise).
//!
//! ```
//! use derain_data::synthesis::{Density, RainOptions, RainScene};
//! use image::{Rgb, RgbImage};
//!
//! # fn main() -> Result<(), derain_data::Error> {
//! let clean = RgbImage::from_pixel(64, 48, Rgb([40, 60, 50]));
//! let scene = RainScene::new(&RainOptions::preset(Density::Normal), 64, 48, 7)?;
//! let first = scene.render(&clean, 0)?;
//! assert!(first.rainy != clean && first.background == clean);
//! assert_eq!(first, scene.render(&clean, 0)?);
//! # Ok(())
//! # }
//! ```

mod backdrop;
mod degrade;
mod layer;
mod light;
mod options;
mod psnr;
mod random;
mod range;
mod scene;
mod shake;
mod srgb;
mod streak;
#[cfg(test)]
mod tests;

pub use crate::Density;
pub use backdrop::{Backdrop, RainyPicture};
pub use layer::RainLayer;
pub use options::{Blending, Bokeh, RainOptions};
pub use psnr::psnr;
pub use range::RainRange;
pub use scene::RainScene;
pub use shake::{CameraShake, ShakeSteps};
