//! Pooling, upsampling, normalization and LSTM gates, each beside a copy of as many bytes: they move more than they
//! compute.
//!
//! Bytes are what cannot be avoided: every operand read once, every result written once; what is normalized by its own
//! statistics is read twice, for nothing can be written before all of it has been seen. FLOPs are given for the LSTM's
//! gates alone: about 130 for each element of the cell, five exponentials and three divisions among them, and 150
//! backward. The copy writes to memory that it has, an operation to a fresh result. A backward pass is timed with what
//! candle does around it (a gradient made contiguous, zeros that the result is added to), beside the same around
//! `affine`, x times a number: all but no work of its own.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::ops::{
    Activation, Result, Upsampling, batch_norm_eval, batch_norm_train, instance_norm, lstm_gates, max_pool2d,
    upsample2x,
};
use support::{Contender, Work, copy, pattern, side_by_side};

const ROUNDS: usize = 31;
const EPSILON: f64 = 1e-5;

/// (B, C, H, W) of RRANet's features at full resolution: a training batch of its patches, and a picture.
const SHAPES: [(usize, usize, usize, usize); 2] = [(16, 32, 96, 96), (1, 32, 512, 512)];

/// What the forward and the backward pass of an operation must do for each element of its first input.
struct Costs {
    /// Elements read and written.
    moved: [f64; 2],
    flops: [f64; 2],
}

const fn moving(forward: f64, backward: f64) -> Costs {
    Costs { moved: [forward, backward], flops: [0.0; 2] }
}

/// Values in -2..2.
fn variable(shape: &[usize]) -> Tensor {
    let values: Vec<f32> = pattern(shape.iter().product()).into_iter().map(|x| 4.0 * x - 2.0).collect();
    let var = Var::from_vec(values, shape, &Device::Cpu).expect("a variable");
    var.as_tensor().clone()
}

fn loss(results: Vec<Tensor>) -> Tensor {
    let sums: Vec<Tensor> = results.iter().map(|result| result.sum_all().expect("a sum")).collect();
    Tensor::stack(&sums, 0).and_then(|sums| sums.sum_all()).expect("a loss")
}

fn compare(name: &str, inputs: &[Tensor], costs: Costs, forward: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    let forward = || forward(inputs).expect("results");
    let elements = inputs[0].elem_count() as f64;
    let work = |pass: usize| Work { bytes: 4.0 * costs.moved[pass] * elements, flops: costs.flops[pass] * elements };
    let buffers = |pass: usize| {
        let source = pattern((work(pass).bytes / 8.0) as usize);
        (source.clone(), source)
    };

    let (from, mut to) = buffers(0);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy as many bytes", Box::new(|| copy(black_box(&from), &mut to))),
        (name, Box::new(|| drop(black_box(forward())))),
    ];
    side_by_side(&format!("{name} forward, {:?}", inputs[0].dims()), work(0), ROUNDS, contenders);

    let (from, mut to) = buffers(1);
    let graph = loss(forward());
    let affine = loss(vec![inputs[0].affine(2.0, 0.0).expect("affine")]);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy as many bytes", Box::new(|| copy(black_box(&from), &mut to))),
        ("affine, whole graph", Box::new(|| drop(black_box(affine.backward().expect("gradients"))))),
        (name, Box::new(|| drop(black_box(graph.backward().expect("gradients"))))),
    ];
    side_by_side(&format!("{name} backward, whole graph, {:?}", inputs[0].dims()), work(1), ROUNDS, contenders);
}

fn comparisons() {
    for (batch, channels, height, width) in SHAPES {
        let x = variable(&[batch, channels, height, width]);
        let channel = || variable(&[channels]);
        let single = [x.clone()];
        compare("max_pool2d", &single, moving(1.25, 2.25), |x| Ok(vec![max_pool2d(&x[0])?]));
        compare("upsample2x nearest", &single, moving(5.0, 5.0), |x| Ok(vec![upsample2x(&x[0], Upsampling::Nearest)?]));
        compare("upsample2x bilinear", &single, moving(5.0, 5.0), |x| {
            Ok(vec![upsample2x(&x[0], Upsampling::Bilinear)?])
        });
        compare("batch_norm_train", &[x.clone(), channel(), channel()], moving(3.0, 5.0), |x| {
            Ok(vec![batch_norm_train(&x[0], &x[1], &x[2], EPSILON, Activation::None)?.y])
        });
        let (mean, variance) = (channel(), channel().sqr().expect("squares"));
        compare("batch_norm_eval", &[x.clone(), channel(), channel()], moving(2.0, 3.0), |x| {
            Ok(vec![batch_norm_eval(&x[0], &x[1], &x[2], &mean, &variance, EPSILON)?])
        });
        compare("instance_norm", &single, moving(3.0, 5.0), |x| {
            Ok(vec![instance_norm(&x[0], EPSILON, Activation::None)?])
        });
        // By the element of the cell: 5 read and 2 written; backward gates, c, c' and two gradients read, gates and c
        // written.
        let costs = Costs { moved: [7.0, 13.0], flops: [130.0, 150.0] };
        compare("lstm_gates", &[x, variable(&[batch, 4 * channels, height, width])], costs, |x| {
            let state = lstm_gates(&x[1], &x[0])?;
            Ok(vec![state.hidden, state.cell])
        });
    }
}

fn benches(criterion: &mut Criterion) {
    let (batch, channels, height, width) = SHAPES[0];
    let x = variable(&[batch, channels, height, width]);
    let gates = variable(&[batch, 4 * channels, height, width]);
    let mut group = criterion.benchmark_group("layers 16x32x96x96, forward");
    group.sample_size(20);
    group.bench_function("max_pool2d", |b| b.iter(|| max_pool2d(&x)));
    group.bench_function("upsample2x nearest", |b| b.iter(|| upsample2x(&x, Upsampling::Nearest)));
    group.bench_function("upsample2x bilinear", |b| b.iter(|| upsample2x(&x, Upsampling::Bilinear)));
    group.bench_function("instance_norm", |b| b.iter(|| instance_norm(&x, EPSILON, Activation::None)));
    group.bench_function("lstm_gates", |b| b.iter(|| lstm_gates(&gates, &x)));
    group.finish();

    comparisons();
}

criterion_group!(group, benches);
criterion_main!(group);
