//! Planes of pictures to tensors and back.

use candle_core::{DType, Device, Tensor};
use derain_data::dataset::Batch;
use image::{GrayImage, RgbImage};
use ndarray::Array3;

use crate::Result;

/// Colour channels.
const COLOURS: usize = 3;

/// Planes of pictures of one size, R, G, B, picture after picture, as a tensor `[B, 3, H, W]` in f32: a half of a
/// [`Batch`] or of a [`Sample`](derain_data::dataset::Sample).
///
/// # Errors
/// When the planes are not those of whole pictures, or the device has no room.
pub fn to_tensor(planes: &[f32], [height, width]: [usize; 2], device: &Device) -> Result<Tensor> {
    let pictures = planes.len() / (COLOURS * height * width).max(1);
    Ok(Tensor::from_slice(planes, (pictures, COLOURS, height, width), device)?)
}

/// The rainy and the clean pictures of a batch, each `[B, 3, H, W]` in f32, R, G, B in 0..1. Where it rains in them,
/// [`rain_mask`](crate::rain_mask) tells.
///
/// # Errors
/// As [`to_tensor`].
pub fn to_tensors(batch: &Batch, device: &Device) -> Result<[Tensor; 2]> {
    let tensor = |planes: &[f32]| to_tensor(planes, [batch.height, batch.width], device);
    Ok([tensor(&batch.rainy)?, tensor(&batch.clean)?])
}

/// The pictures `[H, W, C]` of a tensor `[B, C, H, W]` of any floating-point type on any device, clamped to 0..1: what
/// [`Protocol::score`](derain_metrics::Protocol::score) takes, for C = 3, or 1 as of an attention map. NaN stays NaN.
///
/// # Errors
/// When the tensor has not four dimensions.
pub fn to_pictures(tensor: &Tensor) -> Result<Vec<Array3<f32>>> {
    let (batch, channels, height, width) = tensor.dims4()?;
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let length = channels * height * width;
    Ok((0..batch).map(|index| to_picture(&values[index * length..][..length], [height, width])).collect())
}

/// Pictures `[B, 3, H, W]` from R, G, B to B, G, R or back, if the network wants blue first.
pub(crate) fn reordered(pictures: Tensor, bgr: bool) -> Result<Tensor> {
    if bgr { Ok(pictures.flip(&[1])?) } else { Ok(pictures) }
}

/// One picture's planes `[C, H, W]` as `[H, W, C]`, clamped to 0..1.
pub(crate) fn to_picture(planes: &[f32], [height, width]: [usize; 2]) -> Array3<f32> {
    let channels = planes.len() / (height * width).max(1);
    Array3::from_shape_fn((height, width, channels), |(y, x, c)| planes[(c * height + y) * width + x].clamp(0.0, 1.0))
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

#[cfg(test)]
mod tests {
    use derain_data::dataset::Position;

    use super::*;

    #[test]
    fn batches_become_tensors_and_tensors_pictures() -> Result<()> {
        // Two pictures of one row and two pixels.
        let rainy: Vec<f32> = (0..12u8).map(|value| f32::from(value) / 16.0).collect();
        let clean = vec![0.25; 12];
        let batch = Batch { rainy, clean, indices: vec![4, 2], height: 1, width: 2, position: Position::default() };
        let [rainy, clean] = to_tensors(&batch, &Device::Cpu)?;
        assert_eq!((rainy.dims(), clean.dims()), (&[2, 3, 1, 2][..], &[2, 3, 1, 2][..]));
        let pictures = to_pictures(&rainy)?;
        assert_eq!(pictures.len(), 2);
        // The second picture's right pixel: planes of two values after the six of the first picture.
        assert_eq!(pictures[1].dim(), (1, 2, 3));
        assert_eq!([0, 1, 2].map(|c| 16.0 * pictures[1][(0, 1, c)]), [7.0, 9.0, 11.0]);
        assert_eq!(to_pictures(&rainy.to_dtype(DType::F64)?)?, pictures);
        Ok(())
    }

    #[test]
    fn pictures_are_clamped_and_may_be_grey() -> Result<()> {
        let map = Tensor::new(&[[[[-1f32, 0.5, 2.0]]]], &Device::Cpu)?;
        assert_eq!(to_pictures(&map)?, [Array3::from_shape_vec((1, 3, 1), vec![0.0, 0.5, 1.0]).expect("three values")]);
        assert!(to_pictures(&map.squeeze(0)?).is_err());
        assert!(to_tensor(&[0.0; 7], [1, 2], &Device::Cpu).is_err());
        Ok(())
    }

    #[test]
    fn blue_comes_first_where_it_is_wanted_and_goes_back() -> Result<()> {
        let colours = Tensor::new(&[[[[1f32]], [[2.0]], [[3.0]]]], &Device::Cpu)?;
        let swapped = reordered(colours.clone(), true)?;
        assert_eq!(swapped.flatten_all()?.to_vec1::<f32>()?, [3.0, 2.0, 1.0]);
        assert_eq!(reordered(swapped, true)?.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0, 3.0]);
        assert_eq!(reordered(colours, false)?.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0, 3.0]);
        Ok(())
    }
}
