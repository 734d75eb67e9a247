//! PSNR and SSIM of two colour pictures.
//!
//! Floor: both pictures are read once, 16 bytes a pixel and channel in f64. SSIM filters four moments (a, b, a² + b²,
//! ab) with an 11-tap window along both axes: about 4 · 2 · 11 · 2 = 176 operations a pixel and channel.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use derain::metrics::{Ssim, psnr};
use ndarray::Array3;
use support::{Contender, Work, pattern, side_by_side};

const SIDE: usize = 512;

fn picture(offset: f64) -> Array3<f64> {
    let values = pattern(3 * SIDE * SIDE).into_iter().map(|value| (f64::from(value) + offset) / 1.1).collect();
    Array3::from_shape_vec((SIDE, SIDE, 3), values).expect("a picture")
}

fn benches(criterion: &mut Criterion) {
    let (a, b) = (picture(0.0), picture(0.1));
    let ssim = Ssim::default();
    let mut group = criterion.benchmark_group("metrics 512x512x3");
    group.sample_size(20).throughput(criterion::Throughput::Bytes(16 * a.len() as u64));
    group.bench_function("psnr", |bench| bench.iter(|| psnr(black_box(&a), &b, 1.0)));
    group.bench_function("ssim, Gaussian 11x11", |bench| bench.iter(|| ssim.score(black_box(&a), &b)));
    group.finish();

    let work = Work { bytes: 16.0 * a.len() as f64, flops: 176.0 * a.len() as f64 };
    let contenders: Vec<Contender<'_>> = vec![
        ("read both pictures (sum)", Box::new(|| _ = black_box(black_box(&a).sum() + black_box(&b).sum()))),
        ("psnr", Box::new(|| drop(black_box(psnr(black_box(&a), &b, 1.0))))),
        ("ssim", Box::new(|| drop(black_box(ssim.score(black_box(&a), &b))))),
    ];
    side_by_side("metrics 512x512x3", work, 21, contenders);
}

criterion_group!(group, benches);
criterion_main!(group);
