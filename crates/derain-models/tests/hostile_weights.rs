//! What hostile weight files cost: memory beside the file's bytes, and allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use derain_models::weights::WeightFile;
use derain_models::{Derainer, Error, Network};

// Shared with the unit tests, which use more of it.
#[allow(dead_code)]
#[path = "../src/weights/tests/builder.rs"]
mod builder;
#[path = "../src/weights/tests/hostile/mod.rs"]
mod hostile;

/// Memory that reading may need beside the file itself.
const MOST_BYTES: usize = 256 << 20;
/// Allocations that reading may make: a few per named tensor, of which there are 65,536 at most.
const MOST_ALLOCATIONS: usize = 2_000_000;

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

/// Files that are sound in themselves but ask for a huge network, through their metadata or a tensor without elements.
#[test]
fn hostile_networks_cost_little() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let safetensors = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    };
    let empty = r#"{"dtype":"F32","shape":[4096,0],"data_offsets":[0,0]}"#;
    let claimed = r#"{\"channels\":4096,\"attention\":\"separate\"}"#;
    let block = r#""res_block1.group1.conv1.weight""#;
    for header in [
        format!(r#"{{"__metadata__":{{"derain.spanet":"{claimed}"}},"conv_in.0.weight":{empty}}}"#),
        format!(r#"{{"__metadata__":{{"derain.spanet":"{{}}"}},"conv_in.0.weight":{empty}}}"#),
        format!(r#"{{"conv_in.0.weight":{empty},{block}:{empty}}}"#),
    ] {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let file = WeightFile::from_bytes(safetensors(&header)).unwrap();
        let result = Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu);
        assert!(matches!(result, Err(Error::Weights { .. })), "{header}: {result:?}");
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(peak < MOST_BYTES, "{header}: {peak} bytes");
    }
    // A real first convolution of 4096 channels, with nothing behind it.
    let bytes = 4096 * 27 * 4;
    let header = format!(
        r#"{{"conv_in.0.weight":{{"dtype":"F32","shape":[4096,3,3,3],"data_offsets":[0,{bytes}]}},{block}:{{"dtype":"F32","shape":[0],"data_offsets":[{bytes},{bytes}]}}}}"#
    );
    let mut file = safetensors(&header);
    file.resize(file.len() + bytes, 0);
    let file = WeightFile::from_bytes(file).unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu);
    assert!(matches!(result, Err(Error::Weights { .. })), "{result:?}");
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(peak < MOST_BYTES, "{peak} bytes");
}

#[test]
fn hostile_files_cost_little() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
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
