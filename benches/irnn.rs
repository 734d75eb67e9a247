//! IRNN: against a copy of its output's size, against candle operations column by column, and against the release's
//! algorithm, which restarts every scan from the border for every pixel.
//!
//! Floor: the input is read once and four results are written once, 5 planes of 4 bytes a pixel, 20 bytes a pixel and
//! channel; 4 directions x (multiply, add, add, max) = 16 operations a pixel and channel. Memory decides.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::ops::{Planes, irnn, irnn_directional};
use support::{Contender, Work, copy, pattern, side_by_side};

const LARGE: Planes = Planes { batch: 1, channels: 32, height: 512, width: 512 };
const SMALL: Planes = Planes { batch: 1, channels: 32, height: 128, width: 128 };

fn tensors(planes: Planes) -> candle_core::Result<[Tensor; 4]> {
    let Planes { batch, channels, height, width } = planes;
    let device = Device::Cpu;
    Ok([
        (Tensor::from_vec(pattern(planes.len()), (batch, channels, height, width), &device)? - 0.5)?,
        Tensor::full(0.2f32, (4, channels), &device)?,
        Tensor::full(0.1f32, (4, channels), &device)?,
        Tensor::from_vec(pattern(4 * batch * planes.pixels()), (batch, 4, height, width), &device)?,
    ])
}

/// The four scans by candle's tensor operations, one column or row at a time: what one writes without a kernel.
fn column_by_column(x: &Tensor) -> candle_core::Result<Tensor> {
    let mut directions = Vec::new();
    for (axis, reversed) in [(2, true), (3, false), (2, false), (3, true)] {
        let length = x.dim(axis)?;
        let mut h: Option<Tensor> = None;
        let mut lines = Vec::with_capacity(length);
        for step in 0..length {
            let at = if reversed { length - 1 - step } else { step };
            let line = x.narrow(axis, at, 1)?;
            let next = match &h {
                None => line.relu()?,
                Some(h) => ((h.affine(0.2, 0.1)?) + line)?.relu()?,
            };
            lines.push(next.clone());
            h = Some(next);
        }
        if reversed {
            lines.reverse();
        }
        directions.push(Tensor::cat(&lines, axis)?);
    }
    Tensor::cat(&directions, 1)
}

/// The release's algorithm: every output pixel walks its whole scan from the border. O(pixels · (H + W)).
fn restart_from_border(planes: Planes, x: &[f32], out: &mut [f32]) {
    use rayon::prelude::*;
    let Planes { channels, height, width, .. } = planes;
    out.par_chunks_mut(planes.pixels()).enumerate().for_each(|(plane, out)| {
        let x = &x[plane % channels * planes.pixels()..][..planes.pixels()];
        for row in 0..height {
            for column in 0..width {
                let (steps, start, stride) = match plane / channels {
                    0 => (height - row, (height - 1) * width + column, -(width as isize)),
                    1 => (column + 1, row * width, 1),
                    2 => (row + 1, column, width as isize),
                    _ => (width - column, row * width + width - 1, -1),
                };
                let mut h = x[start].max(0.0);
                let mut at = start as isize;
                for _ in 1..steps {
                    at += stride;
                    h = (0.2 * h + 0.1 + x[at as usize]).max(0.0);
                }
                out[row * width + column] = h;
            }
        }
    });
}

fn work(planes: Planes, planes_moved: f64, operations: f64) -> Work {
    Work { bytes: planes.len() as f64 * 4.0 * planes_moved, flops: planes.len() as f64 * operations }
}

fn into(planes: Planes, x: &[f32], out: &mut [f32]) {
    let coefficients = [vec![0.2; 4 * planes.channels], vec![0.1; 4 * planes.channels]];
    irnn::irnn_into(x, planes, &coefficients[0], &coefficients[1], None, out).expect("fitting slices");
}

fn comparisons() -> candle_core::Result<()> {
    let [x, weights, biases, directions] = tensors(LARGE)?;
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    let (mut copied, mut scanned) = (vec![0f32; 4 * LARGE.len()], vec![0f32; 4 * LARGE.len()]);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy the input four times", Box::new(|| copy(black_box(&values), &mut copied))),
        ("irnn_into, reused buffer", Box::new(|| into(LARGE, black_box(&values), &mut scanned))),
        ("irnn, with its allocation", Box::new(|| drop(black_box(irnn(&x, &weights, &biases).expect("irnn"))))),
        (
            "irnn_directional",
            Box::new(|| drop(black_box(irnn_directional(&x, &weights, &biases, &directions).expect("irnn")))),
        ),
    ];
    side_by_side("IRNN forward 1x32x512x512", work(LARGE, 5.0, 16.0), 21, contenders);

    let contenders: Vec<Contender<'_>> = vec![
        ("irnn_into, reused buffer", Box::new(|| into(LARGE, black_box(&values), &mut scanned))),
        ("irnn, with its allocation", Box::new(|| drop(black_box(irnn(&x, &weights, &biases).expect("irnn"))))),
        ("candle, column by column", Box::new(|| drop(black_box(column_by_column(&x).expect("candle"))))),
    ];
    side_by_side("IRNN forward 1x32x512x512, against tensor operations", work(LARGE, 5.0, 16.0), 7, contenders);

    let values = tensors(SMALL)?[0].flatten_all()?.to_vec1::<f32>()?;
    let (mut ours, mut restarted) = (vec![0f32; 4 * SMALL.len()], vec![0f32; 4 * SMALL.len()]);
    let contenders: Vec<Contender<'_>> = vec![
        ("irnn_into, reused buffer", Box::new(|| into(SMALL, black_box(&values), &mut ours))),
        (
            "restart from the border (release)",
            Box::new(|| restart_from_border(SMALL, black_box(&values), &mut restarted)),
        ),
    ];
    side_by_side("IRNN forward 1x32x128x128", work(SMALL, 5.0, 16.0), 11, contenders);

    // Gradients read h and the incoming gradient in four directions and write one plane.
    let var = Var::from_tensor(&x)?;
    let loss = irnn(&var, &weights, &biases).expect("irnn").sum_all()?;
    let loss_directional = irnn_directional(&var, &weights, &biases, &directions).expect("irnn").sum_all()?;
    let source = vec![1f32; 9 * LARGE.len() / 2];
    let mut target = source.clone();
    let contenders: Vec<Contender<'_>> = vec![
        ("copy as many bytes", Box::new(|| copy(black_box(&source), &mut target))),
        ("irnn backward, whole graph", Box::new(|| drop(black_box(loss.backward().expect("backward"))))),
        ("irnn_directional backward", Box::new(|| drop(black_box(loss_directional.backward().expect("backward"))))),
    ];
    side_by_side("IRNN backward 1x32x512x512", work(LARGE, 9.0, 24.0), 11, contenders);
    Ok(())
}

fn benches(criterion: &mut Criterion) {
    let [x, weights, biases, directions] = tensors(LARGE).expect("tensors");
    let values = x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("values");
    let mut out = vec![0f32; 4 * LARGE.len()];
    let mut group = criterion.benchmark_group("irnn 1x32x512x512");
    group.sample_size(20).throughput(criterion::Throughput::Bytes(20 * LARGE.len() as u64));
    group.bench_function("forward into a buffer", |b| b.iter(|| into(LARGE, black_box(&values), &mut out)));
    group.bench_function("forward", |b| b.iter(|| irnn(&x, &weights, &biases)));
    group.bench_function("forward, directional", |b| b.iter(|| irnn_directional(&x, &weights, &biases, &directions)));
    let var = Var::from_tensor(&x).expect("variable");
    let loss = irnn(&var, &weights, &biases).expect("irnn").sum_all().expect("sum");
    group.bench_function("backward", |b| b.iter(|| loss.backward()));
    group.finish();
    comparisons().expect("comparisons");
}

criterion_group!(group, benches);
criterion_main!(group);
