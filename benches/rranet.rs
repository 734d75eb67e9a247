//! RRANet: inference on whole pictures with random weights: time does not depend on their values.
//!
//! Nearly all work is 3x3 convolution. FLOPs are those of the formulas; Winograd's form needs fewer, so the rate may
//! lie above the processor's peak. The floor in bytes (weights, picture in, picture and map out) is small beside it.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use derain::models::rranet::initial_weight_file;
use derain::models::weights::WeightFile;
use derain::models::{RraNet, RraNetConfig};
use derain::{Derainer, Network};
use support::{Contender, Work, picture, side_by_side};

/// Multiplications and additions a pixel of every convolution in every stage, counted from the weights' shapes.
fn flops(config: &RraNetConfig, file: &WeightFile) -> f64 {
    let convolutions = file.tensors.iter().filter(|(_, tensor)| tensor.shape.len() == 4);
    let of = |(name, tensor): (&String, &derain::models::weights::WeightTensor)| {
        let mut parts = name.split('.');
        let (part, index) = (parts.next(), parts.next().and_then(|index| index.parse::<i32>().ok()));
        let scale = match (part, index) {
            (Some("encoder"), Some(k)) => k,
            (Some("decoder"), Some(k)) => 2 - k,
            _ => 0,
        };
        2.0 * tensor.shape.iter().product::<usize>() as f64 / 4f64.powi(scale)
    };
    config.stages as f64 * convolutions.map(of).sum::<f64>()
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rranet");
    group.sample_size(10);
    for (name, config) in [("default", RraNetConfig::paper()), ("small", RraNetConfig::small())] {
        let file = WeightFile::parse(&initial_weight_file(&config, 1).expect("weights")).expect("a weight file");
        let derainer = Derainer::from_weight_file(Network::RraNet, &file, &Device::Cpu).expect("a network");
        let tensors = RraNet::from_file(&file, &Device::Cpu).expect("a network");
        for side in [256u32, 512] {
            let (picture, pixels) = picture(side);
            let work = f64::from(side * side) * flops(&config, &file);
            group.throughput(criterion::Throughput::Elements(work as u64));
            group.bench_function(format!("{name} {side}x{side}"), |b| b.iter(|| derainer.derain_dynamic(&picture)));
            let contenders: Vec<Contender<'_>> = vec![
                ("planned buffers", Box::new(|| drop(black_box(derainer.derain_dynamic(&picture).expect("runs"))))),
                ("tensor by tensor", Box::new(|| drop(black_box(tensors.forward(&pixels).expect("runs"))))),
            ];
            let bytes = f64::from(side * side) * 7.0 * 4.0 + 4.0 * file.parameter_count() as f64;
            side_by_side(&format!("RRANet, {name}, {side}x{side}"), Work { bytes, flops: work }, 3, contenders);
        }
    }
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
