//! Samples from pairs on disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use super::augment::AugmentOptions;
use super::pairs::{Pair, PairList};
use super::sample::{Sample, SampleSource};
use crate::brief_debug::brief_debug;
use crate::dataset::DatasetError;
use crate::{Error, LoadOptions};

/// How a [`PairSource`] reads.
#[derive(Clone, Debug, Default)]
pub struct PairSourceOptions {
    /// What is done to each pair.
    pub augment: AugmentOptions,
    /// Chooses crops and flips.
    pub seed: u64,
    /// Decoded pictures kept for later epochs, in bytes; 0 keeps none. What comes first stays: every epoch needs every
    /// pair once, so throwing one out for another saves nothing.
    pub cache_bytes: usize,
    /// Limits of a single picture.
    pub load: LoadOptions,
}

/// Reads pairs and augments them.
#[derive(Debug)]
pub struct PairSource {
    list: PairList,
    options: PairSourceOptions,
    cache: Mutex<Cache>,
}

type Pictures = Arc<(RgbImage, RgbImage)>;

#[derive(Default)]
struct Cache {
    pictures: HashMap<usize, Pictures>,
    bytes: usize,
}

brief_debug!(Cache, |cache| { pictures: cache.pictures.len(), bytes: cache.bytes });

impl PairSource {
    /// Reads nothing yet.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the augmentation makes no sense.
    pub fn new(list: PairList, options: PairSourceOptions) -> Result<Self, Error> {
        options.augment.check()?;
        Ok(Self { list, options, cache: Mutex::default() })
    }

    /// The pairs, in the order of sample indices.
    #[must_use]
    pub fn list(&self) -> &PairList {
        &self.list
    }

    fn pair(&self, index: usize) -> Result<&Pair, Error> {
        let pairs = self.list.pairs();
        pairs.get(index).ok_or_else(|| DatasetError::NoSample { index, samples: pairs.len() }.into())
    }

    fn pictures(&self, index: usize) -> Result<Pictures, Error> {
        // A thread that panicked elsewhere cannot have left the map half changed.
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pictures) = cache().pictures.get(&index) {
            return Ok(Arc::clone(pictures));
        }
        let pictures = Arc::new(self.pair(index)?.load(&self.options.load)?);
        let bytes = pictures.0.as_raw().len() + pictures.1.as_raw().len();
        let mut cache = cache();
        if self.options.cache_bytes.saturating_sub(cache.bytes) >= bytes
            && cache.pictures.insert(index, Arc::clone(&pictures)).is_none()
        {
            cache.bytes += bytes;
        }
        Ok(pictures)
    }
}

impl SampleSource for PairSource {
    fn len(&self) -> usize {
        self.list.pairs().len()
    }

    fn sample(&self, epoch: u64, index: usize) -> Result<Sample, Error> {
        let (pair, pictures) = (self.pair(index)?, self.pictures(index)?);
        let key = [self.options.seed, epoch, index as u64];
        self.options.augment.apply(&pictures.0, &pictures.1, key).map_err(|error| match error {
            Error::Dataset(DatasetError::SmallerThanCrop { size, crop, .. }) => {
                DatasetError::SmallerThanCrop { picture: pair.name(), size, crop }.into()
            }
            error => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Crop;
    use std::fs;
    use std::path::Path;

    fn source(folder: &Path, cache_bytes: usize, crop: Crop) -> PairSource {
        let pairs = (0..3)
            .map(|index| {
                let [rainy, clean] = ["r", "c"].map(|kind| folder.join(format!("{kind}{index}.png")));
                RgbImage::from_pixel(8, 4, image::Rgb([index; 3])).save(&rainy).unwrap();
                RgbImage::new(8, 4).save(&clean).unwrap();
                Pair::Files { rainy, clean }
            })
            .collect();
        let augment = AugmentOptions { crop, ..AugmentOptions::none() };
        let options = PairSourceOptions { augment, cache_bytes, ..PairSourceOptions::default() };
        PairSource::new(PairList::new(pairs, folder).unwrap(), options).unwrap()
    }

    #[test]
    fn the_cache_holds_what_fits_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // Two of three pairs of 192 bytes.
        let source = source(folder.path(), 500, Crop::Window { size: 4 });
        let samples: Vec<_> = (0..3).map(|index| source.sample(0, index).unwrap()).collect();
        assert_eq!(samples[2].rainy[0], 2.0 / 255.0);
        fs::remove_file(folder.path().join("r1.png")).unwrap();
        fs::remove_file(folder.path().join("r2.png")).unwrap();
        assert_eq!(source.sample(0, 1).unwrap(), samples[1]);
        let error = source.sample(0, 2).unwrap_err().to_string();
        assert!(error.contains("r2.png"), "{error}");
    }

    #[test]
    fn a_sample_beyond_the_last_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = source(folder.path(), 0, Crop::Whole {}).sample(0, 3).unwrap_err();
        assert!(matches!(error, Error::Dataset(DatasetError::NoSample { index: 3, samples: 3 })), "{error}");
    }

    #[test]
    fn a_crop_that_does_not_fit_names_the_pair() {
        let folder = tempfile::tempdir().unwrap();
        let error = source(folder.path(), 0, Crop::Window { size: 5 }).sample(0, 1).unwrap_err().to_string();
        assert!(error.contains("r1.png") && error.contains("smaller than the crop of 5x5"), "{error}");
        let augment = AugmentOptions { crop: Crop::Window { size: 0 }, ..AugmentOptions::none() };
        let list = source(folder.path(), 0, Crop::Whole {}).list().clone();
        let options = PairSourceOptions { augment, ..PairSourceOptions::default() };
        assert!(matches!(PairSource::new(list, options), Err(Error::InvalidOption { .. })));
    }
}
