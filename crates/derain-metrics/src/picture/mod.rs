//! What protocols score: arrays `[H, W, C]` of `f32` or `f64` in 0..1 and, with the feature `image`, pictures of that
//! crate.

#[cfg(feature = "image")]
mod image;

use ndarray::{Array3, ArrayBase, CowArray, Data, Ix3};

use crate::check::find;
use crate::{Error, Sample, Side};

/// Something that a [`Protocol`](crate::Protocol) scores.
///
/// | type | samples |
/// | --- | --- |
/// | `ndarray::ArrayBase<_, Ix3>` of `f32` or `f64` | `[H, W, 3]` or, grey, `[H, W, 1]`, in 0..1 |
/// | `image::DynamicImage` | any depth, grey or colour; alpha is ignored |
/// | `image::ImageBuffer<Rgb<_>, _>` of `u8`, `u16`, `f32` | all samples; `f32` in 0..1 |
///
/// Grey is promoted to RGB with three equal channels.
///
/// The trait is sealed.
pub trait Picture: sealed::Samples {}

impl<P: sealed::Samples + ?Sized> Picture for P {}

/// `f32` and `f64`, whose range in pictures is 0..1.
pub trait Float: Sample + sealed::IsFloat {}

impl Float for f32 {}
impl Float for f64 {}

/// The samples of a picture `[H, W, 3]` at the depth that it has.
#[derive(Debug)]
pub enum Rgb<'a> {
    /// 0..=255
    Bits8(CowArray<'a, u8, Ix3>),
    /// 0..=65535
    Bits16(CowArray<'a, u16, Ix3>),
    /// 0..1
    Float(Array3<f64>),
}

impl<'a> Rgb<'a> {
    /// In 0..1.
    pub(crate) fn into_float(self) -> Array3<f64> {
        match self {
            Self::Bits8(samples) => samples.mapv(|sample| f64::from(sample) / 255.0),
            Self::Bits16(samples) => samples.mapv(|sample| f64::from(sample) / 65535.0),
            Self::Float(samples) => samples,
        }
    }

    /// Floating-point samples at 8 bits, `round(255 x)`; integers as they are.
    pub(crate) fn quantize(self) -> Self {
        match self {
            // In range, as the samples have been checked.
            Self::Float(samples) => Self::Bits8(samples.mapv(|sample| (255.0 * sample).round() as u8).into()),
            integers => integers,
        }
    }
}

pub(crate) mod sealed {
    use super::{Error, Rgb, Side};

    pub trait Samples {
        #[doc(hidden)]
        fn rgb(&self, side: Side) -> Result<Rgb<'_>, Error>;
    }

    pub trait IsFloat {}

    impl IsFloat for f32 {}
    impl IsFloat for f64 {}
}

impl<A: Float, S: Data<Elem = A>> sealed::Samples for ArrayBase<S, Ix3> {
    fn rgb(&self, side: Side) -> Result<Rgb<'_>, Error> {
        let (height, width, channels) = self.dim();
        if channels != 1 && channels != 3 {
            return Err(Error::Channels { channels });
        }
        if let Some((row, column, channel, value)) = find(&self.view(), |value| !(0.0..=1.0).contains(&value)) {
            return Err(match value.is_finite() {
                true => Error::OutOfRange { side, row, column, channel, value },
                false => Error::NotFinite { side, row, column, channel, value },
            });
        }
        let float = |sample: A| -> f64 { sample.into() };
        Ok(Rgb::Float(match self.broadcast((height, width, 3)) {
            Some(rgb) => rgb.mapv(float),
            None => self.mapv(float),
        }))
    }
}
