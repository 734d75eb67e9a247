//! Pairs of pictures as a network takes them.

use std::sync::Arc;

use image::RgbImage;

use crate::Error;
use crate::brief_debug::brief_debug;
use crate::dataset::DatasetError;
use crate::pixels::pixels;

/// Colour channels of a picture: R, G, B.
pub(super) const CHANNELS: usize = 3;

/// A rainy picture and its clean one, `[3, H, W]` planes R, G, B in 0..1.
#[derive(Clone, PartialEq)]
pub struct Sample {
    /// Planes of the rainy picture.
    pub rainy: Vec<f32>,
    /// Planes of the clean picture, of the same size.
    pub clean: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

brief_debug!(Sample, |sample| { height: sample.height, width: sample.width });

impl Sample {
    /// Takes two 8-bit pictures as they are, divided by 255.
    ///
    /// # Errors
    /// [`DatasetError::PairSizes`] if they differ in size.
    pub fn from_pictures(rainy: &RgbImage, clean: &RgbImage) -> Result<Self, Error> {
        if rainy.dimensions() != clean.dimensions() {
            return Err(DatasetError::PairSizes {
                pair: "a pair".into(),
                rainy: rainy.dimensions(),
                clean: clean.dimensions(),
            }
            .into());
        }
        let (width, height) = (rainy.width() as usize, rainy.height() as usize);
        Ok(Self { rainy: planes(rainy), clean: planes(clean), height, width })
    }
}

fn planes(picture: &RgbImage) -> Vec<f32> {
    let samples = pixels(picture);
    let mut planes = Vec::with_capacity(samples.len());
    for channel in 0..CHANNELS {
        planes.extend(samples.iter().skip(channel).step_by(CHANNELS).map(|&sample| f32::from(sample) / 255.0));
    }
    planes
}

/// Samples of one size, one after the other: `[B, 3, H, W]`.
#[derive(Clone, PartialEq)]
pub struct Batch {
    /// The rainy pictures.
    pub rainy: Vec<f32>,
    /// The clean pictures, in the same order.
    pub clean: Vec<f32>,
    /// Which samples of the source these are; their number is B.
    pub indices: Vec<usize>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Where in training the batch stands.
    pub position: Position,
}

brief_debug!(Batch, |batch| {
    indices: batch.indices,
    height: batch.height,
    width: batch.width,
    position: batch.position,
});

/// A place in training: which batch of which epoch, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// How often every sample has been seen before.
    pub epoch: u64,
    /// Batches before this one in the epoch.
    pub batch: usize,
}

impl Position {
    /// The place after this one, where an epoch has as many batches as `batches`.
    #[must_use]
    pub fn next(self, batches: usize) -> Self {
        match self.batch + 1 < batches {
            true => Self { batch: self.batch + 1, ..self },
            false => Self { epoch: self.epoch + 1, batch: 0 },
        }
    }
}

impl Batch {
    /// Puts samples into one batch.
    pub(super) fn collect(samples: &[Sample], indices: Vec<usize>, position: Position) -> Result<Self, Error> {
        let (height, width) = samples.first().map_or((0, 0), |sample| (sample.height, sample.width));
        let expected = CHANNELS.saturating_mul(height).saturating_mul(width);
        let (mut rainy, mut clean) = (Vec::new(), Vec::new());
        for (sample, &index) in samples.iter().zip(&indices) {
            if (sample.height, sample.width) != (height, width) {
                let (first, other) = ([height, width], [sample.height, sample.width]);
                return Err(DatasetError::MixedBatch { first_index: indices[0], first, index, other }.into());
            }
            // Sources may be anybody's.
            let (rainy_length, clean_length) = (sample.rainy.len(), sample.clean.len());
            if [rainy_length, clean_length] != [expected; 2] {
                let (rainy, clean) = (rainy_length, clean_length);
                return Err(DatasetError::SampleLength { index, height, width, expected, rainy, clean }.into());
            }
            if rainy.is_empty() {
                rainy.reserve_exact(expected * samples.len());
                clean.reserve_exact(expected * samples.len());
            }
            rainy.extend_from_slice(&sample.rainy);
            clean.extend_from_slice(&sample.clean);
        }
        Ok(Self { rainy, clean, indices, height, width, position })
    }
}

/// Where a [`Loader`](super::Loader) takes samples from: pairs on disk ([`PairSource`](super::PairSource)), or rain
/// made on the way.
pub trait SampleSource: Send + Sync {
    /// Samples in an epoch.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `index` as it is seen in `epoch`. The result may depend on nothing else but the source's own options and
    /// seed: it is asked for by several threads, in any order, and again after a restart.
    ///
    /// # Errors
    /// When there is no such sample ([`DatasetError::NoSample`]), or it cannot be read or made; the error names the
    /// file.
    fn sample(&self, epoch: u64, index: usize) -> Result<Sample, Error>;
}

/// Implements [`SampleSource`] for what points to a source: that source's samples.
macro_rules! samples_of_what_is_pointed_to {
    ($($pointer:ty),+) => {$(
        impl<S: SampleSource + ?Sized> SampleSource for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }

            fn is_empty(&self) -> bool {
                (**self).is_empty()
            }

            fn sample(&self, epoch: u64, index: usize) -> Result<Sample, Error> {
                (**self).sample(epoch, index)
            }
        }
    )+};
}

samples_of_what_is_pointed_to!(Box<S>, Arc<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn planes_are_red_green_blue() {
        let rainy = RgbImage::from_vec(2, 1, vec![0, 51, 102, 255, 204, 153]).unwrap();
        let sample = Sample::from_pictures(&rainy, &RgbImage::from_pixel(2, 1, Rgb([255, 0, 0]))).unwrap();
        assert_eq!(sample.rainy, [0.0, 1.0, 0.2, 0.8, 0.4, 0.6]);
        assert_eq!(sample.clean, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((sample.height, sample.width), (1, 2));
        let longer = RgbImage::from_raw(2, 1, [rainy.as_raw().as_slice(), &[9; 6]].concat()).unwrap();
        assert_eq!(Sample::from_pictures(&longer, &rainy).unwrap().rainy, sample.rainy);
        assert!(matches!(
            Sample::from_pictures(&rainy, &RgbImage::new(1, 2)),
            Err(Error::Dataset(DatasetError::PairSizes { .. }))
        ));
    }

    #[test]
    fn samples_of_several_sizes_are_no_batch() {
        let sample = |side| Sample::from_pictures(&RgbImage::new(side, side), &RgbImage::new(side, side)).unwrap();
        let batch = Batch::collect(&[sample(2), sample(2)], vec![7, 3], Position::default()).unwrap();
        assert_eq!((batch.rainy.len(), batch.indices), (24, vec![7, 3]));
        let error = Batch::collect(&[sample(2), sample(3)], vec![7, 3], Position::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "samples 7 and 3 are 2x2 and 3x3 (height x width), so they make no batch: crop them to one size"
        );
        let short = Sample { clean: vec![0.0; 11], ..sample(2) };
        let endless = Sample { height: usize::MAX, ..sample(2) };
        for wrong in [short, endless] {
            let error = Batch::collect(&[wrong], vec![5], Position::default()).unwrap_err();
            assert!(matches!(error, Error::Dataset(DatasetError::SampleLength { index: 5, .. })), "{error}");
        }
    }
}
