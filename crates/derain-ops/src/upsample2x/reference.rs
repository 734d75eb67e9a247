//! Upsampling by coordinates, pixel by pixel in f64: the oracle of the other implementation, forward and backward.

use super::Upsampling;
use crate::Planes;

/// `x`, whose dimensions are `planes`, at twice its height and width.
pub fn forward(planes: Planes, mode: Upsampling, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; 4 * x.len()];
    for_each_tap(planes, mode, |to, from, weight| out[to] += weight * x[from]);
    out
}

/// The gradient of a sum weighted by `grad`.
pub fn backward(planes: Planes, mode: Upsampling, grad: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; grad.len() / 4];
    for_each_tap(planes, mode, |to, from, weight| out[from] += weight * grad[to]);
    out
}

/// Calls `f` with every (pixel of the result, pixel of x, weight of the second in the first).
fn for_each_tap(planes: Planes, mode: Upsampling, mut f: impl FnMut(usize, usize, f64)) {
    let Planes { height, width, .. } = planes;
    for plane in 0..planes.batch * planes.channels {
        for y in 0..2 * height {
            for x in 0..2 * width {
                for (row, row_weight) in taps(mode, y, height) {
                    for (column, column_weight) in taps(mode, x, width) {
                        let to = (plane * 2 * height + y) * 2 * width + x;
                        let from = (plane * height + row) * width + column;
                        f(to, from, row_weight * column_weight);
                    }
                }
            }
        }
    }
}

/// The two pixels of an axis of `length` that the result's pixel `at` lies between, with their weights.
fn taps(mode: Upsampling, at: usize, length: usize) -> [(usize, f64); 2] {
    match mode {
        Upsampling::Nearest => [(at / 2, 1.0), (at / 2, 0.0)],
        Upsampling::Bilinear => {
            // Pixel centres lie at halves; nothing lies beyond the first and the last centre.
            let position = ((at as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, (length - 1) as f64);
            let first = position.floor();
            let weight = position - first;
            let first = first as usize;
            [(first, 1.0 - weight), ((first + 1).min(length - 1), weight)]
        }
    }
}
