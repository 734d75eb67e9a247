//! RLCN as the formula reads, window by window in f64: the oracle of the other implementation, forward and backward.

use super::RlcnOptions;
use crate::Planes;

/// The normalized planes of `x`.
pub fn forward(planes: Planes, x: &[f64], options: &RlcnOptions) -> Vec<f64> {
    let mut out = Vec::with_capacity(x.len());
    for plane in x.chunks(planes.pixels()) {
        for pixel in 0..plane.len() {
            let Statistics { deviation, sigma, .. } = statistics(planes, plane, pixel, options);
            // Comparisons, not `max` and `min`, which would turn NaN into a number.
            let l = if deviation < 0.0 { 0.0 } else { deviation / (sigma + options.epsilon) };
            out.push(if options.clamp && l > 1.0 { 1.0 } else { l });
        }
    }
    out
}

/// The gradient of a sum weighted by `grad`, by differentiating the formula at every pixel for every pixel of its
/// window.
pub fn backward(planes: Planes, x: &[f64], grad: &[f64], options: &RlcnOptions) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    let pixels = planes.pixels();
    for ((plane, grad), out) in x.chunks(pixels).zip(grad.chunks(pixels)).zip(out.chunks_mut(pixels)) {
        for (pixel, grad) in grad.iter().enumerate() {
            let Statistics { window, mean, deviation, sigma } = statistics(planes, plane, pixel, options);
            let s = sigma + options.epsilon;
            if deviation <= 0.0 || (options.clamp && deviation / s > 1.0) {
                continue;
            }
            let n = window.len() as f64;
            for &q in &window {
                let d_deviation = if q == pixel { 1.0 } else { 0.0 } - 1.0 / n;
                let d_sigma = if n > 1.0 { (plane[q] - mean) / ((n - 1.0) * sigma) } else { 0.0 };
                out[q] += grad * (d_deviation / s - deviation / (s * s) * d_sigma);
            }
        }
    }
    out
}

struct Statistics {
    window: Vec<usize>,
    mean: f64,
    deviation: f64,
    sigma: f64,
}

fn statistics(planes: Planes, plane: &[f64], pixel: usize, options: &RlcnOptions) -> Statistics {
    let (y, x, radius) = (pixel / planes.width, pixel % planes.width, options.window / 2);
    let rows = y.saturating_sub(radius)..(y + radius + 1).min(planes.height);
    let window: Vec<usize> = rows
        .flat_map(|row| {
            (x.saturating_sub(radius)..(x + radius + 1).min(planes.width))
                .map(move |column| row * planes.width + column)
        })
        .collect();
    let n = window.len() as f64;
    let mean = window.iter().map(|&q| plane[q]).sum::<f64>() / n;
    let squares: f64 = window.iter().map(|&q| (plane[q] - mean).powi(2)).sum();
    let variance = if n > 1.0 { squares / (n - 1.0) } else { 0.0 };
    let sigma = (variance + options.variance_epsilon).sqrt();
    Statistics { window, mean, deviation: plane[pixel] - mean, sigma }
}
