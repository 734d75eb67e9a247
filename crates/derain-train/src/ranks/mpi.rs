//! Ranks as processes that `mpirun` or a scheduler starts, through the MPI library that is installed.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mpi::Threading;
use mpi::collective::{CommunicatorCollectives, Root};
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::topology::{Communicator, SimpleCommunicator};

use super::Ranks;
use crate::{Error, Result};

/// Bytes of one message. MPI counts with 32 bits.
const PIECE: usize = 1 << 28;

/// All processes of an MPI run (`MPI_COMM_WORLD`).
///
/// MPI begins with this and ends when it is dropped, which waits for the other processes: drop it last, after what
/// there is to say was said. Where it is dropped by a panic, it ends all processes instead, as they would wait for this
/// one without end.
pub struct Mpi {
    // Finalizes MPI when it is dropped.
    _universe: Universe,
    /// MPI is asked for calls by one thread at a time.
    calls: Mutex<()>,
    rank: usize,
    size: usize,
}

impl Mpi {
    /// Starts MPI in this process; once.
    ///
    /// # Errors
    /// [`Error::Mpi`] if it was started before, or allows no threads beside the one that calls it.
    pub fn start() -> Result<Self> {
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or(Error::Mpi { reason: "it was started before in this process" })?;
        if !matches!(threading, Threading::Serialized | Threading::Multiple) {
            return Err(Error::Mpi { reason: "this library was built without support for threads" });
        }
        let world = SimpleCommunicator::world();
        // Counts are never negative.
        let [rank, size] = [world.rank(), world.size()].map(|count| count.unsigned_abs() as usize);
        Ok(Self { _universe: universe, calls: Mutex::default(), rank, size })
    }

    /// Ends the processes of all ranks at once, where no vote can: after a failure that the others do not know of.
    pub fn abort(&self) -> ! {
        SimpleCommunicator::world().abort(1)
    }

    fn world(&self) -> (MutexGuard<'_, ()>, SimpleCommunicator) {
        (self.calls.lock().unwrap_or_else(PoisonError::into_inner), SimpleCommunicator::world())
    }

    /// A rank as MPI counts it.
    fn place(&self, rank: usize) -> Result<i32> {
        let place = i32::try_from(rank).ok().filter(|_| rank < self.size);
        place.ok_or(Error::NoRank { rank, ranks: self.size })
    }
}

impl fmt::Debug for Mpi {
    /// Without calling MPI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.abort();
        }
    }
}

/// Errors of the MPI library end all processes, which is what it does unless it is told otherwise.
impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, bytes: &[u8]) -> Result<()> {
        let (to, (_calls, world)) = (self.place(to)?, self.world());
        bytes.chunks(PIECE).for_each(|piece| world.process_at_rank(to).send(piece));
        Ok(())
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) -> Result<()> {
        let (from, (_calls, world)) = (self.place(from)?, self.world());
        for piece in bytes.chunks_mut(PIECE) {
            world.process_at_rank(from).receive_into(piece);
        }
        Ok(())
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) -> Result<()> {
        let (from, (_calls, world)) = (self.place(from)?, self.world());
        bytes.chunks_mut(PIECE).for_each(|piece| world.process_at_rank(from).broadcast_into(piece));
        Ok(())
    }

    /// For short messages.
    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        let (_calls, world) = self.world();
        let mut all = vec![0; own.len() * self.size];
        world.all_gather_into(own, &mut all[..]);
        Ok(all)
    }
}
