//! SPANet forward, with random weights: time does not depend on their values.
//!
//! Nearly all work is convolution; the floor in bytes (weights, picture in, picture and map out) is negligible beside it.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::models::spanet::initial_weight_file;
use derain::models::weights::WeightFile;
use derain::models::{Spanet, SpanetConfig};
use support::{Contender, Work, pattern, side_by_side};

const SIDE: usize = 256;

/// Multiplications and additions of every convolution that runs, counted from the weights' shapes.
fn flops(file: &WeightFile, pixels: usize, directional: bool) -> f64 {
    let mut total = 0.0;
    for (name, tensor) in &file.tensors {
        let convolution = tensor.shape.len() == 4 && !name.contains("irnn");
        let unused = name.contains("attention_layer") && !directional;
        if convolution && !unused {
            let runs = if name.starts_with("SAM1") { 4.0 } else { 1.0 };
            total += 2.0 * runs * tensor.shape.iter().product::<usize>() as f64;
        }
    }
    total * pixels as f64
}

fn benches(criterion: &mut Criterion) {
    let networks = [SpanetConfig::release(), SpanetConfig::paper()].map(|config| {
        let file = WeightFile::parse(&initial_weight_file(&config, 1).expect("weights")).expect("a weight file");
        let network = Spanet::from_file(&file, &Device::Cpu).expect("a network");
        (flops(&file, SIDE * SIDE, config == SpanetConfig::paper()), network)
    });
    let [(flops, release), (_, paper)] = &networks;
    let picture = Tensor::from_vec(pattern(3 * SIDE * SIDE), (1, 3, SIDE, SIDE), &Device::Cpu).expect("a picture");
    let mut group = criterion.benchmark_group("spanet 1x3x256x256");
    group.sample_size(10).throughput(criterion::Throughput::Elements(*flops as u64));
    group.bench_function("forward, release form", |b| b.iter(|| release.forward(&picture)));
    group.bench_function("forward, paper form", |b| b.iter(|| paper.forward(&picture)));
    group.finish();

    let work = Work { bytes: (7 * SIDE * SIDE * 4 + 283_716 * 4) as f64, flops: *flops };
    let contenders: Vec<Contender<'_>> = vec![
        ("release form", Box::new(|| drop(release.forward(&picture).expect("forward")))),
        ("paper form (with direction weights)", Box::new(|| drop(paper.forward(&picture).expect("forward")))),
    ];
    side_by_side("SPANet forward 256x256", work, 3, contenders);
}

criterion_group!(group, benches);
criterion_main!(group);
