//! BT.601 luma as a real number: what motion and rain are measured on. Clean images vote on the integer form of the
//! release.

use image::RgbImage;
use rayon::prelude::*;

use crate::pixels::pixels;

/// Weights of red, green and blue.
const WEIGHTS: [f32; 3] = [0.299, 0.587, 0.114];

/// Of one pixel, 0 to 255.
pub(crate) fn luma(pixel: &[u8; 3]) -> f32 {
    WEIGHTS[0] * f32::from(pixel[0]) + WEIGHTS[1] * f32::from(pixel[1]) + WEIGHTS[2] * f32::from(pixel[2])
}

/// Of every pixel, row by row.
pub(crate) fn luma_of(picture: &RgbImage) -> Vec<f32> {
    pixels(picture).as_chunks::<3>().0.par_iter().map(luma).collect()
}
