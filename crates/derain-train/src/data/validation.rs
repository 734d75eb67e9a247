use derain_data::LoadOptions;
use derain_data::dataset::{AugmentOptions, Sample};
use derain_data::hex::hex;
use image::{GenericImageView, RgbImage};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{SynthesizedRain, pair_list};
use crate::{DataConfig, Error, Result, TrainConfig};

/// The validation's pairs, in memory, six bytes a pixel: they are the same each time. None where the configuration
/// names none.
#[derive(Default)]
pub(crate) struct ValidationPairs {
    pairs: Vec<(RgbImage, RgbImage)>,
    hash: String,
}

impl ValidationPairs {
    /// # Errors
    /// When a picture cannot be read, a pair's two differ in size, or [`Error::Unscorable`].
    pub(crate) fn load(config: &TrainConfig) -> Result<Self> {
        let pairs = load(config)?;
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", config.validation.protocol));
        // Told at once, not after the first steps: SSIM's window has to fit into the smallest.
        let smallest = pairs.iter().min_by_key(|(_, clean)| clean.width().min(clean.height()));
        if let Some((rainy, clean)) = smallest
            && let Err(source) = config.validation.protocol.score(rainy, clean)
        {
            return Err(Error::Unscorable { size: clean.dimensions(), source });
        }
        for (rainy, clean) in &pairs {
            for picture in [rainy, clean] {
                hash.update(picture.width().to_le_bytes());
                hash.update(picture.as_raw());
            }
        }
        Ok(Self { pairs, hash: hex(&hash.finalize()) })
    }

    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Scores compare only where this is equal.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) fn sample(&self, index: usize) -> Result<Sample> {
        let (rainy, clean) = &self.pairs[index];
        Ok(Sample::from_pictures(rainy, clean)?)
    }
}

fn load(config: &TrainConfig) -> Result<Vec<(RgbImage, RgbImage)>> {
    let size = config.validation.size;
    if !config.validation.pairs.is_empty() {
        let list = pair_list(&config.validation.pairs)?;
        return list
            .pairs()
            .par_iter()
            .map(|pair| pair.load(&LoadOptions::default()).map_err(Into::into))
            .map(|pair: Result<_>| {
                let (rainy, clean) = pair?;
                Ok((middle(&rainy, size), middle(&clean, size)))
            })
            .collect();
    }
    let DataConfig::Synthesized(data) = &config.data else { return Ok(Vec::new()) };
    let source = SynthesizedRain::new(data, &AugmentOptions::none(), config.seed)?;
    Ok(source.validation_pairs(size).collect::<std::result::Result<_, _>>()?)
}

/// The square of this side from the middle, or as much of it as there is.
pub(super) fn middle(picture: &RgbImage, size: Option<u32>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let [w, h] = [width, height].map(|side| size.map_or(side, |size| size.min(side)));
    picture.view((width - w) / 2, (height - h) / 2, w, h).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SynthesizedData, ValidationConfig};

    #[test]
    fn a_source_gives_the_pairs_that_a_training_validates_on() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..6u8 {
            let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([20 * index, 4 * x as u8, 5 * y as u8]));
            picture.save(folder.path().join(format!("{index}.png"))).unwrap();
        }
        // Rain falls on them though training has none.
        let clean = folder.path().to_owned();
        let data = SynthesizedData { clean, held_out: 3, rain_free: 1.0, ..SynthesizedData::default() };
        let source = SynthesizedRain::new(&data, &AugmentOptions::none(), 5).unwrap();
        let pairs: Vec<_> = source.validation_pairs(Some(24)).map(|pair| pair.unwrap()).collect();
        assert_eq!(pairs.len(), 3);
        for (rainy, clean) in &pairs {
            assert_eq!((rainy.dimensions(), clean.dimensions()), ((24, 24), (24, 24)));
            assert_ne!(rainy, clean);
        }
        assert_eq!(source.validation_pairs(None).next().unwrap().unwrap().0.dimensions(), (40, 30));
        assert!(source.validation_pairs(Some(0)).all(|pair| pair.is_err()));
        let validation = ValidationConfig { size: Some(24), ..ValidationConfig::default() };
        let data = DataConfig::Synthesized(data);
        let config = TrainConfig { seed: 5, data, validation, ..TrainConfig::default() };
        assert_eq!(ValidationPairs::load(&config).unwrap().pairs, pairs);
        // SSIM's window does not fit: told before the first step.
        let validation = ValidationConfig { size: Some(8), ..ValidationConfig::default() };
        let refused = ValidationPairs::load(&TrainConfig { validation, ..config }).err().unwrap();
        assert!(matches!(refused, Error::Unscorable { size: (8, 8), .. }), "{refused}");
    }
}
