//! Scoring and showing what the weights make of the validation pairs.

use std::time::Instant;

use derain_data::write_durably;
use derain_metrics::Scores;

use super::Trainer;
use crate::Result;
use crate::checkpoint::{Best, Progress};
use crate::observer::{Observer, ValidationRecord, WrittenKind};
use crate::validation::Examiner;

/// A pair restored without error has an infinite PSNR, after which no mean would be better. So in the choice of the
/// best a pair counts at most this, in dB.
const MOST_PSNR: f64 = 100.0;

/// What is to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DueValidation {
    /// All pairs are scored.
    scored: bool,
    /// Some are shown.
    shown: bool,
}

impl Trainer {
    fn due_validation(&self) -> DueValidation {
        let is_due = |interval: u64| self.progress.step.is_multiple_of(interval) || self.progress.step == self.steps;
        let validation = &self.config.validation;
        DueValidation { scored: is_due(validation.interval), shown: is_due(validation.sample_interval) }
    }

    /// How many pairs are scored, or only shown, after the last step; equal on all ranks.
    pub(super) fn pairs_due(&self) -> usize {
        let DueValidation { scored, shown } = self.due_validation();
        if scored { self.validation_pairs } else { self.pairs_shown(shown) }
    }

    fn pairs_shown(&self, shown: bool) -> usize {
        if shown { self.config.validation.samples.min(self.validation_pairs) } else { 0 }
    }

    /// Does the validation that an earlier run was stopped before, and what it left undone after it.
    pub(super) fn catch_up(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.validate(observer)?;
        // The checkpoint on disk predates this validation; saving again puts it behind the validation's log lines.
        match self.is_checkpoint_due() && !self.progress.validation_due {
            true => self.save(observer),
            false => Ok(()),
        }
    }

    /// Scores the weights on all validation pairs, or only shows some of them, where that is due after the last step.
    /// One who asks to stop does not wait for the end: `progress.validation_due` says that it is still to be done, from
    /// its first pair on.
    ///
    /// # Errors
    /// What scoring, disk or observer say. It is still due then, as if it had not begun.
    pub(super) fn validate(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Progress { validation_due, validated, best, best_on, .. } = self.progress.clone();
        self.score_and_show(observer).inspect_err(|_| {
            let progress = &mut self.progress;
            (progress.validation_due, progress.validated) = (validation_due, validated);
            (progress.best, progress.best_on) = (best, best_on);
        })
    }

    fn score_and_show(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let DueValidation { scored, shown } = self.due_validation();
        let begun = Instant::now();
        let (wanted, pairs) = (self.pairs_shown(shown), self.pairs_due());
        let examiner = Examiner {
            network: &self.judged,
            device: &self.device,
            bgr: self.config.network.is_bgr(),
            protocol: self.config.validation.protocol,
            mask_threshold: self.config.loss.mask_threshold,
        };
        let (mut inputs, mut outputs, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..pairs {
            if self.stop.is_stopped() {
                self.progress.validation_due = true;
                return Ok(());
            }
            let examined = examiner.examine(index, &self.validation.sample(index)?, index < wanted)?;
            inputs.push(examined.input);
            outputs.push(examined.output);
            pictures.extend(examined.pictures);
            self.tell(observer.validating(index + 1, pairs))?;
        }
        self.progress.validation_due = false;
        if scored {
            self.progress.validated = Some(self.progress.step);
            self.record_scores(&inputs, &outputs, begun, observer)?;
        }
        if !pictures.is_empty() {
            self.tell(observer.samples(self.progress.step, &pictures))?;
        }
        Ok(())
    }

    /// Tells the means over all pairs, if there are any, and keeps the weights if they are the best so far. `begun` is
    /// when scoring began.
    fn record_scores(
        &mut self,
        inputs: &[Scores],
        outputs: &[Scores],
        begun: Instant,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (Some(input), Some(output)) = (Scores::mean(inputs), Scores::mean(outputs)) else { return Ok(()) };
        let (step, pairs) = (self.progress.step, outputs.len());
        let choice = mean_for_choice(outputs);
        let is_best =
            !self.is_validated_anew && self.progress.best.is_none_or(|best| choice > best.psnr().min(MOST_PSNR));
        let seconds = begun.elapsed().as_secs_f64();
        self.tell(observer.validation(&ValidationRecord { step, input, output, pairs, is_best, seconds }))?;
        if is_best {
            self.progress.best = Some(Best::new(step, choice));
            self.progress.best_on = self.validation.hash().to_owned();
            let path = self.folder.best();
            write_durably(&path, &self.weight_file()?)?;
            self.tell_written(observer, path, WrittenKind::BestWeights)?;
        }
        Ok(())
    }
}

/// The mean PSNR in dB by which the best weights are chosen; NaN of none.
fn mean_for_choice(scores: &[Scores]) -> f64 {
    scores.iter().map(|scores| scores.psnr.min(MOST_PSNR)).sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::{Scores, mean_for_choice};

    #[test]
    fn a_pair_without_error_leaves_room_for_better_weights() {
        let mean = |psnrs: [f64; 2]| mean_for_choice(&psnrs.map(|psnr| Scores { psnr, ssim: 1.0 }));
        assert_eq!(mean([30.0, 34.0]), 32.0);
        assert!(mean([f64::INFINITY, 30.0]) < mean([f64::INFINITY, 31.0]));
    }
}
