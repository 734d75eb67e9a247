//! The clean image of 100 frames of 1920x1080 in memory, against reading their bytes once.
//!
//! Floor: modes must be known before any percentile is, so the frames (622 MB, far beyond caches) are read twice.
//! `peers/clean_numpy.py` times a plain NumPy implementation on the same clip and prints the same figures.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use derain::data::clean::{CleanImage, CleanOptions, CleanResult, ModeOf};
use image::RgbImage;
use rayon::prelude::*;
use support::{Contender, Work, side_by_side};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const FRAMES: u32 = 100;

/// A smooth background with noise of -2..=2 and a bright drop in a seventh of all values, the same in
/// `peers/clean_numpy.py`.
fn frame(index: u32) -> RgbImage {
    let mut bytes = vec![0; 3 * (WIDTH * HEIGHT) as usize];
    for (at, byte) in (0u32..).zip(&mut bytes) {
        let mut random = at.wrapping_mul(2_654_435_761).wrapping_add(index.wrapping_mul(2_246_822_519));
        random ^= random >> 15;
        random = random.wrapping_mul(2_246_822_519);
        random ^= random >> 13;
        let drop = if random % 7 == 0 { 60 } else { 0 };
        *byte = (60 + at / 3 % WIDTH / 16 + (random >> 8) % 5 + drop) as u8;
    }
    RgbImage::from_raw(WIDTH, HEIGHT, bytes).expect("as many bytes")
}

fn read(frames: &[RgbImage]) -> u64 {
    let sum = |bytes: &[u8]| {
        let words = bytes.as_chunks::<8>().0;
        words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)))
    };
    // Pieces small enough to share out, long enough to be read at full speed.
    frames.par_iter().flat_map(|frame| frame.par_chunks(1 << 18)).map(sum).reduce(|| 0, u64::wrapping_add)
}

fn holding(options: CleanOptions, frames: &[RgbImage]) -> CleanImage {
    let mut clean = CleanImage::new(options);
    frames.iter().for_each(|frame| clean.push(frame).expect("a fitting frame"));
    clean
}

fn result(clean: &mut CleanImage) -> CleanResult {
    clean.result().expect("a clean image")
}

fn benches(criterion: &mut Criterion) {
    let frames: Vec<RgbImage> = (0..FRAMES).into_par_iter().map(frame).collect();
    let bytes = u64::from(3 * WIDTH * HEIGHT * FRAMES);
    let per_channel = CleanOptions { mode_of: ModeOf::Channels, ..CleanOptions::default() };
    let mut clean = holding(CleanOptions::default(), &frames);
    let mut channels = holding(per_channel, &frames);

    let mut group = criterion.benchmark_group("clean image 100x1920x1080");
    group.sample_size(10).throughput(criterion::Throughput::Bytes(bytes));
    group.bench_function("as released", |b| b.iter(|| result(&mut clean)));
    group.bench_function("modes per channel", |b| b.iter(|| result(&mut channels)));
    group.finish();

    let chosen = result(&mut clean);
    let sum: u64 = chosen.image.as_raw().iter().copied().map(u64::from).sum();
    println!("\npercentile {}, sum {sum}, votes {:?}", chosen.percentile, chosen.votes);
    let contenders: Vec<Contender<'_>> = vec![
        ("read the bytes once", Box::new(|| _ = black_box(read(black_box(&frames))))),
        ("as released", Box::new(|| drop(black_box(result(&mut clean))))),
        ("modes per channel", Box::new(|| drop(black_box(result(&mut channels))))),
        (
            "copy the frames, as released",
            Box::new(|| drop(black_box(holding(CleanOptions::default(), &frames).finish().expect("a clean image")))),
        ),
    ];
    side_by_side("clean image 100x1920x1080", Work { bytes: bytes as f64, flops: 0.0 }, 11, contenders);
}

criterion_group!(group, benches);
criterion_main!(group);
