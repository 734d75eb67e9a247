//! Pictures of the crate `image`.
//!
//! Its own conversions are not used: some go through `f32` and colour-space transforms, and a score must see the
//! samples as they are.

use std::ops::Deref;

use image::{DynamicImage, ImageBuffer, Pixel, Rgb as RgbPixel};
use ndarray::{ArrayView3, Axis, CowArray, Ix3, Slice};

use super::Rgb;
use super::sealed::Samples;
use crate::{Error, Side};

impl<C: Deref<Target = [u8]>> Samples for ImageBuffer<RgbPixel<u8>, C> {
    fn rgb(&self, _side: Side) -> Result<Rgb<'_>, Error> {
        Ok(Rgb::Bits8(colour(self)))
    }
}

impl<C: Deref<Target = [u16]>> Samples for ImageBuffer<RgbPixel<u16>, C> {
    fn rgb(&self, _side: Side) -> Result<Rgb<'_>, Error> {
        Ok(Rgb::Bits16(colour(self)))
    }
}

impl<C: Deref<Target = [f32]>> Samples for ImageBuffer<RgbPixel<f32>, C> {
    fn rgb(&self, side: Side) -> Result<Rgb<'_>, Error> {
        float(self, side)
    }
}

impl Samples for DynamicImage {
    fn rgb(&self, side: Side) -> Result<Rgb<'_>, Error> {
        Ok(match self {
            Self::ImageLuma8(image) => Rgb::Bits8(colour(image)),
            Self::ImageLumaA8(image) => Rgb::Bits8(colour(image)),
            Self::ImageRgb8(image) => Rgb::Bits8(colour(image)),
            Self::ImageRgba8(image) => Rgb::Bits8(colour(image)),
            Self::ImageLuma16(image) => Rgb::Bits16(colour(image)),
            Self::ImageLumaA16(image) => Rgb::Bits16(colour(image)),
            Self::ImageRgb16(image) => Rgb::Bits16(colour(image)),
            Self::ImageRgba16(image) => Rgb::Bits16(colour(image)),
            Self::ImageRgb32F(image) => float(image, side)?,
            Self::ImageRgba32F(image) => float(image, side)?,
            // The enum may grow.
            other => float(&other.to_rgb32f(), side)?,
        })
    }
}

fn float<'a, P, C>(image: &ImageBuffer<P, C>, side: Side) -> Result<Rgb<'a>, Error>
where
    P: Pixel<Subpixel = f32>,
    C: Deref<Target = [f32]>,
{
    // By way of the array, which is checked for its range.
    let samples = colour(image);
    Ok(Rgb::Float(samples.rgb(side)?.into_float()))
}

/// The samples `[H, W, 3]` without alpha, grey three times.
#[expect(clippy::expect_used, reason = "an image buffer holds at least as many samples as its size says")]
fn colour<P, C>(image: &ImageBuffer<P, C>) -> CowArray<'_, P::Subpixel, Ix3>
where
    P: Pixel,
    C: Deref<Target = [P::Subpixel]>,
{
    let (height, width) = (image.height() as usize, image.width() as usize);
    let channels = usize::from(P::CHANNEL_COUNT);
    let samples = image.as_raw().get(..height * width * channels);
    let view = samples.and_then(|samples| ArrayView3::from_shape((height, width, channels), samples).ok());
    let mut view = view.expect("a slice of that many samples");
    // Grey and grey with alpha have fewer than three channels.
    let colours = if channels < 3 { 1 } else { 3 };
    view.slice_axis_inplace(Axis(2), Slice::from(..colours));
    match view.broadcast((height, width, 3)) {
        Some(grey) if colours == 1 => grey.to_owned().into(),
        _ => view.into(),
    }
}
