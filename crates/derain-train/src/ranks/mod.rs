//! Several processes that train one network together, each on its part of every batch.
//!
//! A batch is cut into `micro_batches` parts, which the ranks take in order: with N parts and R ranks, rank r computes
//! parts r·N/R to (r + 1)·N/R - 1, and makes only their samples. Parts are then combined in one fixed order, so R
//! ranks, or one process on its own, end with the same bits. Rank 0 leads: it alone validates, writes and tells an
//! observer, and the others wait until it is done.
//!
//! Whatever can fail is followed by a vote: if any rank failed, all of them end, the first that failed with its error
//! and the others with [`Error::OtherRank`]. So no rank waits for one that has gone, and one message is enough.

mod chain;
#[cfg(feature = "mpi")]
mod mpi;
mod vote;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;
pub(crate) use chain::combine_in_chain;
pub use vote::agree;
pub(crate) use vote::{Voted, broadcast, vote};

use crate::{Error, Result};

/// Messages between the processes of one training, which are numbered from 0.
///
/// All ranks call the same methods in the same order. A process that ends without a word must end the others too, as
/// `mpirun` sees to.
pub trait Ranks: Send + Sync {
    /// Which one this is.
    fn rank(&self) -> usize;

    /// How many there are; at least 1.
    fn size(&self) -> usize;

    /// Sends bytes to another rank, which must receive as many.
    ///
    /// # Errors
    /// When the rank cannot be reached; so for all methods.
    fn send(&self, to: usize, bytes: &[u8]) -> Result<()>;

    /// Waits for bytes that another rank sends.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    fn receive(&self, from: usize, bytes: &mut [u8]) -> Result<()>;

    /// Gives all ranks the bytes that rank `from` has.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    fn broadcast(&self, from: usize, bytes: &mut [u8]) -> Result<()>;

    /// The bytes of all ranks, as many from each, in their order.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    fn gather(&self, own: &[u8]) -> Result<Vec<u8>>;
}

/// The only process of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn send(&self, to: usize, _bytes: &[u8]) -> Result<()> {
        Err(Error::NoRank { rank: to, ranks: 1 })
    }

    fn receive(&self, from: usize, _bytes: &mut [u8]) -> Result<()> {
        Err(Error::NoRank { rank: from, ranks: 1 })
    }

    fn broadcast(&self, from: usize, _bytes: &mut [u8]) -> Result<()> {
        match from {
            0 => Ok(()),
            rank => Err(Error::NoRank { rank, ranks: 1 }),
        }
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }
}
