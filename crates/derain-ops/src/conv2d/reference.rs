//! The convolution and its gradients as the formulas read, in f64: the oracle of the other implementations.

use super::{Activation, Conv2dOptions};
use crate::Planes;

/// The arguments of a convolution. `weight` is `[O, C, K, K]`, `bias` `[O]` gives O and may be zeros, `scale` is
/// `[B, 1, H, W]` and `residual` `[B, O, H, W]`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "named as in the module's formulas")]
pub struct Arguments<'a> {
    pub planes: Planes,
    pub x: &'a [f64],
    pub weight: &'a [f64],
    pub bias: &'a [f64],
    pub scale: Option<&'a [f64]>,
    pub residual: Option<&'a [f64]>,
    pub options: Conv2dOptions,
}

/// Gradients, each laid out as its argument.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "named as the arguments")]
pub struct Gradients {
    pub x: Vec<f64>,
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    pub scale: Vec<f64>,
    pub residual: Vec<f64>,
}

impl Arguments<'_> {
    /// Calls `f` with each pixel of x (its index) and each weight (its index) that meet in result (picture, o, i, j).
    fn meetings(&self, (picture, o, i, j): (usize, usize, usize, usize), mut f: impl FnMut(usize, usize)) {
        let Planes { channels, height, width, .. } = self.planes;
        let size = (self.weight.len() / (self.bias.len() * channels)).isqrt();
        let dilation = self.options.dilation;
        let source = |from: usize, tap: usize, length: usize| {
            (from + tap * dilation).checked_sub(size / 2 * dilation).filter(|&at| at < length)
        };
        for c in 0..channels {
            for u in 0..size {
                for v in 0..size {
                    if let (Some(row), Some(column)) = (source(i, u, height), source(j, v, width)) {
                        f(
                            ((picture * channels + c) * height + row) * width + column,
                            ((o * channels + c) * size + u) * size + v,
                        );
                    }
                }
            }
        }
    }

    /// Every result's place (picture, o, i, j), in the order in which results lie.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> + use<> {
        let Planes { batch, height, width, .. } = self.planes;
        let outputs = self.bias.len();
        (0..batch * outputs * height * width).map(move |at| {
            let (plane, pixel) = (at / (height * width), at % (height * width));
            (plane / outputs, plane % outputs, pixel / width, pixel % width)
        })
    }

    /// The result before scale, residual and activation.
    fn sum(&self, place: (usize, usize, usize, usize)) -> f64 {
        let mut sum = self.bias[place.1];
        self.meetings(place, |pixel, weight| sum += self.weight[weight] * self.x[pixel]);
        sum
    }

    fn scale_index(&self, (picture, _, i, j): (usize, usize, usize, usize)) -> usize {
        (picture * self.planes.height + i) * self.planes.width + j
    }
}

/// The result, `[B, O, H, W]`.
pub fn forward(arguments: &Arguments<'_>) -> Vec<f64> {
    let results = arguments.places().enumerate().map(|(at, place)| {
        let scale = arguments.scale.map_or(1.0, |scale| scale[arguments.scale_index(place)]);
        let y = arguments.sum(place) * scale + arguments.residual.map_or(0.0, |residual| residual[at]);
        // Not `f64::max`, which would turn NaN into 0.
        if arguments.options.activation == Activation::Relu && y < 0.0 { 0.0 } else { y }
    });
    results.collect()
}

/// The gradients of Σ dy · y.
pub fn backward(arguments: &Arguments<'_>, dy: &[f64]) -> Gradients {
    let y = forward(arguments);
    let mut gradients = Gradients {
        x: vec![0.0; arguments.x.len()],
        weight: vec![0.0; arguments.weight.len()],
        bias: vec![0.0; arguments.bias.len()],
        scale: vec![0.0; arguments.planes.batch * arguments.planes.pixels()],
        residual: vec![0.0; dy.len()],
    };
    for (at, place) in arguments.places().enumerate() {
        let g = if arguments.options.activation == Activation::Relu && y[at] <= 0.0 { 0.0 } else { dy[at] };
        gradients.residual[at] = g;
        gradients.scale[arguments.scale_index(place)] += g * arguments.sum(place);
        let ds = g * arguments.scale.map_or(1.0, |scale| scale[arguments.scale_index(place)]);
        gradients.bias[place.1] += ds;
        arguments.meetings(place, |pixel, weight| {
            gradients.x[pixel] += ds * arguments.weight[weight];
            gradients.weight[weight] += ds * arguments.x[pixel];
        });
    }
    gradients
}
