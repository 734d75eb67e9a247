//! A scale of the encoder, and the step down to it.

use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::lstm_gates::rect::step;
use derain_ops::rect::padded;
use derain_ops::{Activation, Isa};

use super::super::layers::Encoder;
use super::pass::{Run, ScaleSize};
use super::weights::{Kernel, gate_channels};
use super::workspace::{ScaleBuffers, Shared};
use crate::Result;

#[derive(Clone, Debug)]
pub(super) struct PlannedEncoder {
    /// Channels of the input and of the features, padded.
    from: usize,
    to: usize,
    conv1: Convolution<f32>,
    gates: Convolution<f32>,
    conv2: Convolution<f32>,
    shortcut: Option<Convolution<f32>>,
}

impl PlannedEncoder {
    pub(super) fn new(encoder: &Encoder) -> Result<Self> {
        let Encoder { block, lstm } = encoder;
        let (from, to) = (block.conv1.conv.inputs(), block.conv2.conv.inputs());
        let shortcut = block.shortcut.as_ref().map(|layer| Kernel::folded(layer)?.over(&[from]));
        Ok(Self {
            from: padded(from),
            to: padded(to),
            conv1: Kernel::folded(&block.conv1)?.over(&[from])?,
            gates: Kernel::gates(lstm)?.over(&[to, to])?,
            conv2: Kernel::folded(&block.conv2)?.over(&[to])?,
            shortcut: shortcut.transpose()?,
        })
    }

    /// Values of the input's pixels.
    pub(super) fn inputs(&self) -> usize {
        self.from
    }

    /// Values of the features' pixels.
    pub(super) fn channels(&self) -> usize {
        self.to
    }

    pub(super) fn convolutions(&self) -> impl Iterator<Item = &Convolution<f32>> {
        [&self.conv1, &self.gates, &self.conv2].into_iter().chain(&self.shortcut)
    }

    /// From the input in `shared.input` to the scale's features and next state. In the first stage there is no hidden
    /// state to read.
    pub(super) fn run(
        &self,
        run: &Run<'_>,
        size: ScaleSize,
        first_stage: bool,
        buffers: &mut ScaleBuffers,
        shared: &mut Shared,
    ) {
        let Self { from, to, conv1, gates, conv2, shortcut } = self;
        let (from, to) = (*from, *to);
        let ScaleBuffers { hidden, cell, features } = buffers;
        let Shared { input, first, second } = shared;
        let input = size.rect(input, from);
        let relu = Epilogue::activation(Activation::Relu);
        let none = Epilogue::activation(Activation::None);

        run.pass(size, [(&mut *first, to)], conv1.work_per_pixel(), |scratch, tile, [out]| {
            let window = tile.window(conv1, input, &mut scratch.windows[0]);
            conv1.run(&[window], &relu, out, &mut scratch.form);
        });

        let inner = size.rect(first, to);
        let before = size.rect(hidden, to);
        let outputs = [(&mut second[..], to), (&mut cell[..], to)];
        run.pass(size, outputs, gates.work_per_pixel(), |scratch, tile, [out, cell]| {
            let [window, hidden_window, _] = &mut scratch.windows;
            let sources = [tile.window(gates, inner, window), tile.window(gates, before, hidden_window)];
            let sources = if first_stage { &sources[..1] } else { &sources[..] };
            let result = scratch.wide.shaped(tile.rows, tile.columns, gate_channels(to));
            gates.run(sources, &none, result, &mut scratch.form);
            step(Isa::current(), scratch.wide.rect(), cell, out);
        });

        let next = size.rect(second, to);
        let work = conv2.work_per_pixel() + shortcut.as_ref().map_or(0, Convolution::work_per_pixel);
        run.pass(size, [(&mut features[..], to), (&mut hidden[..], to)], work, |scratch, tile, [out, mut hidden]| {
            let own = tile.of(input);
            let residual = match shortcut {
                None => own,
                Some(shortcut) => {
                    let target = scratch.wide.shaped(tile.rows, tile.columns, to);
                    shortcut.run(&[own], &none, target, &mut scratch.form);
                    scratch.wide.rect()
                }
            };
            let window = tile.window(conv2, next, &mut scratch.windows[0]);
            let epilogue = Epilogue { scale: None, residual: Some(residual), activation: Activation::Relu };
            conv2.run(&[window], &epilogue, out, &mut scratch.form);
            hidden.copy_from(tile.of(next));
        });
    }
}

/// The largest of every 2x2 pixels, from a scale to the one below.
pub(super) fn pool(run: &Run<'_>, size: ScaleSize, features: &[f32], channels: usize, target: &mut [f32]) {
    let features = size.rect(features, channels);
    run.pass(size.below(), [(target, channels)], 0, |_, tile, [mut out]| {
        for row in 0..tile.rows {
            let [above, below] = [0, 1].map(|half| {
                &features.row(2 * (tile.row + row) + half)[2 * tile.column * channels..][..2 * tile.columns * channels]
            });
            let sources = above.chunks_exact(2 * channels).zip(below.chunks_exact(2 * channels));
            for (pixel, (above, below)) in out.row_mut(row).chunks_exact_mut(channels).zip(sources) {
                let ((a, b), (c, d)) = (above.split_at(channels), below.split_at(channels));
                for (value, ((a, b), (c, d))) in pixel.iter_mut().zip(a.iter().zip(b).zip(c.iter().zip(d))) {
                    *value = largest(largest(*a, *b), largest(*c, *d));
                }
            }
        }
    });
}

/// The larger one; NaN stays NaN, so that a diverging network is noticed.
fn largest(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
