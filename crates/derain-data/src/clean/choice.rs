//! From the ranks of modes to votes, and from votes to a percentile.

use derain_ops::temporal::{Mode, Rank};

use super::{Interpolation, ModeRanges, PercentileTie, Percentiles};

/// How many modes begin and end at each rank, 0..N.
///
/// A mode votes for every percentile p with 100 · first <= p · N <= 100 · last. The smallest such p is
/// ceil(100 · first / N) and the largest floor(100 · last / N), never more than one below the smallest. So what has
/// ended before p has begun by p, and the votes follow from the beginnings and the ends, each counted on their own.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    first: Vec<u64>,
    last: Vec<u64>,
}

impl Ranks {
    /// Of `frames` frames, without modes yet.
    pub(super) fn new(frames: usize) -> Self {
        Self { first: vec![0; frames], last: vec![0; frames] }
    }

    pub(super) fn add(&mut self, mode: Mode) {
        self.first[usize::from(mode.first)] += 1;
        self.last[usize::from(mode.last)] += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let sums = self.first.iter_mut().zip(&other.first).chain(self.last.iter_mut().zip(&other.last));
        sums.for_each(|(sum, count)| *sum += count);
    }

    fn frames(&self) -> usize {
        self.first.len()
    }

    /// How many modes lie at each percentile.
    pub(super) fn votes(&self) -> Percentiles {
        let mut begin = [0u64; 101];
        let mut end = [0u64; 101];
        for (rank, (first, last)) in self.first.iter().zip(&self.last).enumerate() {
            begin[(100 * rank).div_ceil(self.frames())] += first;
            end[100 * rank / self.frames()] += last;
        }
        let mut votes = [0; 101];
        let (mut begun, mut ended) = (0, 0);
        for (p, votes) in votes.iter_mut().enumerate() {
            begun += begin[p];
            *votes = begun - ended;
            ended += end[p];
        }
        votes
    }

    /// The percentiles of beginnings and ends, rounded down.
    pub(super) fn ranges(&self) -> ModeRanges {
        let floored = |counts: &[u64]| {
            let mut percentiles = [0; 101];
            for (rank, count) in counts.iter().enumerate() {
                percentiles[100 * rank / self.frames()] += count;
            }
            percentiles
        };
        ModeRanges { min: floored(&self.first), max: floored(&self.last) }
    }
}

/// The percentile with the most votes.
pub(super) fn choose(votes: &Percentiles, tie: PercentileTie) -> u8 {
    let most = votes.iter().max();
    let first = votes.iter().position(|count| Some(count) == most).unwrap_or(0);
    let plateau = votes[first..].iter().take_while(|&count| Some(count) == most).count();
    let chosen = match tie {
        PercentileTie::First => first,
        PercentileTie::Middle => first + plateau.saturating_sub(1) / 2,
    };
    chosen as u8
}

/// Where a percentile lies among N = `frames` sorted values: at p · (N − 1) / 100.
pub(super) fn rank(percentile: u8, frames: usize, interpolation: Interpolation) -> Rank {
    let hundredths = usize::from(percentile) * (frames - 1);
    let (below, rest) = (hundredths / 100, hundredths % 100);
    match interpolation {
        Interpolation::Linear => Rank { below, hundredths: rest as u8 },
        Interpolation::Nearest => {
            let up = rest > 50 || (rest == 50 && below % 2 == 1);
            Rank { below: below + usize::from(up), hundredths: 0 }
        }
    }
}
