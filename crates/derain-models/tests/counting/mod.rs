#![allow(dead_code, reason = "each test uses its part")]
//! The system's allocator, counted: what a test's calls take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Tests take turns: the counters are the process's.
static TURN: Mutex<()> = Mutex::new(());

/// The system's allocator, counted.
struct Counting;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator with its arguments unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` or `realloc`, which are the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new exist together at worst.
        grow(size);
        // SAFETY: as in `dealloc`; the caller's promises about `size` are passed on.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call took at most beyond what was there before, in bytes, and its allocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) peak: usize,
    pub(crate) allocations: usize,
}

/// Runs `call` while no other test is being measured.
pub(crate) fn measure<R>(call: impl FnOnce() -> R) -> (R, Taken) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    ALLOCATIONS.store(0, Ordering::Relaxed);
    let result = call();
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    (result, Taken { peak, allocations: ALLOCATIONS.load(Ordering::Relaxed) })
}
