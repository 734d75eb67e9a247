//! Scoring the network on pairs that it does not train on.

use candle_core::Device;
use derain_data::dataset::Sample;
use derain_metrics::{Protocol, Scores};

use crate::model::AnyNetwork;
use crate::observer::SamplePictures;
use crate::planes::{reordered, to_grey, to_picture, to_rgb, to_tensor};
use crate::{Result, losses};

/// What a pair is looked at with.
pub(crate) struct Examiner<'a> {
    pub network: &'a AnyNetwork,
    pub device: &'a Device,
    pub bgr: bool,
    pub protocol: Protocol,
    pub mask_threshold: f64,
}

/// What the network does with a pair.
pub(crate) struct Examined {
    /// Rainy against clean.
    pub input: Scores,
    /// Result against clean.
    pub output: Scores,
    /// None where they are not asked for.
    pub pictures: Option<SamplePictures>,
}

impl Examiner<'_> {
    /// Runs the network over one pair; `index` is its number, `shown` whether its pictures are wanted.
    pub(crate) fn examine(&self, index: usize, sample: &Sample, shown: bool) -> Result<Examined> {
        let size = [sample.height, sample.width];
        let tensor = |planes: &[f32]| reordered(to_tensor(planes, size, self.device)?, self.bgr);
        let rainy = tensor(&sample.rainy)?;
        let result = self.network.forward(&rainy)?;
        let planes = reordered(result.clean, self.bgr)?.flatten_all()?.to_vec1::<f32>()?;
        let output = to_picture(&planes, size);
        let [input, truth] = [&sample.rainy, &sample.clean].map(|planes| to_picture(planes, size));
        let pictures = if shown {
            let mask = losses::rain_mask(&rainy, &tensor(&sample.clean)?, self.mask_threshold)?;
            let grey = |map: &candle_core::Tensor| Ok::<_, crate::Error>(map.flatten_all()?.to_vec1::<f32>()?);
            Some(SamplePictures {
                pair: index,
                input: to_rgb(&input),
                output: to_rgb(&output),
                truth: to_rgb(&truth),
                attention: result.attention.as_ref().map(grey).transpose()?.map(|map| to_grey(&map, size)),
                mask: to_grey(&grey(&mask)?, size),
            })
        } else {
            None
        };
        let score = |picture| self.protocol.score(picture, &truth);
        Ok(Examined { input: score(&input)?, output: score(&output)?, pictures })
    }
}
