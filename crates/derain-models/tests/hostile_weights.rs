//! What hostile weight files cost: memory beside the file's bytes, and allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use derain_models::weights::WeightFile;

// Shared with the unit tests, which use more of it.
#[allow(dead_code)]
#[path = "../src/weights/tests/builder.rs"]
mod builder;
#[path = "../src/weights/tests/hostile.rs"]
mod hostile;

/// Memory that reading may need beside the file itself.
const MOST_BYTES: usize = 256 << 20;
/// Allocations that reading may make: a few per named tensor, of which there are 65,536 at most.
const MOST_ALLOCATIONS: usize = 2_000_000;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

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

#[test]
fn hostile_files_cost_little() {
    for case in (0..hostile::GROUPS).flat_map(hostile::group) {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        ALLOCATIONS.store(0, Ordering::Relaxed);
        let read = WeightFile::from_bytes(case.bytes);
        let peak = PEAK.load(Ordering::Relaxed) - before;
        let allocations = ALLOCATIONS.load(Ordering::Relaxed);
        println!("{:40} {:9} kB {allocations:8}", case.name, peak >> 10);
        assert!(peak < MOST_BYTES, "{}: {peak} bytes", case.name);
        assert!(allocations < MOST_ALLOCATIONS, "{}: {allocations} allocations", case.name);
        assert_eq!(read.is_err(), case.error.is_some(), "{}", case.name);
    }
}
