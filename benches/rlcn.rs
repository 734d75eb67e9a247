//! RLCN: its cost must not depend on the window, and should stay near the cost of moving its pixels.
//!
//! Floor: the picture is read once and written once, 8 bytes a pixel and channel. Sliding sums cost about 30 operations
//! a pixel and channel in f64, two divisions and a square root among them.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use derain::ops::{RlcnOptions, rlcn};
use support::{Contender, Work, copy, pattern, side_by_side};

const WINDOWS: [usize; 3] = [9, 33, 65];

fn picture(side: usize) -> Tensor {
    Tensor::from_vec(pattern(3 * side * side), (1, 3, side, side), &Device::Cpu).expect("a picture")
}

fn with_window(window: usize) -> RlcnOptions {
    RlcnOptions { window, ..Default::default() }
}

fn benches(criterion: &mut Criterion) {
    let x = picture(512);
    let elements = x.elem_count();
    let mut group = criterion.benchmark_group("rlcn 1x3x512x512");
    group.sample_size(20).throughput(criterion::Throughput::Bytes(8 * elements as u64));
    for window in WINDOWS {
        group.bench_with_input(BenchmarkId::new("forward, window", window), &with_window(window), |b, options| {
            b.iter(|| rlcn(&x, options));
        });
    }
    let var = Var::from_tensor(&x).expect("variable");
    let loss = rlcn(&var, &RlcnOptions::default()).expect("rlcn").sum_all().expect("sum");
    group.bench_function("backward, window 9", |b| b.iter(|| loss.backward()));
    group.finish();

    for side in [512, 1024] {
        let x = picture(side);
        let values = x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("values");
        let mut copied = values.clone();
        let run = |window: usize| {
            let x = x.clone();
            move || drop(black_box(rlcn(&x, &with_window(window)).expect("rlcn")))
        };
        let contenders: Vec<Contender<'_>> = vec![
            ("window 9", Box::new(run(9))),
            ("window 33", Box::new(run(33))),
            ("window 65", Box::new(run(65))),
            ("copy the picture", Box::new(|| copy(black_box(&values), &mut copied))),
        ];
        let work = Work { bytes: 8.0 * x.elem_count() as f64, flops: 30.0 * x.elem_count() as f64 };
        side_by_side(&format!("RLCN forward 1x3x{side}x{side}"), work, 31, contenders);
    }
}

criterion_group!(group, benches);
criterion_main!(group);
