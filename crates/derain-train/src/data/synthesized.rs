//! Rain that falls on clean photographs while a network trains.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use derain_data::dataset::{AugmentOptions, DatasetError, Sample, SampleSource, random};
use derain_data::synthesis::{RainRange, RainScene};
use derain_data::{Error as DataError, find_pictures, load_picture};
use image::RgbImage;
use image::imageops::rotate90;
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::MB;
use super::validation::middle;
use crate::Error;
use crate::config::{SynthesizedData, Truth};

/// How often rain is drawn for a picture until some is seen.
const DRAWS: u64 = 100;

/// A source of pairs: crops of clean photographs, and the same crops in rain that is drawn anew for every (seed, epoch,
/// photograph).
///
/// A crop is taken first and rained on then, so streaks have their natural sharpness and direction whatever was scaled,
/// mirrored and turned. [`validation_pairs`](Self::validation_pairs) are made of photographs that are held out.
#[derive(Debug)]
pub struct SynthesizedRain {
    pictures: Vec<PathBuf>,
    held_out: Vec<PathBuf>,
    augment: AugmentOptions,
    rain: RainRange,
    rain_free: f64,
    turned: f64,
    truth: Truth,
    seed: u64,
    cache: Mutex<Cache>,
    cache_bytes: usize,
}

#[derive(Default)]
struct Cache {
    pictures: HashMap<usize, Arc<RgbImage>>,
    bytes: usize,
}

impl fmt::Debug for Cache {
    /// Without the pixels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("pictures", &self.pictures.len()).field("bytes", &self.bytes).finish()
    }
}

impl SynthesizedRain {
    /// Lists the photographs and reads none yet.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Data`] when an option makes no sense, the folder cannot be listed or holds no pictures
    /// ([`DatasetError::NoPairs`]); [`Error::AllHeldOut`] when it holds no more than are held out.
    pub fn new(data: &SynthesizedData, augment: &AugmentOptions, seed: u64) -> crate::Result<Self> {
        // Refuses what makes no sense before a thread meets it.
        data.check()?;
        augment.check()?;
        let found: Vec<PathBuf> = find_pictures(&data.clean)?.into_iter().map(|path| data.clean.join(path)).collect();
        if found.is_empty() {
            return Err(DataError::from(DatasetError::NoPairs { path: data.clean.clone() }).into());
        }
        if found.len() <= data.held_out {
            let (folder, found, held_out) = (data.clean.clone(), found.len(), data.held_out);
            return Err(Error::AllHeldOut { folder, found, held_out });
        }
        // Evenly over the list, as neighbours often look alike.
        let is_held_out = |index: usize| {
            let before = |index: usize| index * data.held_out / found.len();
            before(index + 1) > before(index)
        };
        let (mut pictures, mut held_out) = (Vec::new(), Vec::new());
        for (index, path) in found.iter().enumerate() {
            if is_held_out(index) { &mut held_out } else { &mut pictures }.push(path.clone());
        }
        Ok(Self {
            pictures,
            held_out,
            augment: augment.clone(),
            rain: data.rain.clone(),
            rain_free: data.rain_free,
            turned: data.turned,
            truth: data.truth,
            seed,
            cache: Mutex::default(),
            cache_bytes: data.cache_mb.saturating_mul(MB),
        })
    }

    /// The photographs that training takes, by [`SampleSource::sample`]'s index.
    pub fn pictures(&self) -> &[PathBuf] {
        &self.pictures
    }

    /// The photographs kept from training, evenly chosen from all.
    pub fn held_out(&self) -> &[PathBuf] {
        &self.held_out
    }

    /// The photographs that are held out, each in rain and with what the network is to give for it: the pairs that a
    /// [`Trainer`](crate::Trainer) validates on. `size` is the side of the square from the middle that is taken, in
    /// pixels, 1 or more; none for whole pictures. They are made as they are asked for.
    ///
    /// The rain depends on the seed alone, and there is rain in each, whatever
    /// [`rain_free`](SynthesizedData::rain_free) says, or the mean PSNR would be infinite.
    ///
    /// # Errors
    /// When a photograph cannot be read, or `size` is 0.
    pub fn validation_pairs(&self, size: Option<u32>) -> impl Iterator<Item = Result<(RgbImage, RgbImage), DataError>> {
        self.held_out.iter().enumerate().map(move |(index, path)| {
            let picture = middle(&load_picture(path)?.image.into_rgb8(), size);
            // Faint rain may leave a small picture as it is.
            let mut draws = (0..DRAWS).map(|draw| {
                self.rain_on(&picture, 0.0, &mut generator("validation", &[self.seed, index as u64, draw]))
            });
            let rained = draws.find(|drawn| !drawn.as_ref().is_ok_and(|(rainy, clean)| rainy == clean));
            rained.unwrap_or_else(|| Ok((picture.clone(), picture)))
        })
    }

    /// A photograph in rain, or dry in a share of draws, and what the network is to give for it.
    fn rain_on(
        &self,
        clean: &RgbImage,
        rain_free: f64,
        generator: &mut Pcg64Mcg,
    ) -> Result<(RgbImage, RgbImage), DataError> {
        // Drawn whether it is used or not, so that the share changes nothing else.
        let dry = generator.random::<f64>() < rain_free;
        let options = self.rain.sample(generator)?;
        let scene = generator.random();
        if dry {
            return Ok((clean.clone(), clean.clone()));
        }
        let rained = RainScene::new(&options, clean.width(), clean.height(), scene)?.render(clean, 0)?;
        let truth = match self.truth {
            Truth::Veiled => rained.background,
            Truth::Clear => clean.clone(),
        };
        Ok((rained.rainy, truth))
    }

    fn picture(&self, index: usize) -> Result<Arc<RgbImage>, DataError> {
        // A thread that panicked elsewhere cannot have left the map half changed.
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = cache().pictures.get(&index) {
            return Ok(Arc::clone(picture));
        }
        let samples = self.pictures.len();
        let path = self.pictures.get(index).ok_or(DatasetError::NoSample { index, samples })?;
        let picture = Arc::new(load_picture(path)?.image.into_rgb8());
        let bytes = picture.as_raw().len();
        let mut cache = cache();
        if self.cache_bytes.saturating_sub(cache.bytes) >= bytes
            && cache.pictures.insert(index, Arc::clone(&picture)).is_none()
        {
            cache.bytes += bytes;
        }
        Ok(picture)
    }
}

impl SampleSource for SynthesizedRain {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn sample(&self, epoch: u64, index: usize) -> Result<Sample, DataError> {
        let picture = self.picture(index)?;
        let key = [self.seed, epoch, index as u64];
        let crop = self.augment.apply(&picture, &picture, key).map_err(|error| match error {
            DataError::Dataset(DatasetError::SmallerThanCrop { size, crop, .. }) => {
                let picture = self.pictures[index].display().to_string();
                DatasetError::SmallerThanCrop { picture, size, crop }.into()
            }
            error => error,
        })?;
        let mut crop = picture_of(&crop);
        if crop.width() == crop.height() && generator("turn", &key).random::<f64>() < self.turned {
            crop = rotate90(&crop);
        }
        let (rainy, clean) = self.rain_on(&crop, self.rain_free, &mut generator("rain", &key))?;
        Sample::from_pictures(&rainy, &clean)
    }
}

/// The clean half of a sample at 8 bits, as rain falls on photographs.
fn picture_of(sample: &Sample) -> RgbImage {
    let pixels = sample.height * sample.width;
    let mut bytes = vec![0; sample.clean.len()];
    for (channel, plane) in sample.clean.chunks(pixels.max(1)).enumerate() {
        for (pixel, value) in bytes.chunks_exact_mut(3).zip(plane) {
            pixel[channel] = (255.0 * value).round() as u8;
        }
    }
    RgbImage::from_raw(sample.width as u32, sample.height as u32, bytes).unwrap_or_default()
}

/// The generator for one purpose and its key numbers, unrelated to that of any other.
fn generator(purpose: &str, keys: &[u64]) -> Pcg64Mcg {
    random::generator(&format!("training on synthesized rain: {purpose}"), keys)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use derain_data::dataset::Crop;

    /// A folder of 10 photographs, and a source over it that holds 2 out.
    fn source(folder: &Path, rain_free: f64, seed: u64) -> SynthesizedRain {
        for index in 0..10u8 {
            let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([20 * index, 4 * x as u8, 5 * y as u8]));
            picture.save(folder.join(format!("{index}.png"))).unwrap();
        }
        let data = SynthesizedData { clean: folder.to_owned(), held_out: 2, rain_free, ..SynthesizedData::default() };
        let augment = AugmentOptions { crop: Crop::Window { size: 24 }, ..AugmentOptions::none() };
        SynthesizedRain::new(&data, &augment, seed).unwrap()
    }

    #[test]
    fn rain_is_anew_in_every_epoch_and_the_same_when_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = source(folder.path(), 0.0, 1);
        let sample = first.sample(0, 3).unwrap();
        assert_eq!((sample.height, sample.width), (24, 24));
        assert_ne!(sample.rainy, sample.clean);
        assert_eq!(sample, source(folder.path(), 0.0, 1).sample(0, 3).unwrap());
        assert_ne!(sample.rainy, first.sample(1, 3).unwrap().rainy);
        assert_ne!(sample.rainy, source(folder.path(), 0.0, 2).sample(0, 3).unwrap().rainy);
    }

    #[test]
    fn a_share_of_pairs_is_dry() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), 0.4, 1);
        let dry = (0..25).flat_map(|epoch| (0..8).map(move |index| (epoch, index)));
        let dry = dry.filter(|&(epoch, index)| {
            let sample = source.sample(epoch, index).unwrap();
            sample.rainy == sample.clean
        });
        // 80 expected, standard deviation 7; faint rain may leave a small crop as it is.
        assert!((55..110).contains(&dry.count()));
    }

    #[test]
    fn a_share_of_crops_is_turned_and_the_rain_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let upright = source(folder.path(), 1.0, 1);
        let turned = SynthesizedRain { turned: 0.5, ..source(folder.path(), 1.0, 1) };
        let mut turns = 0;
        for (epoch, index) in (0..25).flat_map(|epoch| (0..8).map(move |index| (epoch, index))) {
            let (before, after) = (upright.sample(epoch, index).unwrap(), turned.sample(epoch, index).unwrap());
            if before == after {
                continue;
            }
            turns += 1;
            let at = |sample: &Sample, channel: usize, y: usize, x: usize| sample.clean[(channel * 24 + y) * 24 + x];
            for (y, x) in [(0, 0), (3, 17), (23, 5)] {
                // What was at the left is at the top.
                assert_eq!(at(&after, 1, x, 23 - y), at(&before, 1, y, x));
            }
        }
        // 100 expected, standard deviation 7.
        assert!((70..130).contains(&turns), "{turns}");
    }

    #[test]
    fn held_out_photographs_are_not_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), 0.0, 1);
        let names = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(source.held_out()), ["4", "9"]);
        assert_eq!(names(source.pictures()), ["0", "1", "2", "3", "5", "6", "7", "8"]);
    }

    #[test]
    fn a_sample_beyond_the_last_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = source(folder.path(), 0.0, 1).sample(0, 8).unwrap_err();
        assert!(matches!(error, DataError::Dataset(DatasetError::NoSample { index: 8, samples: 8 })), "{error}");
    }

    #[test]
    fn pixels_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), 0.0, 1);
        source.sample(0, 3).unwrap();
        let shown = format!("{source:?}");
        assert!(shown.contains("Cache { pictures: 1, bytes: 3600 }"), "{shown}");
    }

    #[test]
    fn nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        source(folder.path(), 0.0, 1);
        let data = SynthesizedData { clean: folder.path().to_owned(), ..SynthesizedData::default() };
        let new = |data: &SynthesizedData| SynthesizedRain::new(data, &AugmentOptions::none(), 0);
        assert!(new(&data).is_ok());
        assert!(new(&SynthesizedData { held_out: 9, ..data.clone() }).is_ok());
        let error = new(&SynthesizedData { held_out: 10, ..data.clone() }).unwrap_err();
        assert!(matches!(error, Error::AllHeldOut { found: 10, held_out: 10, .. }), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let error = new(&SynthesizedData { clean: empty.path().to_owned(), held_out: 1, ..data.clone() }).unwrap_err();
        assert!(matches!(error, Error::Data(DataError::Dataset(DatasetError::NoPairs { .. }))), "{error}");
        let key = |data: &SynthesizedData| match new(data) {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(&SynthesizedData { rain_free: -0.1, ..data.clone() }), "data.rain_free");
        assert_eq!(key(&SynthesizedData { turned: f64::NAN, ..data.clone() }), "data.turned");
        let rain = RainRange { veil: [0.5, 0.1], ..RainRange::default() };
        assert!(new(&SynthesizedData { rain, ..data.clone() }).is_err());
        assert!(new(&SynthesizedData { clean: folder.path().join("no"), ..data }).is_err());
    }
}
