use derain_data::dataset::{AugmentOptions, Sample};
use derain_data::{LoadOptions, load_picture};
use image::{GenericImageView, RgbImage};

use super::synthesized::generator;
use super::{SynthesizedRain, pair_list};
use crate::{DataConfig, Result, SynthesizedData, TrainConfig};

/// How often rain is drawn for a picture until some is seen.
const DRAWS: u64 = 100;

/// The validation's pairs, in memory: they are the same each time. None where the configuration names none.
///
/// Rain on photographs that are held out depends on the seed alone. There is rain in each, or the mean PSNR would be infinite.
pub(crate) fn validation_pairs(config: &TrainConfig) -> Result<Vec<Sample>> {
    let size = config.validation.size;
    let sample =
        |rainy: &RgbImage, clean: &RgbImage| Ok(Sample::from_pictures(&middle(rainy, size), &middle(clean, size))?);
    if !config.validation.pairs.is_empty() {
        let list = pair_list(&config.validation.pairs)?;
        let pairs = list.pairs().iter();
        return pairs
            .map(|pair| pair.load(&LoadOptions::default()).map_err(Into::into))
            .map(|pair: Result<_>| {
                let (rainy, clean) = pair?;
                sample(&rainy, &clean)
            })
            .collect();
    }
    let DataConfig::Synthesized(data) = &config.data else { return Ok(Vec::new()) };
    let data = &SynthesizedData { rain_free: 0.0, ..data.clone() };
    let source = SynthesizedRain::new(data, &AugmentOptions::none(), config.seed)?;
    let mut samples = Vec::new();
    for (index, path) in source.held_out().iter().enumerate() {
        let picture = middle(&load_picture(path)?.image.into_rgb8(), size);
        // Faint rain may leave a small picture as it is.
        let mut draws = (0..DRAWS)
            .map(|draw| source.rain_on(&picture, &mut generator("validation", &[config.seed, index as u64, draw])));
        let rained = draws.find(|drawn| !drawn.as_ref().is_ok_and(|(rainy, clean)| rainy == clean));
        let (rainy, clean) = rained.unwrap_or_else(|| Ok((picture.clone(), picture)))?;
        samples.push(sample(&rainy, &clean)?);
    }
    Ok(samples)
}

/// The square of this side from the middle, or as much of it as there is.
fn middle(picture: &RgbImage, size: Option<u32>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let [w, h] = [width, height].map(|side| size.map_or(side, |size| size.min(side)));
    picture.view((width - w) / 2, (height - h) / 2, w, h).to_image()
}
