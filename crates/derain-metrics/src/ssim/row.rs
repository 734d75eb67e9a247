//! SSIM along one row of the picture: the window's weights first down the columns, then along the row.
//!
//! Rows stay interleaved, `W · C` samples, and a step of one pixel is a step of C samples, so every inner loop runs
//! over neighbouring samples whatever C is. Four moments are enough, because only the sum of the two variances enters.

use super::{Covariance, Ssim};
use crate::Sample;

/// Samples that go through all taps together: four moments of them stay in the first-level cache.
const BLOCK: usize = 256;

/// Weighted means of a, b, a² + b² and ab.
const MOMENTS: usize = 4;

/// Buffers of one thread: the moments of a row after the vertical pass, mirrored at both ends.
#[derive(Default)]
pub(super) struct Scratch {
    padded: [Vec<f64>; MOMENTS],
}

/// Two pictures and everything about the options that rows need.
pub(super) struct RowFilter<'a, A> {
    a: Vec<&'a [A]>,
    b: Vec<&'a [A]>,
    width: usize,
    channels: usize,
    taps: Vec<f64>,
    covariance_scale: f64,
    c1: f64,
    c2: f64,
}

impl<'a, A: Sample> RowFilter<'a, A> {
    /// The rows of both pictures are `width · channels` long and no fewer than the window's.
    pub(super) fn new(options: &Ssim, a: Vec<&'a [A]>, b: Vec<&'a [A]>, width: usize, channels: usize) -> Self {
        let pixels = (options.window.size() as f64).powi(2);
        let covariance_scale = match options.covariance {
            Covariance::Population => 1.0,
            Covariance::Sample => pixels / (pixels - 1.0),
        };
        let [c1, c2] = [options.k1, options.k2].map(|k| (k * options.data_range).powi(2));
        Self { a, b, width, channels, taps: options.window.taps(), covariance_scale, c1, c2 }
    }

    /// Writes the similarities of a row, `width · channels` of them.
    pub(super) fn similarities(&self, row: usize, scratch: &mut Scratch, out: &mut [f64]) {
        self.filter_columns(row, scratch);
        self.mirror_ends(scratch);
        let mut moments = [[0.0; BLOCK]; MOMENTS];
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            for (moment, padded) in moments.iter_mut().zip(&scratch.padded) {
                let moment = &mut moment[..out.len()];
                moment.fill(0.0);
                for (k, &weight) in self.taps.iter().enumerate() {
                    let shifted = &padded[block * BLOCK + k * self.channels..][..out.len()];
                    moment.iter_mut().zip(shifted).for_each(|(sum, &value)| *sum += weight * value);
                }
            }
            let [a, b, squares, product] = &moments;
            for (i, out) in out.iter_mut().enumerate() {
                *out = self.similarity(a[i], b[i], squares[i], product[i]);
            }
        }
    }

    /// S of one window. Every step doubles exactly where a equals b, so that equal pictures give exactly 1.
    fn similarity(&self, mean_a: f64, mean_b: f64, mean_squares: f64, mean_product: f64) -> f64 {
        let squared_means = mean_a * mean_a + mean_b * mean_b;
        let variances = self.covariance_scale * (mean_squares - squared_means);
        let covariance = self.covariance_scale * (mean_product - mean_a * mean_b);
        let means = 2.0 * mean_a * mean_b;
        ((means + self.c1) * (2.0 * covariance + self.c2)) / ((squared_means + self.c1) * (variances + self.c2))
    }

    /// The moments of every column around `row`, from the first pixel's place on.
    fn filter_columns(&self, row: usize, scratch: &mut Scratch) {
        let length = self.width * self.channels;
        let margin = self.taps.len() / 2 * self.channels;
        for padded in &mut scratch.padded {
            padded.resize(length + 2 * margin, 0.0);
        }
        let [mean_a, mean_b, squares, product] = &mut scratch.padded;
        for start in (0..length).step_by(BLOCK) {
            let end = length.min(start + BLOCK);
            let block = margin + start..margin + end;
            let (mean_a, mean_b) = (&mut mean_a[block.clone()], &mut mean_b[block.clone()]);
            let (squares, product) = (&mut squares[block.clone()], &mut product[block]);
            for moment in [&mut *mean_a, mean_b, squares, product] {
                moment.fill(0.0);
            }
            for (k, &weight) in self.taps.iter().enumerate() {
                let source = mirrored(row + k, self.taps.len() / 2, self.a.len());
                let samples = self.a[source][start..end].iter().zip(&self.b[source][start..end]);
                let sums = mean_a.iter_mut().zip(&mut *mean_b).zip(squares.iter_mut().zip(&mut *product));
                for ((&a, &b), ((mean_a, mean_b), (squares, product))) in samples.zip(sums) {
                    let (a, b): (f64, f64) = (a.into(), b.into());
                    *mean_a += weight * a;
                    *mean_b += weight * b;
                    *squares += weight * (a * a + b * b);
                    *product += weight * (a * b);
                }
            }
        }
    }

    fn mirror_ends(&self, scratch: &mut Scratch) {
        let (radius, channels) = (self.taps.len() / 2, self.channels);
        for padded in &mut scratch.padded {
            for column in (0..radius).chain(radius + self.width..2 * radius + self.width) {
                let source = radius + mirrored(column, radius, self.width);
                padded.copy_within(source * channels..(source + 1) * channels, column * channels);
            }
        }
    }
}

/// Index into `length` pixels of one that lies at `index − radius`, mirrored at edges that repeat: `b a | a b c | c b`.
/// The picture is no smaller than the window, so one reflection is enough.
fn mirrored(index: usize, radius: usize, length: usize) -> usize {
    match index.checked_sub(radius) {
        None => radius - 1 - index,
        Some(inside) if inside < length => inside,
        Some(beyond) => 2 * length - 1 - beyond,
    }
}
