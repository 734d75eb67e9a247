//! What the server's thread and the judges have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::queue::Queue;

/// The queue, under its lock.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
}

impl Shared {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue: Mutex::new(queue) }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing under the lock leaves it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
