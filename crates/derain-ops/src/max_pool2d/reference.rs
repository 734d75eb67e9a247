//! Max pooling as the definition reads, window by window in f64: the oracle of the other implementation.

use crate::Planes;

/// The largest pixel of every 2x2 window of `x`.
pub fn forward(planes: Planes, x: &[f64]) -> Vec<f64> {
    winners(planes, x).into_iter().map(|pixel| x[pixel]).collect()
}

/// The gradient of a sum weighted by `grad`.
pub fn backward(planes: Planes, x: &[f64], grad: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for (pixel, grad) in winners(planes, x).into_iter().zip(grad) {
        out[pixel] += grad;
    }
    out
}

/// For every window, where in `x` its result comes from: the first of its largest pixels, or its last NaN.
fn winners(planes: Planes, x: &[f64]) -> Vec<usize> {
    let Planes { height, width, .. } = planes;
    let mut winners = Vec::with_capacity(x.len() / 4);
    for plane in 0..planes.batch * planes.channels {
        for row in (0..height).step_by(2) {
            for column in (0..width).step_by(2) {
                let first = (plane * height + row) * width + column;
                let mut winner = first;
                for pixel in [first + 1, first + width, first + width + 1] {
                    if x[pixel] > x[winner] || x[pixel].is_nan() {
                        winner = pixel;
                    }
                }
                winners.push(winner);
            }
        }
    }
    winners
}
