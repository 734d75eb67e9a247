//! What a training does differently as one of several ranks.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::Trainer;
use crate::checkpoint::Loaded;
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
        // The length may be rank 0's business, and where the others stop it must be the same.
        let length =
            broadcast(ranks, [trainer.steps, trainer.config.checkpoint_interval].map(u64::to_le_bytes).concat())?;
        let adopted = if trainer.leads() { Ok(()) } else { trainer.follow_lead(state, &length) };
        agree(ranks, adopted)?;
        Ok(trainer)
    }

    fn follow_lead(&mut self, state: Vec<u8>, length: &[u8]) -> Result<()> {
        let loaded = Loaded::parse(&self.folder.checkpoint(), state)?;
        let differences = loaded.progress.differences(&self.progress.config, &self.progress.data);
        if !differences.is_empty() {
            return Err(Error::RanksDiffer { rank: self.ranks.rank(), differences });
        }
        let mut numbers = length.chunks_exact(size_of::<u64>()).map(bytemuck::pod_read_unaligned::<u64>);
        self.steps = numbers.next().unwrap_or(self.steps);
        self.config.checkpoint_interval = numbers.next().unwrap_or(self.config.checkpoint_interval);
        self.adopt(loaded)
    }

    /// Which parts of a batch this rank computes.
    pub(super) fn own_parts(&self) -> Range<usize> {
        let each = self.config.micro_batches / self.ranks.size();
        let first = self.ranks.rank() * each;
        first..first + each
    }

    /// Where a part begins in its batch. Sizes differ by 1 at most.
    pub(super) fn first_pair(&self, part: usize) -> usize {
        part * self.config.batch_size / self.config.micro_batches
    }

    /// Whether all ranks have the same weights, as they must.
    pub(super) fn compare_weights(&self) -> Result<()> {
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
