use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::dataset::DatasetError;
use crate::dataset::Sample;

/// Samples that tell their epoch and index, made out of order by waiting.
struct Told {
    samples: usize,
    made: Arc<AtomicUsize>,
    fails: Option<usize>,
    panics: Option<usize>,
}

impl Told {
    fn new(samples: usize) -> Self {
        Self { samples, made: Arc::default(), fails: None, panics: None }
    }
}

impl SampleSource for Told {
    fn len(&self) -> usize {
        self.samples
    }

    fn sample(&self, epoch: u64, index: usize) -> Result<Sample, Error> {
        thread::sleep(Duration::from_micros((index as u64 * 7919) % 300));
        self.made.fetch_add(1, Ordering::SeqCst);
        assert!(self.panics != Some(index), "as the test wants it");
        if self.fails == Some(index) {
            return Err(Error::NotAFile { path: format!("{index}.png").into() });
        }
        Ok(Sample { rainy: vec![epoch as f32, index as f32, 0.0], clean: vec![index as f32; 3], height: 1, width: 1 })
    }
}

fn options(threads: usize) -> LoaderOptions {
    LoaderOptions { batch_size: 4, threads: Some(threads), seed: 11, ..LoaderOptions::default() }
}

fn batches(count: usize, options: &LoaderOptions, start: Position) -> Vec<Batch> {
    let mut loader = Loader::start(Told::new(23), options, start).unwrap();
    (0..count).map(|_| loader.next_batch().unwrap()).collect()
}

#[test]
fn sources_may_be_boxed_or_shared_and_are_seen_again() {
    let expected = batches(7, &options(2), Position::default());
    let boxed: Box<dyn SampleSource> = Box::new(Told::new(23));
    let mut loader = Loader::start(boxed, &options(2), Position::default()).unwrap();
    assert_eq!((0..7).map(|_| loader.next_batch().unwrap()).collect::<Vec<_>>(), expected);
    let shared = Arc::new(Told::new(23));
    let mut loader = Loader::start(Arc::clone(&shared), &options(2), Position::default()).unwrap();
    assert_eq!((0..7).map(|_| loader.next_batch().unwrap()).collect::<Vec<_>>(), expected);
    assert!(Arc::ptr_eq(loader.source(), &shared) && !loader.source().is_empty());
    assert_eq!(format!("{loader:?}"), "Loader { samples: 23, batches_per_epoch: 5, threads: 2, .. }");
}

#[test]
fn order_and_content_do_not_depend_on_threads_or_prefetch() {
    let expected = batches(17, &options(1), Position::default());
    for threads in [2, 5] {
        assert_eq!(batches(17, &options(threads), Position::default()), expected);
        assert_eq!(batches(17, &LoaderOptions { ahead: 9, ..options(threads) }, Position::default()), expected);
    }
    for batch in &expected {
        for (slot, &index) in batch.indices.iter().enumerate() {
            assert_eq!(batch.rainy[3 * slot..3 * slot + 2], [batch.position.epoch as f32, index as f32]);
            assert_eq!(batch.clean[3 * slot], index as f32);
        }
    }
    assert_ne!(batches(5, &LoaderOptions { seed: 12, ..options(1) }, Position::default()), expected[..5]);
}

#[test]
fn an_epoch_holds_every_sample_once_and_differs_from_the_next() {
    let keep = LoaderOptions { remainder: Remainder::Keep, ..options(3) };
    let batches = batches(12, &keep, Position::default());
    assert_eq!(batches[5].indices.len(), 3);
    let epochs: Vec<Vec<usize>> =
        batches.chunks(6).map(|epoch| epoch.iter().flat_map(|batch| batch.indices.clone()).collect()).collect();
    for epoch in &epochs {
        assert_eq!(epoch.iter().collect::<HashSet<_>>().len(), 23);
    }
    assert_ne!(epochs[0], epochs[1]);
    let positions: Vec<(u64, usize)> =
        batches.iter().map(|batch| (batch.position.epoch, batch.position.batch)).collect();
    assert_eq!(positions[4..8], [(0, 4), (0, 5), (1, 0), (1, 1)]);
}

#[test]
fn a_resumed_loader_goes_on_where_it_was_without_replay() {
    let whole = batches(17, &options(2), Position::default());
    for start in [1, 4, 5, 13] {
        assert_eq!(batches(4, &options(3), whole[start].position), whole[start..start + 4]);
    }
    let source = Told::new(23);
    let made = Arc::clone(&source.made);
    let mut loader = Loader::start(source, &options(1), Position { epoch: 1000, batch: 3 }).unwrap();
    loader.next_batch().unwrap();
    drop(loader);
    // Its own batch, two ahead and one that was being made.
    assert!(made.load(Ordering::SeqCst) <= 16);
}

#[test]
fn nothing_is_made_beyond_what_is_allowed() {
    let source = Told::new(1000);
    let made = Arc::clone(&source.made);
    let loader = Loader::start(source, &LoaderOptions { ahead: 3, ..options(4) }, Position::default()).unwrap();
    let patience = Instant::now();
    while made.load(Ordering::SeqCst) < 12 && patience.elapsed() < Duration::from_secs(20) {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), 12);
    drop(loader);
}

#[test]
fn errors_surface_in_their_batch_and_the_rest_goes_on() {
    let sequential = LoaderOptions { order: Order::Sequential, ..options(5) };
    let source = Told { fails: Some(6), panics: Some(10), ..Told::new(23) };
    let mut loader = Loader::start(source, &sequential, Position::default()).unwrap();
    assert_eq!(loader.next_batch().unwrap().indices, [0, 1, 2, 3]);
    assert!(loader.next_batch().unwrap_err().to_string().contains("6.png"));
    assert!(matches!(loader.next_batch(), Err(Error::Dataset(DatasetError::SamplePanicked { index: 10, .. }))));
    assert_eq!(loader.next_batch().unwrap().indices, [12, 13, 14, 15]);
}

#[test]
fn parts_make_their_samples_and_no_others() {
    let whole = batches(7, &options(2), Position::default());
    for part in [0..1, 1..3, 0..4] {
        let source = Told::new(23);
        let made = Arc::clone(&source.made);
        let options = LoaderOptions { part: Some(part.clone()), ahead: 1, ..options(2) };
        let mut loader = Loader::start(source, &options, Position::default()).unwrap();
        for batch in &whole {
            let own = loader.next_batch().unwrap();
            assert_eq!((own.position, &own.indices[..]), (batch.position, &batch.indices[part.clone()]));
            assert_eq!(own.rainy, batch.rainy[3 * part.start..3 * part.end]);
        }
        drop(loader);
        // The batch ahead may have been begun.
        let made = made.load(Ordering::SeqCst);
        assert!((7 * part.len()..=8 * part.len()).contains(&made), "{made} samples made for {part:?}");
    }
}

/// Takes its time until the test lets it go.
struct Slow(Arc<AtomicBool>, Arc<AtomicUsize>);

impl SampleSource for Slow {
    fn len(&self) -> usize {
        1000
    }

    fn sample(&self, _: u64, _: usize) -> Result<Sample, Error> {
        self.1.fetch_add(1, Ordering::SeqCst);
        while !self.0.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Sample { rainy: vec![0.0; 3], clean: vec![0.0; 3], height: 1, width: 1 })
    }
}

#[test]
fn dropping_waits_for_the_samples_in_hand_and_makes_no_more() {
    let (go, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let source = Slow(Arc::clone(&go), Arc::clone(&begun));
    let loader = Loader::start(source, &LoaderOptions { ahead: 100, ..options(2) }, Position::default()).unwrap();
    while begun.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    loader.shared.stop();
    go.store(true, Ordering::SeqCst);
    drop(loader);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |samples, options: &LoaderOptions, batch| {
        Loader::start(Told::new(samples), options, Position { epoch: 0, batch }).err().unwrap().to_string()
    };
    assert!(refused(23, &LoaderOptions { batch_size: 0, ..options(1) }, 0).contains("batch_size"));
    assert!(refused(23, &options(0), 0).contains("threads"));
    assert!(refused(23, &LoaderOptions { ahead: 0, ..options(1) }, 0).contains("ahead"));
    assert!(refused(3, &options(1), 0).contains("3 samples make no batch of 4"));
    assert!(refused(0, &LoaderOptions { remainder: Remainder::Keep, ..options(1) }, 0).contains("0 samples"));
    assert!(refused(23, &options(1), 5).contains("less than the batches"));
    for part in [2..2, 3..5] {
        assert!(refused(23, &LoaderOptions { part: Some(part), ..options(1) }, 0).contains("places of a whole batch"));
    }
    let keep = LoaderOptions { part: Some(0..2), remainder: Remainder::Keep, ..options(1) };
    assert!(refused(23, &keep, 0).contains("`part` is 0..2"));
}
