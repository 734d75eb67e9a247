//! How far a run has come.

use std::sync::atomic::{AtomicU64, Ordering};

/// Told how far a run has come, as a share from 0 to 1, from whichever thread has finished a part.
#[derive(Clone, Copy)]
pub(crate) struct Progress<'a>(pub(crate) &'a (dyn Fn(f64) + Sync));

/// A run's multiply-adds: how many are done, how many there are in all, and whom to tell.
pub(crate) struct Work<'a> {
    progress: Progress<'a>,
    done: AtomicU64,
    in_all: u64,
}

impl<'a> Work<'a> {
    pub(crate) fn new(progress: Progress<'a>, in_all: u64) -> Self {
        Self { progress, done: AtomicU64::new(0), in_all: in_all.max(1) }
    }

    /// Counts multiply-adds that have been done, and tells.
    pub(crate) fn advance(&self, work: u64) {
        let done = self.done.fetch_add(work, Ordering::Relaxed) + work;
        (self.progress.0)((done as f64 / self.in_all as f64).min(1.0));
    }
}
