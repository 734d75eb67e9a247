//! Parts of a batch that lie with several ranks, combined in their order.
//!
//! [`combine`] takes parts in one by one, and floating-point sums depend on that order, so a tree or a ring of partial sums would give other
//! bits for other numbers of ranks. Instead the sum itself goes from rank to rank: rank 0 combines its parts and sends
//! the result on, rank 1 takes its own in, and the last has the whole, which it gives to all. Gathering every part
//! everywhere would have the same bits, but N sets of gradients in each rank's memory and on the wire; here a rank
//! holds its own N/R and receives two. What waits is the sum, once through all ranks, which is short beside a step: 34
//! MB a hop for RRANet, 1 MB for SPANet.

use candle_core::Tensor;
use derain_models::rranet::BatchStatistics;

use super::{Ranks, agree};
use crate::micro_batch::{MicroBatch, combine};
use crate::observer::Losses;
use crate::{Error, Result};

/// The whole batch from the parts of all ranks. `parts` are this rank's, computed when they are asked for.
///
/// # Errors
/// When a part failed, on any rank. After that only what one rank says of its own memory is left to fail, and each has
/// done its part of the exchange by then: a vote that follows finds it.
pub(crate) fn combine_in_chain(
    ranks: &dyn Ranks,
    parts: impl Iterator<Item = Result<MicroBatch>>,
) -> Result<MicroBatch> {
    // A loader's batches and the parts of a rank are never empty.
    let some = |whole: Option<MicroBatch>| {
        whole.ok_or_else(|| Error::from(candle_core::Error::Msg("a batch without pairs".into())))
    };
    let (rank, last) = (ranks.rank(), ranks.size() - 1);
    if last == 0 {
        return some(combine(parts)?);
    }
    let own: Result<Vec<_>> =
        if rank == 0 { combine(parts).map(|whole| whole.into_iter().collect()) } else { parts.collect() };
    let (form, own) = agree(ranks, own.and_then(|own| Ok((Form(some(own.first().cloned())?), own))))?;
    let mut bytes = vec![0; form.bytes()];
    let folded = if rank == 0 {
        combine(own.into_iter().map(Ok))
    } else {
        ranks.receive(rank - 1, &mut bytes)?;
        combine(std::iter::once(form.read(&bytes)).chain(own.into_iter().map(Ok)))
    };
    let written = folded.and_then(some).and_then(|whole| form.write(&whole, &mut bytes));
    if rank < last {
        ranks.send(rank + 1, &bytes)?;
    }
    ranks.broadcast(last, &mut bytes)?;
    written?;
    form.read(&bytes)
}

impl MicroBatch {
    /// All tensors, in the order of [`with`](Self::with).
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let statistics = self.statistics.iter().flat_map(|statistics| [&statistics.mean, &statistics.variance]);
        self.gradients.iter().chain(statistics)
    }

    /// A part of the same kind with other values; `next` makes one tensor after the other, each like the one it gets.
    fn with(&self, samples: usize, losses: Losses, mut next: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let gradients = self.gradients.iter().map(&mut next).collect::<Result<_>>()?;
        let statistics = self.statistics.iter().map(|like| {
            Ok(BatchStatistics { name: like.name.clone(), mean: next(&like.mean)?, variance: next(&like.variance)? })
        });
        let statistics = statistics.collect::<Result<_>>()?;
        Ok(Self { samples, losses, gradients, statistics })
    }
}

/// Numbers before the tensors: pairs, and four losses.
const HEAD: usize = 5 * size_of::<f64>();

/// A part that says what all parts are made of, on all ranks: which losses, and tensors of which shapes.
struct Form(MicroBatch);

impl Form {
    fn bytes(&self) -> usize {
        HEAD + self.0.tensors().map(Tensor::elem_count).sum::<usize>() * size_of::<f32>()
    }

    /// Replaces the bytes by the part's, as many as before, for the others wait for them whatever happens here.
    fn write(&self, part: &MicroBatch, bytes: &mut Vec<u8>) -> Result<()> {
        let length = bytes.len();
        bytes.clear();
        let losses = &part.losses;
        bytes.extend((part.samples as u64).to_ne_bytes());
        for loss in [Some(losses.total), losses.l1, losses.ssim, losses.attention] {
            bytes.extend(loss.unwrap_or_default().to_ne_bytes());
        }
        let written = part.tensors().try_for_each(|tensor| {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.flatten_all()?.to_vec1::<f32>()?));
            Ok(())
        });
        bytes.resize(length, 0);
        written
    }

    fn read(&self, bytes: &[u8]) -> Result<MicroBatch> {
        let (head, mut rest) = bytes.split_at(HEAD);
        let number = |place: usize| bytemuck::pod_read_unaligned::<u64>(&head[place * 8..][..8]);
        let loss = |place: usize| f64::from_bits(number(place));
        let like = &self.0.losses;
        let losses = Losses {
            total: loss(1),
            l1: like.l1.map(|_| loss(2)),
            ssim: like.ssim.map(|_| loss(3)),
            attention: like.attention.map(|_| loss(4)),
        };
        self.0.with(number(0) as usize, losses, |like| {
            let (elements, after) = rest.split_at(like.elem_count() * size_of::<f32>());
            rest = after;
            let elements = elements.chunks_exact(size_of::<f32>()).map(bytemuck::pod_read_unaligned::<f32>);
            Ok(Tensor::from_vec(elements.collect(), like.shape(), like.device())?)
        })
    }
}
