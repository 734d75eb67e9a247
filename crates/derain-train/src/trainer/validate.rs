//! Scoring and showing what the weights make of the validation pairs.

use std::time::Instant;

use derain_data::write_durably;
use derain_metrics::Scores;

use super::Trainer;
use crate::Result;
use crate::checkpoint::Best;
use crate::observer::{Observer, ValidationRecord, WrittenKind};
use crate::validation::Examiner;

impl Trainer {
    /// Scores the weights on all validation pairs, or only shows some of them.
    pub(super) fn validate(&mut self, scored: bool, shown: bool, observer: &mut dyn Observer) -> Result<()> {
        let begun = Instant::now();
        let wanted = if shown { self.config.validation.samples } else { 0 };
        let pairs = if scored { self.validation.len() } else { wanted.min(self.validation.len()) };
        let examiner = Examiner {
            network: &self.judged,
            device: &self.device,
            bgr: self.config.network.is_bgr(),
            protocol: self.config.validation.protocol,
            mask_threshold: self.config.loss.mask_threshold,
        };
        let (mut input, mut output, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        for (index, sample) in self.validation[..pairs].iter().enumerate() {
            let examined = examiner.examine(index, sample, index < wanted)?;
            input.push(examined.input);
            output.push(examined.output);
            pictures.extend(examined.pictures);
            self.tell(observer.validating(index + 1, pairs))?;
        }
        let step = self.progress.step;
        if let (true, Some(input), Some(output)) = (scored, Scores::mean(&input), Scores::mean(&output)) {
            let is_best = self.progress.best.is_none_or(|best| output.psnr > best.psnr());
            let seconds = begun.elapsed().as_secs_f64();
            self.tell(observer.validation(&ValidationRecord { step, input, output, pairs, is_best, seconds }))?;
            if is_best {
                self.progress.best = Some(Best::new(step, output.psnr));
                let path = self.folder.best();
                write_durably(&path, &self.weight_file()?)?;
                self.tell_written(observer, path, WrittenKind::BestWeights)?;
            }
        }
        if !pictures.is_empty() {
            self.tell(observer.samples(step, &pictures))?;
        }
        Ok(())
    }
}
