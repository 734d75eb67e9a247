#![allow(dead_code, reason = "each bench uses its part")]
//! Side-by-side timing: criterion follows one figure over time, this compares several in one run.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use image::{DynamicImage, Rgb32FImage};

/// Something to time: a label and what to run.
pub(crate) type Contender<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// What an operation must at least do.
#[derive(Clone, Copy, Default)]
pub(crate) struct Work {
    /// Bytes that must be read and written, each once.
    pub(crate) bytes: f64,
    /// Floating-point operations.
    pub(crate) flops: f64,
}

/// Runs the contenders in turn, `rounds` times after one warm-up, and prints each one's median, its rates, and the
/// median of its round-by-round ratio to the first, which is the yardstick.
pub(crate) fn side_by_side(title: &str, work: Work, rounds: usize, mut contenders: Vec<Contender<'_>>) {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for ((_, run), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run();
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    let threads = rayon::current_num_threads();
    println!("\n{title}: {:.1} MB, {:.2} GFLOP, {threads} threads", work.bytes / 1e6, work.flops / 1e9);
    println!("  {:<34} {:>10} {:>8} {:>9} {:>8} {:>14}", "", "median ms", "GB/s", "GFLOP/s", "ratio", "(min..max)");
    for ((label, _), own) in contenders.iter().zip(&times) {
        let ratios = sorted(own.iter().zip(&times[0]).map(|(own, first)| seconds(own) / seconds(first)).collect());
        let time = sorted(own.iter().map(seconds).collect())[rounds / 2];
        println!(
            "  {label:<34} {:>10.3} {:>8.1} {:>9.1} {:>8.2} {:>14}",
            time * 1e3,
            work.bytes / time / 1e9,
            work.flops / time / 1e9,
            ratios[rounds / 2],
            format!("({:.2}..{:.2})", ratios[0], ratios[rounds - 1]),
        );
    }
}

/// Copies `source` into every piece of `target` of its length, with all threads.
pub(crate) fn copy(source: &[f32], target: &mut [f32]) {
    use rayon::prelude::*;
    const PIECE: usize = 1 << 16;
    for target in target.chunks_mut(source.len()) {
        target.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE)).for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// A fixed pattern in 0..1, without a generator: what matters is that it is neither flat nor all zero.
pub(crate) fn pattern(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 8 & 0xffff) as f32 / 65535.0).collect()
}

/// The same as a square picture, for inference, and as a tensor `[1, 3, side, side]`.
pub(crate) fn picture(side: u32) -> (DynamicImage, Tensor) {
    let values = pattern(3 * (side * side) as usize);
    let shape = (1, 3, side as usize, side as usize);
    let tensor = Tensor::from_slice(&values, shape, &Device::Cpu).expect("a picture");
    (DynamicImage::ImageRgb32F(Rgb32FImage::from_raw(side, side, values).expect("as many values")), tensor)
}

fn seconds(time: &Duration) -> f64 {
    time.as_secs_f64()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
