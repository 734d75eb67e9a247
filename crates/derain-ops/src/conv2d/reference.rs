//! The convolution as the formula reads, in f64: the oracle of the other implementation.

use super::{Activation, Conv2dOptions};
use crate::Planes;

/// Convolves `x` with `weight` `[O, C, K, K]`, where `bias` `[O]` gives O and may be zeros.
pub fn forward(planes: Planes, x: &[f64], weight: &[f64], bias: &[f64], options: &Conv2dOptions) -> Vec<f64> {
    let Planes { batch, channels, height, width } = planes;
    let size = (weight.len() / (bias.len() * channels)).isqrt();
    let mut out = Vec::with_capacity(batch * bias.len() * planes.pixels());
    let source = |from: usize, tap: usize, length: usize| {
        (from + tap * options.dilation).checked_sub(size / 2 * options.dilation).filter(|&at| at < length)
    };
    for picture in 0..batch {
        for (o, bias) in bias.iter().enumerate() {
            for i in 0..height {
                for j in 0..width {
                    let mut y = *bias;
                    for c in 0..channels {
                        for u in 0..size {
                            for v in 0..size {
                                if let (Some(row), Some(column)) = (source(i, u, height), source(j, v, width)) {
                                    let pixel = x[((picture * channels + c) * height + row) * width + column];
                                    y += weight[((o * channels + c) * size + u) * size + v] * pixel;
                                }
                            }
                        }
                    }
                    // Not `f64::max`, which would turn NaN into 0.
                    out.push(if options.activation == Activation::Relu && y < 0.0 { 0.0 } else { y });
                }
            }
        }
    }
    out
}
