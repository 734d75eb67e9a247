//! The gradients of a convolution of `[B, C, H, W]` tensors.

use std::borrow::Cow;

use rayon::prelude::*;

use super::super::super::{Activation, Conv2dOptions};
use super::super::{Weights, weight_gradient};
use super::{Call, Extras, forward};
use crate::element::Element;
use crate::rect::CHANNEL_BLOCK;
use crate::relu::where_positive;
use crate::{Planes, Result, buffer};

/// The gradients of a sum weighted by `grad`, each where it was wanted.
pub(in crate::conv2d) struct Gradients<E> {
    /// As `x`.
    pub x: Option<Vec<E>>,
    /// Weights `[O, C, K, K]` and bias `[O]`.
    pub parameters: Option<(Vec<E>, Vec<E>)>,
    /// As [`Extras::values`].
    pub extras: Option<Vec<E>>,
}

/// Which gradients are asked for.
#[derive(Clone, Copy)]
pub(in crate::conv2d) struct Wanted {
    pub x: bool,
    /// Weights and bias.
    pub parameters: bool,
    pub extras: bool,
}

impl Wanted {
    #[cfg(test)]
    pub(in crate::conv2d) const ALL: Self = Self { x: true, parameters: true, extras: true };
}

/// Computes [`Gradients`] from the result `y` and its gradient.
pub(in crate::conv2d) fn backward<E: Element>(
    call: Call<'_, E>,
    y: &[E],
    grad: &[E],
    wanted: Wanted,
) -> Result<Gradients<E>> {
    let Call { isa, planes, x, weights, extras, options } = call;
    let (pixels, outputs) = (planes.pixels(), weights.outputs);
    // The gradient before the activation, that is of the residual.
    let before = match options.activation {
        Activation::None => Cow::Borrowed(grad),
        Activation::Relu => Cow::Owned(where_positive(grad, y)),
    };
    // The gradient of the bare convolution.
    let of_sum = match extras.scales {
        0 => Cow::Borrowed(&before[..]),
        _ => Cow::Owned(scaled(&before, extras, pixels, outputs)),
    };
    Ok(Gradients {
        // First, while there is no other gradient beside the sums that it takes.
        extras: wanted.extras.then(|| extras_gradient(call, &before)).transpose()?,
        x: wanted.x.then(|| input_gradient(call, &of_sum)).transpose()?,
        parameters: wanted.parameters.then(|| {
            let (size, dilation) = (weights.size, options.dilation);
            weight_gradient::run(isa, planes, x, &of_sum, outputs, size, dilation)
        }),
    })
}

/// The gradient of x from that of the sums.
fn input_gradient<E: Element>(call: Call<'_, E>, of_sum: &[E]) -> Result<Vec<E>> {
    let Call { isa, planes, weights, options, .. } = call;
    let flipped = flipped(&weights);
    let transposed = Weights { values: &flipped, bias: None, outputs: planes.channels, size: weights.size };
    let results = Planes { channels: weights.outputs, ..planes };
    let mut of_x = buffer::zeroed(planes.len());
    forward(isa, results, of_sum, transposed, Extras::default(), bare(options), &mut of_x)?;
    Ok(of_x)
}

/// The gradients of residual and scale from that before the activation; the scale's takes the sums, which are computed
/// again.
fn extras_gradient<E: Element>(call: Call<'_, E>, before: &[E]) -> Result<Vec<E>> {
    let Call { isa, planes, x, weights, extras, options } = call;
    let (pixels, outputs) = (planes.pixels(), weights.outputs);
    let mut gradient = buffer::zeroed(extras.values.len());
    let of_picture = (extras.residuals + extras.scales) * pixels;
    if extras.residuals > 0 {
        let pictures = gradient.par_chunks_mut(of_picture).zip(before.par_chunks(outputs * pixels));
        pictures.for_each(|(gradient, before)| gradient[..outputs * pixels].copy_from_slice(before));
    }
    if extras.scales > 0 {
        let mut sums = buffer::zeroed(before.len());
        forward(isa, planes, x, weights, Extras::default(), bare(options), &mut sums)?;
        let scales = gradient.chunks_mut(of_picture).map(|picture| &mut picture[extras.residuals * pixels..]);
        dot_channels(&sums, before, pixels, outputs, scales);
    }
    Ok(gradient)
}

/// The same convolution with nothing behind its sum.
fn bare(options: Conv2dOptions) -> Conv2dOptions {
    Conv2dOptions { activation: Activation::None, ..options }
}

/// `values` `[B, O, H, W]` times each picture's scale.
fn scaled<E: Element>(values: &[E], extras: Extras<'_, E>, pixels: usize, outputs: usize) -> Vec<E> {
    let mut out = buffer::zeroed(values.len());
    let planes = out.par_chunks_mut(pixels).zip(values.par_chunks(pixels)).enumerate();
    planes.for_each(|(plane, (out, values))| {
        let scale = extras.scale(plane / outputs, pixels).unwrap_or_default();
        for (out, (&value, &scale)) in out.iter_mut().zip(values.iter().zip(scale)) {
            *out = value * scale;
        }
    });
    out
}

/// Σ over channels of `a · b`, `[B, O, H, W]` each, in channel order, added to one plane for each picture.
fn dot_channels<'a, E: Element>(
    a: &[E],
    b: &[E],
    pixels: usize,
    outputs: usize,
    targets: impl Iterator<Item = &'a mut [E]>,
) {
    let pieces: Vec<(usize, &mut [E])> = targets
        .enumerate()
        .flat_map(|(picture, target)| {
            let pieces = target.chunks_mut(buffer::PIECE).enumerate();
            pieces.map(move |(piece, target)| (picture * outputs * pixels + piece * buffer::PIECE, target))
        })
        .collect();
    pieces.into_par_iter().for_each(|(start, target)| {
        for channel in 0..outputs {
            let at = start + channel * pixels;
            for (target, (&a, &b)) in target.iter_mut().zip(a[at..].iter().zip(&b[at..])) {
                *target += a * b;
            }
        }
    });
}

/// The kernel that takes a gradient back: inputs and outputs swapped, taps turned around. A block of inputs at a time,
/// whose kernels are neighbours.
pub fn flipped<E: Element>(weights: &Weights<'_, E>) -> Vec<E> {
    let (taps, channels, outputs) = (weights.size * weights.size, weights.channels(), weights.outputs);
    let mut flipped = buffer::zeroed(weights.values.len());
    let blocks = flipped.chunks_mut(CHANNEL_BLOCK * outputs * taps).enumerate();
    for (block, flipped) in blocks {
        for (output, kernels) in weights.values.chunks_exact(channels * taps).enumerate() {
            let kernels = kernels.chunks_exact(taps).skip(block * CHANNEL_BLOCK);
            for (target, kernel) in flipped.chunks_exact_mut(outputs * taps).zip(kernels) {
                let target = &mut target[output * taps..][..taps];
                target.copy_from_slice(kernel);
                target.reverse();
            }
        }
    }
    flipped
}
