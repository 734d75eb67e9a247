use derain_data::dataset::{AugmentOptions, Sample};
use derain_data::hex::hex;
use derain_data::{LoadOptions, load_picture};
use image::{GenericImageView, RgbImage};
use sha2::{Digest, Sha256};

use super::synthesized::generator;
use super::{SynthesizedRain, pair_list};
use crate::{DataConfig, Result, SynthesizedData, TrainConfig};

/// How often rain is drawn for a picture until some is seen.
const DRAWS: u64 = 100;

/// The validation's pairs, in memory, six bytes a pixel: they are the same each time. None where the configuration names none.
#[derive(Default)]
pub(crate) struct ValidationPairs {
    pairs: Vec<(RgbImage, RgbImage)>,
    hash: String,
}

impl ValidationPairs {
    /// # Errors
    /// When a picture cannot be read, or a pair's two differ in size.
    pub(crate) fn load(config: &TrainConfig) -> Result<Self> {
        let pairs = load(config)?;
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", config.validation.protocol));
        for (rainy, clean) in &pairs {
            // Pictures of other sizes are told at once, not after the first steps.
            Sample::from_pictures(rainy, clean)?;
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

/// Rain on photographs that are held out depends on the seed alone. There is rain in each, or the mean PSNR would be infinite.
fn load(config: &TrainConfig) -> Result<Vec<(RgbImage, RgbImage)>> {
    let size = config.validation.size;
    if !config.validation.pairs.is_empty() {
        let list = pair_list(&config.validation.pairs)?;
        let pairs = list.pairs().iter();
        return pairs
            .map(|pair| pair.load(&LoadOptions::default()).map_err(Into::into))
            .map(|pair: Result<_>| {
                let (rainy, clean) = pair?;
                Ok((middle(&rainy, size), middle(&clean, size)))
            })
            .collect();
    }
    let DataConfig::Synthesized(data) = &config.data else { return Ok(Vec::new()) };
    let data = &SynthesizedData { rain_free: 0.0, ..data.clone() };
    let source = SynthesizedRain::new(data, &AugmentOptions::none(), config.seed)?;
    let mut pairs = Vec::new();
    for (index, path) in source.held_out().iter().enumerate() {
        let picture = middle(&load_picture(path)?.image.into_rgb8(), size);
        // Faint rain may leave a small picture as it is.
        let mut draws = (0..DRAWS)
            .map(|draw| source.rain_on(&picture, &mut generator("validation", &[config.seed, index as u64, draw])));
        let rained = draws.find(|drawn| !drawn.as_ref().is_ok_and(|(rainy, clean)| rainy == clean));
        pairs.push(rained.unwrap_or_else(|| Ok((picture.clone(), picture)))?);
    }
    Ok(pairs)
}

/// The square of this side from the middle, or as much of it as there is.
fn middle(picture: &RgbImage, size: Option<u32>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let [w, h] = [width, height].map(|side| size.map_or(side, |size| size.min(side)));
    picture.view((width - w) / 2, (height - h) / 2, w, h).to_image()
}
