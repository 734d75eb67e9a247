//! Planes of pictures to tensors and back.

use candle_core::{Device, Tensor};
use image::{GrayImage, RgbImage};
use ndarray::Array3;

use crate::Result;

/// Colour channels.
const COLOURS: usize = 3;

/// Samples' planes R, G, B one after the other as `[B, 3, H, W]`, blue first if the network wants that.
pub(crate) fn to_tensor(planes: &[f32], [height, width]: [usize; 2], bgr: bool, device: &Device) -> Result<Tensor> {
    let pixels = height * width;
    let samples = planes.len() / (COLOURS * pixels).max(1);
    let shape = (samples, COLOURS, height, width);
    if !bgr {
        return Ok(Tensor::from_slice(planes, shape, device)?);
    }
    let mut swapped = Vec::with_capacity(planes.len());
    for sample in planes.chunks_exact(COLOURS * pixels) {
        sample.chunks_exact(pixels).rev().for_each(|plane| swapped.extend_from_slice(plane));
    }
    Ok(Tensor::from_vec(swapped, shape, device)?)
}

/// One sample's planes `[3, H, W]`, in the network's order of colours, as a picture `[H, W, 3]` of R, G, B, clamped to 0..1.
pub(crate) fn to_picture(planes: &[f32], [height, width]: [usize; 2], bgr: bool) -> Array3<f32> {
    Array3::from_shape_fn((height, width, COLOURS), |(y, x, c)| {
        let plane = if bgr { COLOURS - 1 - c } else { c };
        planes[(plane * height + y) * width + x].clamp(0.0, 1.0)
    })
}

/// A picture `[H, W, 3]` in 0..1 at 8 bits.
pub(crate) fn to_rgb(picture: &Array3<f32>) -> RgbImage {
    let (height, width, _) = picture.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        image::Rgb([0, 1, 2].map(|c| to_8_bits(picture[(y as usize, x as usize, c)])))
    })
}

/// A plane in 0..1 at 8 bits.
pub(crate) fn to_grey(plane: &[f32], [height, width]: [usize; 2]) -> GrayImage {
    GrayImage::from_fn(width as u32, height as u32, |x, y| {
        image::Luma([to_8_bits(plane[y as usize * width + x as usize])])
    })
}

fn to_8_bits(value: f32) -> u8 {
    // Casts cut to 0..=255.
    (255.0 * value).round() as u8
}
