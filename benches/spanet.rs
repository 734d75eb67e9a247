//! SPANet: inference on whole pictures, and one step of training, with random weights: time does not depend on their
//! values.
//!
//! Nearly all work is convolution; the floor in bytes (weights, picture in, picture and map out) is negligible beside
//! it. FLOPs are those of the formulas; Winograd's form needs fewer, so the rate may lie above the processor's peak.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::models::spanet::initial_weight_file;
use derain::models::weights::WeightFile;
use derain::models::{SpaNet, SpaNetConfig};
use derain::{Derainer, Network};
use support::{Contender, Work, pattern, picture, side_by_side};

/// Multiplications and additions a pixel of every convolution that runs, counted from the weights' shapes.
fn flops(file: &WeightFile, directional: bool) -> f64 {
    let mut total = 0.0;
    for (name, tensor) in &file.tensors {
        let convolution = tensor.shape.len() == 4 && !name.contains("irnn");
        let unused = name.contains("attention_layer") && !directional;
        if convolution && !unused {
            let runs = if name.starts_with("SAM1") { 4.0 } else { 1.0 };
            total += 2.0 * runs * tensor.shape.iter().product::<usize>() as f64;
        }
    }
    total
}

fn benches(criterion: &mut Criterion) {
    let file = |config| WeightFile::parse(&initial_weight_file(&config, 1).expect("weights")).expect("a weight file");
    let (release, paper) = (file(SpaNetConfig::release()), file(SpaNetConfig::paper()));
    let derainer = |file| Derainer::from_weight_file(Network::SpaNet, file, &Device::Cpu).expect("a network");
    let (derain_release, derain_paper) = (derainer(&release), derainer(&paper));
    let tensors = SpaNet::from_file(&release, &Device::Cpu).expect("a network");

    let mut group = criterion.benchmark_group("spanet");
    group.sample_size(10);
    for side in [256u32, 512] {
        let (picture, pixels) = picture(side);
        let work = f64::from(side * side);
        group.throughput(criterion::Throughput::Elements((work * flops(&release, false)) as u64));
        group.bench_function(format!("release form {side}x{side}"), |b| {
            b.iter(|| derain_release.derain_dynamic(&picture))
        });
        let contenders: Vec<Contender<'_>> = vec![
            ("release form", Box::new(|| drop(black_box(derain_release.derain_dynamic(&picture).expect("runs"))))),
            ("release form, tensor by tensor", Box::new(|| drop(black_box(tensors.forward(&pixels).expect("runs"))))),
        ];
        let bytes = work * 7.0 * 4.0 + 283_716.0 * 4.0;
        side_by_side(
            &format!("SPANet {side}x{side}"),
            Work { bytes, flops: work * flops(&release, false) },
            5,
            contenders,
        );
        let paper_form = Box::new(|| drop(black_box(derain_paper.derain_dynamic(&picture).expect("runs"))));
        side_by_side(
            &format!("SPANet with direction weights {side}x{side}"),
            Work { bytes, flops: work * flops(&paper, true) },
            5,
            vec![("paper form", paper_form)],
        );
    }
    group.finish();
    training_step(flops(&paper, true));
}

/// Forward, loss and backward of four crops of 64x64 in the paper's form.
fn training_step(flops: f64) {
    const CROPS: (usize, usize, usize, usize) = (4, 3, 64, 64);
    let pixels = CROPS.0 * CROPS.2 * CROPS.3;
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let network = SpaNet::new(&SpaNetConfig::paper(), builder).expect("a network");
    let rainy = Tensor::from_vec(pattern(3 * pixels), CROPS, &Device::Cpu).expect("crops");
    let clean = (&rainy * 0.8).expect("crops");
    let step = || {
        let out = network.forward(&rainy).expect("forward");
        let loss = derain::train::l1(&out.clean, &clean).expect("a loss");
        drop(black_box(loss.backward().expect("gradients")));
    };
    let work = Work { bytes: 0.0, flops: 3.0 * flops * pixels as f64 };
    side_by_side("SPANet training step, 4 crops of 64x64", work, 7, vec![("forward, loss, backward", Box::new(step))]);
}

criterion_group!(group, benches);
criterion_main!(group);
