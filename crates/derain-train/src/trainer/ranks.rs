//! What a training does differently as one of several ranks.

use std::ops::Range;

use derain_data::dataset::Batch;
use sha2::{Digest, Sha256};

use super::Trainer;
use crate::checkpoint::Loaded;
use crate::observer::Observer;
use crate::ranks::{Ranks, agree, broadcast};
use crate::{Error, Result};

impl Trainer {
    /// Whether this rank writes, validates and tells.
    pub(super) fn leads(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Takes rank 0's state over, so that initial weights and checkpoints need to be at one place only.
    pub(super) fn join(own: Result<Self>, ranks: &dyn Ranks) -> Result<Self> {
        let mut trainer = agree(ranks, own)?;
        if ranks.size() == 1 {
            return Ok(trainer);
        }
        let state = if trainer.leads() { trainer.state() } else { Ok(Vec::new()) };
        let state = broadcast(ranks, agree(ranks, state)?)?;
        // Length and validation may be rank 0's business, and what the others do after a step must be the same.
        let numbers = broadcast(ranks, trainer.shared_numbers().map(u64::to_le_bytes).concat())?;
        let adopted = if trainer.leads() { Ok(()) } else { trainer.follow_lead(state, &numbers) };
        agree(ranks, adopted)?;
        Ok(trainer)
    }

    /// What decides where all ranks stop, write and validate, in the order in which [`follow_lead`](Self::follow_lead)
    /// takes them over.
    fn shared_numbers(&self) -> [u64; 6] {
        let Self { config, steps, validation_pairs, .. } = self;
        let validation = &config.validation;
        let [samples, pairs] = [validation.samples, *validation_pairs].map(|count| count as u64);
        [*steps, config.checkpoint_interval, validation.interval, validation.sample_interval, samples, pairs]
    }

    fn follow_lead(&mut self, state: Vec<u8>, numbers: &[u8]) -> Result<()> {
        let loaded = Loaded::parse(&self.folder.checkpoint(), state)?;
        let differences = loaded.progress.differences(&self.progress.config, &self.progress.data);
        if !differences.is_empty() {
            return Err(Error::RanksDiffer { rank: self.ranks.rank(), differences });
        }
        let numbers = numbers.chunks_exact(size_of::<u64>()).map(bytemuck::pod_read_unaligned::<u64>);
        if let [steps, checkpoints, interval, sample_interval, samples, pairs] = numbers.collect::<Vec<_>>()[..] {
            (self.steps, self.config.checkpoint_interval) = (steps, checkpoints);
            let validation = &mut self.config.validation;
            (validation.interval, validation.sample_interval) = (interval, sample_interval);
            (validation.samples, self.validation_pairs) = (samples as usize, pairs as usize);
        }
        // A state of step 0 is a new one; rank 0 has read every other from its checkpoint.
        self.saved = Some(loaded.progress.step).filter(|&step| step > 0);
        self.adopt(loaded)
    }

    /// Which parts of a batch this rank computes.
    pub(super) fn own_parts(&self) -> Range<usize> {
        let each = self.config.micro_batches / self.ranks.size();
        let first = self.ranks.rank() * each;
        first..first + each
    }

    /// A part's pairs, counted from the first that this rank has of the batch.
    pub(super) fn pairs_of(&self, part: usize) -> Range<usize> {
        let first = self.first_pair(self.own_parts().start);
        self.first_pair(part) - first..self.first_pair(part + 1) - first
    }

    /// Where a part begins in its batch. Sizes differ by 1 at most.
    pub(super) fn first_pair(&self, part: usize) -> usize {
        part * self.config.batch_size / self.config.micro_batches
    }

    /// Has rank 0 write a checkpoint, of weights that are equal on all ranks and not ruined. `batch` is that of the
    /// last step.
    pub(super) fn keep(&mut self, batch: &Batch, observer: &mut dyn Observer) -> Result<()> {
        if !self.is_kept() {
            self.compare_weights()?;
            agree(&*self.ranks, self.look_ahead(batch))?;
        }
        let written = if self.leads() { self.save(observer) } else { Ok(()) };
        agree(&*self.ranks, written)?;
        // On all ranks: each of them may be the one that says what is kept.
        self.saved = Some(self.progress.step);
        Ok(())
    }

    /// Whether all ranks have the same weights, as they must.
    fn compare_weights(&self) -> Result<()> {
        if self.ranks.size() == 1 {
            return Ok(());
        }
        let mut hash = Sha256::new();
        let hashed = self.model.tensors().iter().try_for_each(|tensor| {
            hash.update(bytemuck::cast_slice::<f32, u8>(&tensor.flatten_all()?.to_vec1()?));
            Ok(())
        });
        agree(&*self.ranks, hashed)?;
        let own = hash.finalize();
        let hashes = self.ranks.gather(&own)?;
        match hashes.chunks(own.len()).position(|hash| hash != &hashes[..own.len()]) {
            // Rank 0 says it for all.
            Some(rank) if self.leads() => Err(Error::RanksApart { step: self.progress.step, rank }),
            Some(_) => Err(Error::OtherRank { rank: 0 }),
            None => Ok(()),
        }
    }
}
