//! Named protocols: PSNR and SSIM with every choice made, so that figures can be compared.
//!
//! | protocol | samples | SSIM |
//! | --- | --- | --- |
//! | `rgb` | all channels | Wang 2004: Gaussian 11 x 11, sigma 1.5, population covariance; mean over channels |
//! | `y` | limited-range luma, at 8 bits | the same |
//! | `spanet` | all channels | uniform 7 x 7, sample covariance, twice the data range; mean over channels |
//!
//! Samples are in 0..1 with data range 1; 8-bit and 16-bit pictures are scored as the integers that they are, over 255
//! and 65535. Pictures of different depths are compared at the greater one. Borders are cropped by half the SSIM
//! window, in SSIM only. Identical pictures score infinity and 1. What counts as a picture, and what becomes of grey
//! and alpha, see [`Picture`].

use std::fmt;
use std::str::FromStr;

use ndarray::{Array3, ArrayView3};

use crate::luma::{luma_8_bit, luma_16_bit};
use crate::picture::Rgb;
use crate::psnr::psnr_of_views;
use crate::{Covariance, Error, Picture, Sample, Side, Ssim, Window};

/// How a pair of pictures is scored.
///
/// ```
/// use derain_metrics::Protocol;
/// # fn main() -> Result<(), derain_metrics::Error> {
/// let protocol: Protocol = "y".parse()?;
/// assert_eq!(protocol.to_string(), "y");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// All channels together, in 0..1 with data range 1; SSIM of Wang 2004 (the default of [`Ssim`]), mean over
    /// channels.
    #[default]
    Rgb,
    /// As [`Protocol::Rgb`], on BT.601 limited-range luma (16..235), as MATLAB's `rgb2ycbcr` computes and rounds it;
    /// over 255, data range 1. Most deraining papers score so.
    ///
    /// On 16-bit pictures it is `rgb2ycbcr` on 16 bits: luma in 4112..60395, rounded, over 65535. If only one picture
    /// has 16 bits, the other is widened first. Floating-point pictures are rounded to 8 bits, `round(255 x)`, before
    /// the luma is taken: their score is that of the 8-bit file that they would be saved as.
    Y,
    /// As the release of SPANet scores, with old defaults of scikit-image on floating-point RGB: PSNR with data range
    /// 1; SSIM with a uniform window of 7 x 7, sample covariance and data range **2**, which makes it higher than with
    /// data range 1. The release scores its results before they are rounded to 8 bits: at 38 dB, 8-bit files score some
    /// 0.04 dB less; 16-bit ones do not.
    SpaNet,
}

/// What a protocol says about a pair of pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Peak signal-to-noise ratio in dB; infinity for identical pictures.
    pub psnr: f64,
    /// Mean structural similarity, at most 1.
    pub ssim: f64,
}

impl Scores {
    /// The mean of each score, or `None` of nothing. One infinite PSNR makes the mean PSNR infinite.
    #[must_use]
    pub fn mean(scores: &[Self]) -> Option<Self> {
        let mean = |score: fn(&Self) -> f64| scores.iter().map(score).sum::<f64>() / scores.len() as f64;
        (!scores.is_empty()).then(|| Self { psnr: mean(|scores| scores.psnr), ssim: mean(|scores| scores.ssim) })
    }
}

impl Protocol {
    /// All protocols.
    pub const ALL: &'static [Self] = &[Self::Rgb, Self::Y, Self::SpaNet];

    /// Its name: `rgb`, `y` or `spanet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Y => "y",
            Self::SpaNet => "spanet",
        }
    }

    /// Scores a pair of pictures; which of them is the reference makes no difference.
    ///
    /// # Errors
    /// Sizes that differ, are empty or smaller than the SSIM window (11 x 11, `spanet` 7 x 7); arrays of other than 1
    /// or 3 channels; floating-point samples that are not in 0..1.
    pub fn score<P, Q>(self, a: &P, b: &Q) -> Result<Scores, Error>
    where
        P: Picture + ?Sized,
        Q: Picture + ?Sized,
    {
        let (a, b) = (a.rgb(Side::First)?, b.rgb(Side::Second)?);
        let (a, b) = match self {
            Self::Y => (a.quantize(), b.quantize()),
            Self::Rgb | Self::SpaNet => (a, b),
        };
        match (a, b) {
            (Rgb::Bits8(a), Rgb::Bits8(b)) => self.score_8_bit(&a.view(), &b.view()),
            (Rgb::Bits16(a), Rgb::Bits16(b)) => self.score_16_bit(&a.view(), &b.view()),
            (Rgb::Bits8(a), Rgb::Bits16(b)) => self.score_16_bit(&widen(&a.view()).view(), &b.view()),
            (Rgb::Bits16(a), Rgb::Bits8(b)) => self.score_16_bit(&a.view(), &widen(&b.view()).view()),
            (a, b) => self.score_samples(&a.into_float().view(), &b.into_float().view(), 1.0),
        }
    }

    fn score_8_bit(self, a: &ArrayView3<'_, u8>, b: &ArrayView3<'_, u8>) -> Result<Scores, Error> {
        match self {
            Self::Y => self.score_samples(&luma_8_bit(a).view(), &luma_8_bit(b).view(), 255.0),
            Self::Rgb | Self::SpaNet => self.score_samples(a, b, 255.0),
        }
    }

    fn score_16_bit(self, a: &ArrayView3<'_, u16>, b: &ArrayView3<'_, u16>) -> Result<Scores, Error> {
        match self {
            Self::Y => self.score_samples(&luma_16_bit(a).view(), &luma_16_bit(b).view(), 65535.0),
            Self::Rgb | Self::SpaNet => self.score_samples(a, b, 65535.0),
        }
    }

    /// Scores the samples that the protocol looks at, in `0..=peak`.
    fn score_samples<A: Sample>(
        self,
        a: &ArrayView3<'_, A>,
        b: &ArrayView3<'_, A>,
        peak: f64,
    ) -> Result<Scores, Error> {
        let ssim = match self {
            Self::Rgb | Self::Y => Ssim { data_range: peak, ..Ssim::default() },
            Self::SpaNet => Ssim {
                window: Window::Uniform { size: 7 },
                covariance: Covariance::Sample,
                data_range: 2.0 * peak,
                ..Ssim::default()
            },
        };
        Ok(Scores { psnr: psnr_of_views(a, b, peak)?, ssim: ssim.score_of_views(a, b)? })
    }
}

/// The same picture at 16 bits, exactly: `v / 255 = 257 v / 65535`.
fn widen(samples: &ArrayView3<'_, u8>) -> Array3<u16> {
    samples.mapv(|sample| 257 * u16::from(sample))
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let named = Self::ALL.iter().copied().find(|protocol| protocol.name() == name);
        named.ok_or_else(|| Error::UnknownProtocol { name: name.to_owned() })
    }
}
