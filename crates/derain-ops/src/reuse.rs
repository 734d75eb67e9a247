//! Scratch memory that outlives a call: what one call has allocated and touched serves the next.
//!
//! A layer's rectangles are some hundred kilobytes a thread. Allocated anew for every call they cost more than the
//! arithmetic of a small picture: the allocator hands such blocks back to the system, which clears their pages again
//! each time.

use std::any::Any;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

/// Scratch that no call is using.
static IDLE: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// Most of one type that lie idle: twice as many as threads can use at once; calls from many threads at once would
/// leave more. Asked once: the standard library reads the control group's files for it, which took longer than small
/// convolutions.
static MOST_IDLE: LazyLock<usize> = LazyLock::new(|| 2 * available_parallelism().map_or(1, usize::from));

/// Bytes of the largest scratch that is kept: some more than a thread takes for RRANet's 256 channels. What is larger
/// takes far more time to compute with than to allocate, and would stay with the process, two for every thread.
const LARGEST_KEPT: usize = 16 << 20;

/// Memory that grows with what it is used for, and serves again.
pub trait Reusable: Default + Send + 'static {
    /// Bytes that it holds.
    fn bytes(&self) -> usize;
}

/// A scratch of type `S` for as long as this lives.
#[derive(Debug)]
pub struct Reused<S: Reusable>(Option<Box<S>>);

impl<S: Reusable> Reused<S> {
    /// One that lies idle, with whatever its last user has left in it, or a new one.
    pub fn take() -> Self {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().rposition(|scratch| scratch.is::<S>()).map(|at| idle.swap_remove(at));
        drop(idle);
        Self(Some(found.and_then(|scratch| scratch.downcast().ok()).unwrap_or_default()))
    }

    /// The scratch.
    pub fn get(&mut self) -> &mut S {
        self.0.get_or_insert_default()
    }
}

impl<S: Reusable> Drop for Reused<S> {
    fn drop(&mut self) {
        let Some(scratch) = self.0.take().filter(|scratch| scratch.bytes() <= LARGEST_KEPT) else { return };
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.iter().filter(|scratch| scratch.is::<S>()).count() < *MOST_IDLE {
            idle.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_scratch_is_not_kept() {
        #[derive(Default)]
        struct Own(Vec<u8>);
        impl Reusable for Own {
            fn bytes(&self) -> usize {
                self.0.len()
            }
        }
        for (length, kept) in [(LARGEST_KEPT, LARGEST_KEPT), (LARGEST_KEPT + 1, 0)] {
            Reused::<Own>::take().get().0.resize(length, 0);
            assert_eq!(Reused::<Own>::take().get().0.len(), kept);
        }
    }

    #[test]
    fn scratch_comes_back_with_what_it_held() {
        #[derive(Default)]
        struct Own(Vec<u8>);
        impl Reusable for Own {
            fn bytes(&self) -> usize {
                self.0.len()
            }
        }
        let mut first = Reused::<Own>::take();
        let mut second = Reused::<Own>::take();
        first.get().0.push(1);
        second.get().0.push(2);
        drop(first);
        assert_eq!(Reused::<Own>::take().get().0, [1]);
        drop(second);
        let (mut one, mut other) = (Reused::<Own>::take(), Reused::<Own>::take());
        assert_eq!(one.get().0.len() + other.get().0.len(), 2);
        assert!(Reused::<Own>::take().get().0.is_empty());
    }
}
