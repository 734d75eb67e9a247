//! One step: gradients of a batch, whether they are sound, and the optimizer.

use std::ops::Range;

use derain_data::dataset::Batch;

use super::Trainer;
use crate::micro_batch::MicroBatch;
use crate::observer::StepRecord;
use crate::optimizer::global_norm;
use crate::planes::{reordered, to_tensor};
use crate::ranks::combine_in_chain;
use crate::{Error, Moment, Result};

/// A loss of pictures in 0..1 stays below 4 with weights of 1; one so far above has exploded, though it is a number
/// still. Larger weights raise the limits.
const EXPLODED_LOSS: f64 = 1e3;
/// Gradients of such losses have norms around 1.
const EXPLODED_NORM: f64 = 1e6;
/// RRANet's batch norms need more than one pixel at an eighth of the size, which one pair of this side or less does not
/// have.
const ONE_PIXEL: usize = 8;

impl Trainer {
    /// Gradients of a batch, of which this rank has its part, and a step of the optimizer. Its times are left to the
    /// caller.
    pub(super) fn take_step(&mut self, batch: &Batch) -> Result<StepRecord> {
        let step = self.progress.step + 1;
        let moment = Moment { step: self.progress.step, epoch: batch.position.epoch, steps: self.steps };
        // Rank 0's: cosines may differ in their last bit between machines' mathematical libraries.
        let mut learning_rate = self.config.schedule.rate(&moment)?.to_le_bytes();
        self.ranks.broadcast(0, &mut learning_rate)?;
        let learning_rate = f64::from_le_bytes(learning_rate);
        let whole = combine_in_chain(&*self.ranks, self.micro_batches(batch))?;
        let gradient_norm = self.check_soundness(&whole)?;
        let scale =
            self.config.clip_norm.map_or(1.0, |most| if gradient_norm > most { most / gradient_norm } else { 1.0 });
        self.adam.step(&self.trained, &whole.gradients, step, learning_rate, scale)?;
        self.model.follow(&whole.statistics)?;
        if let Some(average) = &mut self.average {
            average.update(&self.model.tensors(), step)?;
        }
        let epoch = batch.position.epoch;
        Ok(StepRecord { step, epoch, losses: whole.losses, learning_rate, gradient_norm, seconds: 0.0, waited: 0.0 })
    }

    /// Computes the first pair of the batch again, with the weights after the step: what has just been ruined must not
    /// replace the checkpoint before. What is on disk was looked at then.
    pub(super) fn look_ahead(&self, batch: &Batch) -> Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        let is_one_pixel = batch.height.max(batch.width) <= ONE_PIXEL;
        let pairs = if is_one_pixel { self.pairs_of(self.own_parts().start).len() } else { 1 };
        self.check_soundness(&self.micro_batch(batch, 0..pairs)?).map(drop)
    }

    /// The norm of all gradients together, which is a number of common size, as the loss is.
    fn check_soundness(&self, computed: &MicroBatch) -> Result<f64> {
        let norm = global_norm(&computed.gradients)?;
        // ReLU turns NaN features into 0, so neither of the two alone would show every NaN.
        let most = self.config.loss.sum_of_weights().max(1.0);
        let quantities =
            [("loss", computed.losses.total, most * EXPLODED_LOSS), ("gradient's norm", norm, most * EXPLODED_NORM)];
        match quantities.into_iter().find(|&(_, value, most)| value.is_nan() || value.abs() > most) {
            Some((quantity, value, _)) => Err(self.diverged(self.progress.step + 1, quantity, value)),
            None => Ok(norm),
        }
    }

    pub(super) fn diverged(&self, step: u64, quantity: &'static str, value: f64) -> Error {
        let kept = match self.saved {
            Some(saved) => format!("the checkpoint of step {saved} is kept"),
            None => "no checkpoint was written yet".into(),
        };
        Error::Diverged { step, quantity, value, kept }
    }

    /// This rank's parts of a batch, computed when they are asked for.
    fn micro_batches<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = Result<MicroBatch>> + 'a {
        self.own_parts().map(move |part| self.micro_batch(batch, self.pairs_of(part)))
    }

    /// Losses and gradients of some of the pairs that this rank has of a batch.
    fn micro_batch(&self, batch: &Batch, pairs: Range<usize>) -> Result<MicroBatch> {
        let pair = 3 * batch.height * batch.width;
        let (place, bgr) = (pairs.start * pair..pairs.end * pair, self.config.network.is_bgr());
        let [rainy, clean] = [&batch.rainy, &batch.clean]
            .map(|all| reordered(to_tensor(&all[place.clone()], [batch.height, batch.width], &self.device)?, bgr));
        MicroBatch::compute(&self.model, &self.config.loss, &rainy?, &clean?)
    }
}
