//! How a training ends, and asking for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a training ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// A [`StopHandle`] asked for the end. A checkpoint is on disk.
    Stopped {
        /// Steps done.
        step: u64,
    },
}

/// Asks a training to end after the step that it is at, from any thread; of
/// [`Trainer::stop_handle`](super::Trainer::stop_handle).
#[derive(Clone, Debug, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// The training writes a checkpoint and ends.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// A training that has ended may go on.
    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
