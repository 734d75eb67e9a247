//! Convolution in the shapes of SPANet and RRANet, beside candle's and beside the processor's peak.
//!
//! FLOPs are 2·K²·C·O a pixel; the floor of the direct form is the time of as many multiply-adds in registers, in the
//! same run with the same threads. Winograd's form needs fewer, so its rate may lie above. Bytes: input, weights and
//! output once. The rows "direct" and "Winograd" run on pixels whose channels lie side by side, as the inference path
//! does; `conv2d` is the operation on tensors, with its allocation and the way into that layout and back.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod support;

use std::hint::black_box;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use derain::ops::buffer::Aligned;
use derain::ops::conv2d::cpu::{Convolution, Epilogue, Weights};
use derain::ops::conv2d::{Activation, Form};
use derain::ops::rect::{Rect, RectMut, padded};
use derain::ops::{Conv2dOptions, Isa, conv2d};
use rayon::prelude::*;
use support::{Contender, Work, pattern, side_by_side};

/// (C, O, K, dilation, side).
const SHAPES: [(usize, usize, usize, usize, usize); 12] = [
    (32, 32, 3, 1, 256),
    (32, 32, 3, 1, 512),
    (32, 32, 3, 2, 512),
    (128, 32, 3, 1, 256),
    (128, 32, 3, 1, 512),
    (32, 32, 1, 1, 512),
    (3, 32, 3, 1, 512),
    // The gates of RRANet's four ConvLSTMs on a picture of 256x256, and an upsampling layer.
    (64, 128, 3, 1, 256),
    (128, 256, 3, 1, 128),
    (256, 512, 3, 1, 64),
    (512, 1024, 3, 1, 32),
    (256, 128, 3, 1, 64),
];

/// As many floating-point operations as a convolution has, as independent chains of multiply-adds that stay in
/// registers: the time below which no direct convolution can go. Compiled for the instruction set that the kernels use.
fn peak(flops: f64) -> f32 {
    // Many pieces, so that a thread that the system interrupts does not hold up the others' share.
    const PIECES: usize = 64;
    let multiply_adds = (flops / 2.0) as usize / PIECES;
    (0..PIECES)
        .into_par_iter()
        .map(|_| match Isa::current() {
            // SAFETY: the current instruction set is one that the processor has.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { chains_avx512(multiply_adds) },
            // SAFETY: the current instruction set is one that the processor has.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { chains_avx2(multiply_adds) },
            _ => chains(multiply_adds),
        })
        .sum()
}

/// 12 vectors of 16 lanes: enough chains to hide the latency. With 24 the compiler keeps them in memory, and half the
/// rate is gone.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn chains_avx512(multiply_adds: usize) -> f32 {
    use std::arch::x86_64::*;
    let (factor, addend) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
    let mut sums = [_mm512_set1_ps(black_box(1.0)); 12];
    for _ in 0..multiply_adds / (12 * 16) {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(factor, addend, *sum);
        }
    }
    sums.iter().map(|sum| _mm512_reduce_add_ps(*sum)).sum()
}

/// 12 vectors of 8 lanes, for 16 registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn chains_avx2(multiply_adds: usize) -> f32 {
    use std::arch::x86_64::*;
    let (factor, addend) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
    let mut sums = [_mm256_set1_ps(black_box(1.0)); 12];
    for _ in 0..multiply_adds / (12 * 8) {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(factor, addend, *sum);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        let mut lanes = [0f32; 8];
        // SAFETY: the array holds 8 elements.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
        total += lanes.iter().sum::<f32>();
    }
    total
}

fn chains(multiply_adds: usize) -> f32 {
    let (factor, addend) = (black_box(0.999f32), black_box(0.001f32));
    let mut sums = [black_box(1f32); 16];
    for _ in 0..multiply_adds / 16 {
        for sum in &mut sums {
            *sum = *sum * factor + addend;
        }
    }
    sums.iter().sum()
}

/// A form on a picture whose channels lie side by side, with all threads.
struct SideBySide {
    convolution: Convolution<f32>,
    source: Aligned<f32>,
    columns: usize,
    channels: usize,
    side: usize,
    out: Aligned<f32>,
}

impl SideBySide {
    fn new(form: Form, weights: Weights<'_, f32>, channels: usize, dilation: usize, side: usize) -> Option<Self> {
        let convolution = Convolution::with_form(Isa::current(), form, weights, &[channels], dilation).ok()?;
        let columns = convolution.source_extent(side);
        let mut source = Aligned::zeroed(columns * columns * padded(channels));
        source.copy_from_slice(&pattern(columns * columns * padded(channels)));
        let out = Aligned::zeroed(side * side * padded(weights.outputs));
        Some(Self { convolution, source, columns, channels: padded(channels), side, out })
    }

    fn run(&mut self) {
        const ROWS: usize = 32;
        const COLUMNS: usize = 96;
        let Self { convolution, source, columns, channels, side, out } = self;
        let stride = *columns * *channels;
        let source = Rect::new(source, *columns, *columns, *channels, stride);
        let outputs = padded(convolution.outputs());
        let bands = out.par_chunks_mut(ROWS * *side * outputs).enumerate();
        bands.for_each_init(Aligned::default, |scratch, (band, out)| {
            let rows = out.len() / (*side * outputs);
            let mut out = RectMut::new(out, rows, *side, outputs, *side * outputs);
            for column in (0..*side).step_by(COLUMNS) {
                let width = COLUMNS.min(*side - column);
                let (height, across) = (convolution.source_extent(rows), convolution.source_extent(width));
                let source = source.part(band * ROWS, column, height, across);
                let epilogue = Epilogue::activation(Activation::Relu);
                convolution.run(&[source], &epilogue, out.part(0, column, rows, width), scratch);
            }
        });
    }
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    group.sample_size(10);
    for (channels, outputs, size, dilation, side) in SHAPES {
        let x = Tensor::from_vec(pattern(channels * side * side), (1, channels, side, side), &Device::Cpu).expect("x");
        let count = outputs * channels * size * size;
        let weight = Tensor::from_vec(pattern(count), (outputs, channels, size, size), &Device::Cpu).expect("weights");
        let options = Conv2dOptions { dilation, ..Default::default() };
        let name = format!("{size}x{size} {channels}->{outputs} dilation {dilation} {side}x{side}");
        let flops = 2.0 * (count * side * side) as f64;
        group.throughput(criterion::Throughput::Elements(flops as u64));
        group.bench_function(&name, |b| b.iter(|| conv2d(&x, &weight, None, &options)));

        let bytes = 4.0 * ((channels + outputs) * side * side + count) as f64;
        let values = pattern(count);
        let weights = Weights { values: &values, bias: None, outputs, size };
        let mut direct = SideBySide::new(Form::Direct, weights, channels, dilation, side).expect("every shape");
        let winograd = SideBySide::new(Form::Winograd, weights, channels, dilation, side);
        let mut contenders: Vec<Contender<'_>> = vec![
            ("as many multiply-adds in registers", Box::new(|| _ = black_box(peak(flops)))),
            ("direct", Box::new(move || direct.run())),
            ("conv2d", Box::new(|| drop(black_box(conv2d(&x, &weight, None, &options).expect("conv2d"))))),
            (
                "candle",
                Box::new(|| drop(black_box(x.conv2d(&weight, size / 2 * dilation, 1, dilation, 1).expect("candle")))),
            ),
        ];
        if let Some(mut winograd) = winograd {
            contenders.insert(2, ("Winograd", Box::new(move || winograd.run())));
        }
        side_by_side(&name, Work { bytes, flops }, 11, contenders);
    }
    group.finish();
}

criterion_group!(group, benches);
criterion_main!(group);
