//! What every layer of a pass needs: buffers, parameters, convolutions and their gradients.

use std::sync::Arc;

use derain_ops::conv2d::cpu::{Convolution, PixelsEpilogue, Weights, flipped, weight_gradient};
use derain_ops::pixels::{Pixels, Pool};
use derain_ops::rect::padded;
use derain_ops::{Activation, Element, Isa, Planes, Result};

use super::parameters::ConvAt;

/// Directions of a scan, and sources of the convolutions behind the scans.
pub(super) const DIRECTIONS: usize = 4;

/// One pass over a batch.
pub(super) struct Run<'a, E: Element> {
    pub isa: Isa,
    pub pool: &'a Arc<Pool<E>>,
    pub parameters: &'a [E],
    /// The pictures.
    pub shape: Planes,
}

impl<E: Element> Run<'_, E> {
    /// A buffer for `channels` channels, padded.
    pub(super) fn pixels(&self, channels: usize) -> Pixels<E> {
        self.exact_pixels(padded(channels))
    }

    /// A buffer for `channels` channels as they are.
    pub(super) fn exact_pixels(&self, channels: usize) -> Pixels<E> {
        self.pool.take(Planes { channels, ..self.shape })
    }

    fn weights(&self, conv: &ConvAt) -> Weights<'_, E> {
        let values = &self.parameters[conv.weights.clone()];
        let bias = conv.bias.clone().map(|bias| &self.parameters[bias]);
        Weights { values, bias, outputs: conv.outputs, size: conv.size }
    }

    /// The convolution, ready to run over `sources` sources that share its input channels equally.
    pub(super) fn convolution(&self, conv: &ConvAt, sources: usize) -> Result<Convolution<E>> {
        let channels = vec![conv.inputs / sources; sources];
        Convolution::new(self.isa, self.weights(conv), &channels, conv.dilation)
    }

    /// The convolution that takes a gradient back.
    pub(super) fn transposed(&self, conv: &ConvAt) -> Result<Convolution<E>> {
        let values = flipped(&self.weights(conv));
        let weights = Weights { values: &values, bias: None, outputs: conv.inputs, size: conv.size };
        Convolution::new(self.isa, weights, &[conv.outputs], conv.dilation)
    }

    /// The same for one direction's quarter of the inputs.
    pub(super) fn transposed_quarter(&self, conv: &ConvAt, direction: usize) -> Result<Convolution<E>> {
        let (quarter, row) = (conv.inputs / DIRECTIONS * conv.size * conv.size, conv.inputs * conv.size * conv.size);
        let rows = self.parameters[conv.weights.clone()].chunks(row);
        let values: Vec<E> = rows.flat_map(|row| &row[direction * quarter..][..quarter]).copied().collect();
        let values = flipped(&Weights { values: &values, bias: None, outputs: conv.outputs, size: conv.size });
        let weights = Weights { values: &values, bias: None, outputs: conv.inputs / DIRECTIONS, size: conv.size };
        Convolution::new(self.isa, weights, &[conv.outputs], conv.dilation)
    }

    /// Runs a convolution into a buffer of its own.
    pub(super) fn convolve(
        &self,
        convolution: &Convolution<E>,
        sources: &[&Pixels<E>],
        epilogue: &PixelsEpilogue<'_, E>,
    ) -> Pixels<E> {
        let mut out = self.pixels(convolution.outputs());
        convolution.run_pixels(sources, epilogue, &mut out);
        out
    }

    /// Adds the gradients of a convolution's weights and bias to those of all parameters.
    pub(super) fn add_weight_gradient(&self, conv: &ConvAt, x: &Pixels<E>, grad: &Pixels<E>, gradients: &mut [E]) {
        let (weights, bias) =
            weight_gradient(self.isa, (x, conv.inputs), (grad, conv.outputs), conv.size, conv.dilation);
        add(&mut gradients[conv.weights.clone()], &weights);
        if let Some(at) = conv.bias.clone() {
            add(&mut gradients[at], &bias);
        }
    }

    /// The same for one direction's quarter of the inputs.
    pub(super) fn add_quarter_gradient(
        &self,
        conv: &ConvAt,
        direction: usize,
        x: &Pixels<E>,
        grad: &Pixels<E>,
        gradients: &mut [E],
    ) {
        let inputs = conv.inputs / DIRECTIONS;
        let (weights, _) = weight_gradient(self.isa, (x, inputs), (grad, conv.outputs), conv.size, conv.dilation);
        let (quarter, row) = (weights.len() / conv.outputs, conv.weights.len() / conv.outputs);
        let rows = gradients[conv.weights.clone()].chunks_mut(row);
        for (row, weights) in rows.zip(weights.chunks(quarter)) {
            add(&mut row[direction * quarter..][..quarter], weights);
        }
    }
}

/// Nothing behind the sum.
pub(super) fn plain<'a, E: Element>() -> PixelsEpilogue<'a, E> {
    PixelsEpilogue::activation(Activation::None)
}

/// A ReLU behind the sum.
pub(super) fn relu<'a, E: Element>() -> PixelsEpilogue<'a, E> {
    PixelsEpilogue::activation(Activation::Relu)
}

pub(super) fn add<E: Element>(sums: &mut [E], values: &[E]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

pub(super) fn sigmoid<E: Element>(x: E) -> E {
    E::from_f64(1.0 / (1.0 + (-x.to_f64()).exp()))
}
