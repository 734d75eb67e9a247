//! Batch normalization as the formulas read, in f64: the oracle of the other implementation, forward and backward.

use crate::Planes;

/// Mean and variance of one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// μ.
    pub mean: f64,
    /// σ², divided by the number of elements.
    pub variance: f64,
}

/// The result of [`backward_through_statistics`] and [`backward_with_constants`].
#[derive(Clone, Debug)]
pub struct Gradients {
    /// For the input, `[B, C, H, W]`.
    pub x: Vec<f64>,
    /// For the gain, `[C]`.
    pub gamma: Vec<f64>,
    /// For the offset, `[C]`.
    pub beta: Vec<f64>,
}

/// Mean and biased variance of every channel of `x`.
pub fn moments(planes: Planes, x: &[f64]) -> Vec<Moments> {
    let of_channel = |channel| {
        let elements = || elements_of(planes, channel).map(|at| x[at]);
        let n = elements().count() as f64;
        let mean = elements().sum::<f64>() / n;
        Moments { mean, variance: elements().map(|x| (x - mean).powi(2)).sum::<f64>() / n }
    };
    (0..planes.channels).map(of_channel).collect()
}

/// `x` normalized with the given moments of each channel.
pub fn forward(planes: Planes, x: &[f64], gamma: &[f64], beta: &[f64], moments: &[Moments], epsilon: f64) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for (channel, &Moments { mean, variance }) in moments.iter().enumerate() {
        for at in elements_of(planes, channel) {
            out[at] = gamma[channel] * (x[at] - mean) / (variance + epsilon).sqrt() + beta[channel];
        }
    }
    out
}

/// The gradients of a sum weighted by `grad` where the moments are those of `x` itself.
///
/// y depends on x directly, through σ² and through μ: the three chains are added up one by one.
pub fn backward_through_statistics(
    planes: Planes,
    x: &[f64],
    gamma: &[f64],
    moments: &[Moments],
    epsilon: f64,
    grad: &[f64],
) -> Gradients {
    let mut gradients = backward_with_constants(planes, x, gamma, moments, epsilon, grad);
    for (channel, &Moments { mean, variance }) in moments.iter().enumerate() {
        let elements = || elements_of(planes, channel);
        let n = elements().count() as f64;
        let s = (variance + epsilon).sqrt();
        let d_variance: f64 = elements().map(|at| grad[at] * gamma[channel] * (x[at] - mean) * -0.5 / s.powi(3)).sum();
        let d_mean: f64 = elements().map(|at| -grad[at] * gamma[channel] / s).sum();
        for at in elements() {
            gradients.x[at] += d_variance * 2.0 * (x[at] - mean) / n + d_mean / n;
        }
    }
    gradients
}

/// The gradients of a sum weighted by `grad` where the moments are constants.
pub fn backward_with_constants(
    planes: Planes,
    x: &[f64],
    gamma: &[f64],
    moments: &[Moments],
    epsilon: f64,
    grad: &[f64],
) -> Gradients {
    let zeros = vec![0.0; moments.len()];
    let mut gradients = Gradients { x: vec![0.0; x.len()], gamma: zeros.clone(), beta: zeros };
    for (channel, &Moments { mean, variance }) in moments.iter().enumerate() {
        let s = (variance + epsilon).sqrt();
        for at in elements_of(planes, channel) {
            gradients.x[at] = grad[at] * gamma[channel] / s;
            gradients.gamma[channel] += grad[at] * (x[at] - mean) / s;
            gradients.beta[channel] += grad[at];
        }
    }
    gradients
}

/// Where the elements of a channel lie.
fn elements_of(planes: Planes, channel: usize) -> impl Iterator<Item = usize> {
    (0..planes.batch).flat_map(move |picture| {
        let start = (picture * planes.channels + channel) * planes.pixels();
        start..start + planes.pixels()
    })
}
