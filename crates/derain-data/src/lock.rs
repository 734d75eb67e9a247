//! Locks on files, by which two runs keep out of each other's way.

use std::fs::TryLockError;

/// Whether another process holds the lock that was asked for. Where a file system has none, the user takes care: some
/// network file systems say so by errors of their own.
pub(crate) fn is_held_elsewhere(asked: Result<(), TryLockError>) -> bool {
    matches!(asked, Err(TryLockError::WouldBlock))
}
