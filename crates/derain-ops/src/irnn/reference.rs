//! The scans as the formula reads, in f64: the oracle of every other implementation, forward and backward.

use super::Direction;
use crate::Planes;

/// The result of [`backward`].
#[derive(Clone, Debug)]
pub struct Gradients {
    /// For the input, `[B, C, H, W]`.
    pub x: Vec<f64>,
    /// For the weights, `[4, C]`.
    pub weights: Vec<f64>,
    /// For the biases, `[4, C]`.
    pub biases: Vec<f64>,
    /// For the direction weights, `[B, 4, H, W]`.
    pub directions: Vec<f64>,
}

/// The four scans of `x`, each multiplied by its map of `directions` (all ones for the plain operation).
pub fn forward(planes: Planes, x: &[f64], weights: &[f64], biases: &[f64], directions: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; 4 * planes.len()];
    for_each_plane(planes, |plane| {
        let h = scan(planes, &x[plane.input..], weights[plane.coefficient], biases[plane.coefficient], plane.direction);
        for (pixel, h) in h.into_iter().enumerate() {
            out[plane.output + pixel] = h * directions[plane.map + pixel];
        }
    });
    out
}

/// The gradients of a sum weighted by `grad`, `[B, 4·C, H, W]`.
pub fn backward(
    planes: Planes,
    x: &[f64],
    weights: &[f64],
    biases: &[f64],
    directions: &[f64],
    grad: &[f64],
) -> Gradients {
    let mut gradients = Gradients {
        x: vec![0.0; x.len()],
        weights: vec![0.0; weights.len()],
        biases: vec![0.0; biases.len()],
        directions: vec![0.0; directions.len()],
    };
    for_each_plane(planes, |plane| {
        let (a, b) = (weights[plane.coefficient], biases[plane.coefficient]);
        let h = scan(planes, &x[plane.input..], a, b, plane.direction);
        for line in lines(planes, plane.direction) {
            let mut g = 0.0;
            for i in (0..line.len()).rev() {
                let pixel = line[i];
                let grad = grad[plane.output + pixel];
                gradients.directions[plane.map + pixel] += grad * h[pixel];
                g = if h[pixel] > 0.0 { grad * directions[plane.map + pixel] + a * g } else { 0.0 };
                gradients.x[plane.input + pixel] += g;
                if i > 0 {
                    gradients.biases[plane.coefficient] += g;
                    gradients.weights[plane.coefficient] += g * h[line[i - 1]];
                }
            }
        }
    });
    gradients
}

/// Where one channel of one picture and one direction lies in each array.
struct Plane {
    direction: Direction,
    input: usize,
    output: usize,
    map: usize,
    coefficient: usize,
}

fn for_each_plane(planes: Planes, mut f: impl FnMut(Plane)) {
    let Planes { batch, channels, .. } = planes;
    for picture in 0..batch {
        for direction in Direction::ALL {
            let d = direction as usize;
            for channel in 0..channels {
                f(Plane {
                    direction,
                    input: (picture * channels + channel) * planes.pixels(),
                    output: ((picture * 4 + d) * channels + channel) * planes.pixels(),
                    map: (picture * 4 + d) * planes.pixels(),
                    coefficient: d * channels + channel,
                });
            }
        }
    }
}

fn scan(planes: Planes, x: &[f64], a: f64, b: f64, direction: Direction) -> Vec<f64> {
    let mut h = vec![0.0; planes.pixels()];
    for line in lines(planes, direction) {
        for (i, &pixel) in line.iter().enumerate() {
            let carried = if i == 0 { 0.0 } else { a * h[line[i - 1]] + b };
            let sum = carried + x[pixel];
            // Not `f64::max`, which would turn NaN into 0.
            h[pixel] = if sum < 0.0 { 0.0 } else { sum };
        }
    }
    h
}

/// The pixels of each row or column, in the order in which the direction meets them.
fn lines(planes: Planes, direction: Direction) -> Vec<Vec<usize>> {
    let (height, width) = (planes.height, planes.width);
    let row = |y: usize| (0..width).map(move |x| y * width + x);
    let column = |x: usize| (0..height).map(move |y| y * width + x);
    match direction {
        Direction::Up => (0..width).map(|x| column(x).rev().collect()).collect(),
        Direction::Right => (0..height).map(|y| row(y).collect()).collect(),
        Direction::Down => (0..width).map(|x| column(x).collect()).collect(),
        Direction::Left => (0..height).map(|y| row(y).rev().collect()).collect(),
    }
}
