//! SSIM as a loss, beside the time of a copy of the two pictures and of SSIM as candle's tensor operations give it.
//!
//! Floor: forward reads two planes, backward reads two and writes two. Arithmetic is what takes the time: four moments
//! down and along a window of 11 are 88 multiply-adds in f64 a pixel, backward another 88 for the moments and 88 for
//! what comes back.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::ops::{Result, SsimOptions, ssim};
use support::{Contender, Work, copy, pattern, side_by_side};

/// (B, C, H, W): the crops of a training step of SPANet's small configuration, and larger ones.
const SHAPES: [(usize, usize, usize, usize); 2] = [(4, 3, 64, 64), (4, 3, 256, 256)];

/// A variable in 0..1 and a constant that differs from it.
fn pictures(shape: (usize, usize, usize, usize)) -> (Var, Tensor) {
    let (batch, channels, height, width) = shape;
    let values = pattern(batch * channels * height * width);
    let truth = values.iter().map(|x| 0.8 * x + 0.1).collect::<Vec<f32>>();
    let x = Var::from_vec(values, shape, &Device::Cpu).expect("a variable");
    (x, Tensor::from_vec(truth, shape, &Device::Cpu).expect("a picture"))
}

/// The same by candle's depthwise convolution, one at a time, as a straightforward port of PyTorch code has it.
fn composed(x: &Tensor, y: &Tensor, window: &Tensor, channels: usize) -> Result<Tensor> {
    let filter = |x: &Tensor| x.conv2d(window, 5, 1, 1, channels);
    let (mx, my) = (filter(x)?, filter(y)?);
    let (mxx, myy, mxy) = (mx.sqr()?, my.sqr()?, (&mx * &my)?);
    let sx = (filter(&x.sqr()?)? - &mxx)?;
    let sy = (filter(&y.sqr()?)? - &myy)?;
    let sxy = (filter(&(x * y)?)? - &mxy)?;
    let top = ((mxy * 2.0)? + 1e-4)?.mul(&((sxy * 2.0)? + 9e-4)?)?;
    let bottom = ((mxx + myy)? + 1e-4)?.mul(&((sx + sy)? + 9e-4)?)?;
    Ok((top / bottom)?.mean_all()?)
}

fn gaussian(channels: usize) -> Tensor {
    let bell: Vec<f32> = (0..11).map(|at| (-(at as f32 - 5.0).powi(2) / 4.5).exp()).collect();
    let total: f32 = bell.iter().sum();
    let row = Tensor::from_vec(bell.iter().map(|w| w / total).collect::<Vec<f32>>(), (11, 1), &Device::Cpu);
    let row = row.expect("weights");
    let square = row.matmul(&row.t().expect("a transpose")).expect("an outer product");
    square.expand((channels, 1, 11, 11)).and_then(|window| window.contiguous()).expect("a window")
}

fn comparisons() {
    let options = SsimOptions::default();
    for shape in SHAPES {
        let (batch, channels, height, width) = shape;
        let (x, y) = pictures(shape);
        let window = gaussian(channels);
        let pixels = (batch * channels * height * width) as f64;
        let source = pattern(2 * batch * channels * height * width);
        let mut target = source.clone();
        let mut contenders: Vec<Contender<'_>> = vec![
            ("forward", Box::new(|| drop(black_box(ssim(&x, &y, &options).expect("ssim"))))),
            (
                "forward and backward",
                Box::new(|| drop(black_box(ssim(&x, &y, &options).expect("ssim").backward().expect("gradients")))),
            ),
            ("copy both pictures", Box::new(|| copy(black_box(&source), &mut target))),
        ];
        if height == 64 {
            contenders.push((
                "candle's operations, both passes",
                Box::new(|| {
                    drop(black_box(composed(&x, &y, &window, channels).expect("ssim").backward().expect("gradients")))
                }),
            ));
        }
        let work = Work { bytes: 8.0 * pixels, flops: 2.0 * 88.0 * pixels };
        side_by_side(&format!("SSIM {batch}x{channels}x{height}x{width}"), work, 31, contenders);
    }
}

fn benches(criterion: &mut Criterion) {
    let options = SsimOptions::default();
    let (x, y) = pictures(SHAPES[0]);
    let mut group = criterion.benchmark_group("ssim 4x3x64x64");
    group.bench_function("forward", |b| b.iter(|| ssim(&x, &y, &options)));
    let loss = ssim(&x, &y, &options).expect("ssim");
    group.bench_function("backward", |b| b.iter(|| loss.backward()));
    group.finish();

    comparisons();
}

criterion_group!(group, benches);
criterion_main!(group);
