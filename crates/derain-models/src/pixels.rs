//! Between pictures and pixels of f32 in 0..1.

use std::ops::Range;

use image::{DynamicImage, GenericImageView, GrayImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};
use rayon::prelude::*;

use crate::{Error, Result};

/// Values of a pixel.
const COLOURS: usize = 3;
/// Values that one task takes where each is on its own: a few rows.
const PIECE: usize = COLOURS << 12;

/// A picture's pixels, red, green and blue side by side, rows contiguous, values in 0..1.
pub(crate) struct RgbPixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) values: Vec<f32>,
}

impl RgbPixels {
    /// Some of the rows, as a picture.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        let row = COLOURS * self.width as usize;
        let values = self.values[rows.start * row..rows.end * row].to_vec();
        Self { width: self.width, height: rows.len() as u32, values }
    }

    /// Column and row of the first pixel with a value that is NaN or infinite.
    pub(crate) fn first_not_finite(&self) -> Option<(u32, u32)> {
        let pieces = self.values.par_chunks(PIECE);
        let piece = pieces.position_first(|values| values.iter().any(|value| !value.is_finite()))?;
        let at = piece * PIECE + self.values[piece * PIECE..].iter().position(|value| !value.is_finite())?;
        let (pixel, width) = (at / 3, self.width as usize);
        Some(((pixel % width) as u32, (pixel / width) as u32))
    }

    /// From red, green, blue to blue, green, red, or back.
    pub(crate) fn reverse_colours(&mut self) {
        self.values
            .par_chunks_mut(PIECE)
            .for_each(|values| values.chunks_exact_mut(COLOURS).for_each(|pixel| pixel.swap(0, 2)));
    }
}

/// A channel's storage type and how it stands for 0..1.
pub(crate) trait Depth: image::Primitive + Send + Sync {
    fn to_unit(self) -> f32;
    fn from_unit(value: f32) -> Self;
}

macro_rules! integer_depth {
    ($type:ty) => {
        impl Depth for $type {
            fn to_unit(self) -> f32 {
                f32::from(self) / f32::from(<$type>::MAX)
            }

            fn from_unit(value: f32) -> Self {
                (value.clamp(0.0, 1.0) * f32::from(<$type>::MAX)).round() as $type
            }
        }
    };
}
integer_depth!(u8);
integer_depth!(u16);

impl Depth for f32 {
    fn to_unit(self) -> f32 {
        self
    }

    fn from_unit(value: f32) -> Self {
        value.clamp(0.0, 1.0)
    }
}

/// Refuses a picture without pixels.
pub(crate) fn check_size(picture: &DynamicImage) -> Result<()> {
    match picture.dimensions() {
        (width, height) if width == 0 || height == 0 => Err(Error::EmptyPicture { width, height }),
        _ => Ok(()),
    }
}

/// The colours of a picture that has pixels; grey is repeated in all three, alpha is left out, float values are clamped
/// to 0..1.
pub(crate) fn to_pixels(picture: &DynamicImage) -> Result<RgbPixels> {
    match picture {
        DynamicImage::ImageLuma8(image) => pixels(image, |p: &Luma<u8>| [p.0[0]; 3]),
        DynamicImage::ImageLumaA8(image) => pixels(image, |p: &LumaA<u8>| [p.0[0]; 3]),
        DynamicImage::ImageRgb8(image) => pixels(image, |p: &Rgb<u8>| p.0),
        DynamicImage::ImageRgba8(image) => pixels(image, |p: &Rgba<u8>| [p.0[0], p.0[1], p.0[2]]),
        DynamicImage::ImageLuma16(image) => pixels(image, |p: &Luma<u16>| [p.0[0]; 3]),
        DynamicImage::ImageLumaA16(image) => pixels(image, |p: &LumaA<u16>| [p.0[0]; 3]),
        DynamicImage::ImageRgb16(image) => pixels(image, |p: &Rgb<u16>| p.0),
        DynamicImage::ImageRgba16(image) => pixels(image, |p: &Rgba<u16>| [p.0[0], p.0[1], p.0[2]]),
        DynamicImage::ImageRgb32F(image) => pixels(image, |p: &Rgb<f32>| p.0),
        DynamicImage::ImageRgba32F(image) => pixels(image, |p: &Rgba<f32>| [p.0[0], p.0[1], p.0[2]]),
        other => Err(Error::PixelFormat { format: format!("{:?}", other.color()) }),
    }
}

/// `original` with new colours: same type, depth and alpha. A grey picture gets the mean of the three colours.
pub(crate) fn with_colours(original: &DynamicImage, pixels: &RgbPixels) -> Result<DynamicImage> {
    fn grey([r, g, b]: [f32; 3]) -> f32 {
        (r + g + b) / 3.0
    }
    fn rgb<T: Depth>(colour: [f32; 3]) -> [T; 3] {
        colour.map(T::from_unit)
    }
    fn rgba<T: Depth>(colour: [f32; 3], alpha: T) -> [T; 4] {
        let [r, g, b] = rgb(colour);
        [r, g, b, alpha]
    }
    let mut out = original.clone();
    match &mut out {
        DynamicImage::ImageLuma8(image) => recolour(image, pixels, |p, c| p.0 = [u8::from_unit(grey(c))]),
        DynamicImage::ImageLumaA8(image) => recolour(image, pixels, |p, c| p.0[0] = u8::from_unit(grey(c))),
        DynamicImage::ImageRgb8(image) => recolour(image, pixels, |p, c| p.0 = rgb(c)),
        DynamicImage::ImageRgba8(image) => recolour(image, pixels, |p, c| p.0 = rgba(c, p.0[3])),
        DynamicImage::ImageLuma16(image) => recolour(image, pixels, |p, c| p.0 = [u16::from_unit(grey(c))]),
        DynamicImage::ImageLumaA16(image) => recolour(image, pixels, |p, c| p.0[0] = u16::from_unit(grey(c))),
        DynamicImage::ImageRgb16(image) => recolour(image, pixels, |p, c| p.0 = rgb(c)),
        DynamicImage::ImageRgba16(image) => recolour(image, pixels, |p, c| p.0 = rgba(c, p.0[3])),
        DynamicImage::ImageRgb32F(image) => recolour(image, pixels, |p, c| p.0 = rgb(c)),
        DynamicImage::ImageRgba32F(image) => recolour(image, pixels, |p, c| p.0 = rgba(c, p.0[3])),
        other => return Err(Error::PixelFormat { format: format!("{:?}", other.color()) }),
    }
    Ok(out)
}

/// A map in 0..1 as a grey picture.
pub(crate) fn grey_picture(width: u32, values: &[f32]) -> GrayImage {
    let height = values.len().checked_div(width as usize).unwrap_or(0) as u32;
    let mut picture = GrayImage::new(width, height);
    let pieces = picture.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE));
    pieces.for_each(|(pixels, values)| {
        pixels.iter_mut().zip(values).for_each(|(pixel, &value)| *pixel = u8::from_unit(value));
    });
    picture
}

fn pixels<P, T>(image: &ImageBuffer<P, Vec<T>>, colour: impl Fn(&P) -> [T; 3] + Sync) -> Result<RgbPixels>
where
    P: Pixel<Subpixel = T>,
    T: Depth,
{
    let (width, height) = image.dimensions();
    let (columns, channels) = (width as usize, usize::from(P::CHANNEL_COUNT));
    let mut values = vec![0.0; COLOURS * columns * height as usize];
    let rows = values.par_chunks_exact_mut(COLOURS * columns).zip(image.par_chunks_exact(channels * columns));
    rows.for_each(|(values, row)| {
        for (values, pixel) in values.chunks_exact_mut(COLOURS).zip(row.chunks_exact(channels)) {
            values.copy_from_slice(&colour(P::from_slice(pixel)).map(T::to_unit));
        }
    });
    let mut pixels = RgbPixels { width, height, values };
    if let Some((x, y)) = pixels.first_not_finite() {
        return Err(Error::NotFinite { x, y });
    }
    let pieces = pixels.values.par_chunks_mut(PIECE);
    pieces.for_each(|values| values.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0)));
    Ok(pixels)
}

fn recolour<P, T>(image: &mut ImageBuffer<P, Vec<T>>, pixels: &RgbPixels, set: impl Fn(&mut P, [f32; 3]) + Sync)
where
    P: Pixel<Subpixel = T>,
    T: Depth,
{
    let (columns, channels) = (image.width() as usize, usize::from(P::CHANNEL_COUNT));
    let rows = image.par_chunks_exact_mut(channels * columns).zip(pixels.values.par_chunks_exact(COLOURS * columns));
    rows.for_each(|(row, colours)| {
        for (pixel, colour) in row.chunks_exact_mut(channels).zip(colours.chunks_exact(COLOURS)) {
            set(P::from_slice_mut(pixel), [colour[0], colour[1], colour[2]]);
        }
    });
}
