//! SSIM as the formula reads, window by window in f64: the oracle of the other implementation, forward and backward.

use super::SsimOptions;
use crate::Planes;

/// The mean SSIM of `x` and `y`.
pub fn forward(planes: Planes, x: &[f64], y: &[f64], options: &SsimOptions) -> f64 {
    let mut sum = 0.0;
    for_each_window(planes, x, y, options, |_, statistics| sum += statistics.ssim());
    sum / x.len() as f64
}

/// The gradients for `x` and `y` of the mean times `grad`, by differentiating the formula at every pixel for every
/// pixel of its window.
pub fn backward(planes: Planes, x: &[f64], y: &[f64], grad: f64, options: &SsimOptions) -> [Vec<f64>; 2] {
    let mut out = [vec![0.0; x.len()], vec![0.0; y.len()]];
    let grad = grad / x.len() as f64;
    for_each_window(planes, x, y, options, |window, statistics| {
        let Statistics { mean: [mx, my], a1, a2, b1, b2, .. } = statistics;
        let f = statistics.ssim();
        for &(at, w) in window {
            // Of one pixel: (own value, other value, own mean, other mean).
            let sides = [(x[at], y[at], mx, my), (y[at], x[at], my, mx)];
            for (out, (own, other, own_mean, other_mean)) in out.iter_mut().zip(sides) {
                let d_a1 = 2.0 * w * other_mean;
                let d_a2 = 2.0 * w * (other - other_mean);
                let d_b1 = 2.0 * w * own_mean;
                let d_b2 = 2.0 * w * (own - own_mean);
                out[at] += grad * ((d_a1 * a2 + a1 * d_a2) / (b1 * b2) - f * (d_b1 / b1 + d_b2 / b2));
            }
        }
    });
    out
}

struct Statistics {
    mean: [f64; 2],
    a1: f64,
    a2: f64,
    b1: f64,
    b2: f64,
}

impl Statistics {
    fn ssim(&self) -> f64 {
        self.a1 * self.a2 / (self.b1 * self.b2)
    }
}

/// Calls `f` with every pixel's window, as indices and weights of the pixels inside the picture, and its statistics.
fn for_each_window(
    planes: Planes,
    x: &[f64],
    y: &[f64],
    options: &SsimOptions,
    mut f: impl FnMut(&[(usize, f64)], Statistics),
) {
    let Planes { height, width, .. } = planes;
    let radius = options.window as isize / 2;
    let bell = |at: isize| (-0.5 * (at as f64 / options.sigma).powi(2)).exp();
    let total: f64 = (-radius..=radius).map(bell).sum();
    for pixel in 0..x.len() {
        let (plane, row, column) = (pixel / planes.pixels(), pixel % planes.pixels() / width, pixel % width);
        let mut window = Vec::new();
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let inside = |at: usize, by: isize, length| at.checked_add_signed(by).filter(|&at| at < length);
                if let (Some(row), Some(column)) = (inside(row, dy, height), inside(column, dx, width)) {
                    let weight = bell(dy) * bell(dx) / (total * total);
                    window.push(((plane * height + row) * width + column, weight));
                }
            }
        }
        let sum = |value: &dyn Fn(usize) -> f64| window.iter().map(|&(at, w)| w * value(at)).sum::<f64>();
        let [mx, my] = [sum(&|at| x[at]), sum(&|at| y[at])];
        let variance = sum(&|at| x[at] * x[at]) - mx * mx + sum(&|at| y[at] * y[at]) - my * my;
        let covariance = sum(&|at| x[at] * y[at]) - mx * my;
        let statistics = Statistics {
            mean: [mx, my],
            a1: 2.0 * mx * my + options.c1,
            a2: 2.0 * covariance + options.c2,
            b1: mx * mx + my * my + options.c1,
            b2: variance + options.c2,
        };
        f(&window, statistics);
    }
}
