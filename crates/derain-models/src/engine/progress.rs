//! How far a run has come.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Result};

/// Told how far a run has come, as a share from 0 to 1, from whichever thread has finished a part; says whether it is
/// to go on.
#[derive(Clone, Copy)]
pub(crate) struct Progress<'a>(pub(crate) &'a (dyn Fn(f64) -> ControlFlow<()> + Sync));

#[cfg(test)]
impl Progress<'_> {
    /// Nobody is told.
    pub(crate) const SILENT: Self = Self(&|_| ControlFlow::Continue(()));
}

/// A run's multiply-adds: how many are done, how many there are in all, and whom to tell.
pub(crate) struct Work<'a> {
    progress: Progress<'a>,
    done: AtomicU64,
    in_all: u64,
    stopped: AtomicBool,
}

impl<'a> Work<'a> {
    pub(crate) fn new(progress: Progress<'a>, in_all: u64) -> Self {
        Self { progress, done: AtomicU64::new(0), in_all: in_all.max(1), stopped: AtomicBool::new(false) }
    }

    /// Counts multiply-adds that have been done, and tells.
    pub(crate) fn advance(&self, work: u64) {
        let done = self.done.fetch_add(work, Ordering::Relaxed) + work;
        if (self.progress.0)((done as f64 / self.in_all as f64).min(1.0)).is_break() {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody who was told wants no more of it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// An error once it is stopped.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}
