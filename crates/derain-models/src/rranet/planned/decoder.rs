//! A scale of the decoder.

use derain_ops::Activation;
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::rect::{Rect, RectMut, padded};

use super::super::COLOURS;
use super::super::layers::Decoder;
use super::pass::{Run, ScaleSize, Scratch, Tile};
use super::weights::Kernel;
use crate::Result;

#[derive(Clone, Debug)]
pub(super) struct PlannedDecoder {
    /// 0 is the picture's own size.
    scale: usize,
    /// Channels of the features below and of these, padded.
    from: usize,
    to: usize,
    up: Convolution<f32>,
    /// W_L, and W_F beside W_D.
    of_guide: Convolution<f32>,
    of_features: Convolution<f32>,
    to_map: Convolution<f32>,
    conv1: Convolution<f32>,
    conv2: Convolution<f32>,
    shortcut: Convolution<f32>,
}

/// What a decoder's scale works on.
pub(super) struct DecoderStores<'a> {
    /// The encoder's features at this scale; they become M·F.
    pub(super) skip: &'a mut [f32],
    /// The RLCN picture at this scale.
    pub(super) guide: &'a [f32],
    /// The attention map at this scale.
    pub(super) map: &'a mut [f32],
    /// The features from below at this scale, F_D.
    pub(super) up: &'a [f32],
    /// The block's inner features.
    pub(super) inner: &'a mut [f32],
}

impl PlannedDecoder {
    pub(super) fn new(decoder: &Decoder, scale: usize) -> Result<Self> {
        let Decoder { up, gam, block } = decoder;
        let (from, to, inner) = (up.conv.inputs(), block.conv2.conv.inputs(), gam.w_a.conv.inputs());
        // The width changes from twice these channels to these, so there always is a shortcut.
        let shortcut = block.shortcut.as_ref().map(Kernel::folded).transpose()?;
        let missing = || candle_core::Error::Msg("a decoder's block has no shortcut".into());
        Ok(Self {
            scale,
            from: padded(from),
            to: padded(to),
            up: Kernel::folded(up)?.over(&[from])?,
            of_guide: Kernel::folded(&gam.w_l)?.over(&[COLOURS])?,
            of_features: Kernel::folded(&gam.w_f)?.beside(Kernel::folded(&gam.w_d)?).over(&[to, to])?,
            to_map: Kernel::folded(&gam.w_a)?.over(&[inner])?,
            conv1: Kernel::folded(&block.conv1)?.over(&[to, to])?,
            conv2: Kernel::folded(&block.conv2)?.over(&[to])?,
            shortcut: shortcut.ok_or_else(missing)?.over(&[to, to])?,
        })
    }

    /// Which of the scales this is, 0 being the picture's own size.
    pub(super) fn scale(&self) -> usize {
        self.scale
    }

    /// Values of the features' pixels.
    pub(super) fn channels(&self) -> usize {
        self.to
    }

    pub(super) fn convolutions(&self) -> [&Convolution<f32>; 7] {
        let Self { up, of_guide, of_features, to_map, conv1, conv2, shortcut, .. } = self;
        [up, of_guide, of_features, to_map, conv1, conv2, shortcut]
    }

    /// From the features below, at half the size, to F_D.
    pub(super) fn up(&self, run: &Run<'_>, size: ScaleSize, below: &[f32], out: &mut [f32]) {
        let below = size.below().rect(below, self.from);
        run.pass(size, [(out, self.to)], self.up.work_per_pixel(), |scratch, tile, [out]| {
            let window = tile.window_of_doubled(&self.up, below, &mut scratch.windows[0]);
            self.up.run(&[window], &Epilogue::activation(Activation::Relu), out, &mut scratch.form);
        });
    }

    /// The attention, the weighted skip and the block up to its last convolution. `finish` is called for each rectangle
    /// of `out` (`channels` values a pixel) with a [`Residual`] that runs that convolution; `last` is the multiply-adds
    /// a pixel that `finish` does besides.
    pub(super) fn run(
        &self,
        run: &Run<'_>,
        size: ScaleSize,
        stores: DecoderStores<'_>,
        (out, channels, last): (&mut [f32], usize, usize),
        finish: impl Fn(&mut Scratch, &Tile, RectMut<'_, f32>, Residual<'_>) + Sync,
    ) {
        let Self { to, of_guide, of_features, to_map, conv1, conv2, shortcut, .. } = self;
        let to = *to;
        let DecoderStores { skip, guide, map, up: from_below, inner } = stores;
        let relu = Epilogue::activation(Activation::Relu);
        let none = Epilogue::activation(Activation::None);

        let from_below = size.rect(from_below, to);
        let guide = size.rect(guide, COLOURS);
        let work = [of_guide, of_features, to_map].map(Convolution::work_per_pixel).iter().sum();
        run.pass(size, [(&mut *skip, to), (map, 1)], work, |scratch, tile, [mut skip, mut map]| {
            let Scratch { windows: [window, guided, result], form, narrow, .. } = scratch;
            let (rows, columns) = (tile.rows, tile.columns);
            let window = tile.window(of_guide, guide, window);
            of_guide.run(&[window], &none, guided.shaped(rows, columns, padded(of_guide.outputs())), form);
            let epilogue = Epilogue { scale: None, residual: Some(guided.rect()), activation: Activation::Relu };
            let target = narrow.shaped(rows, columns, padded(of_features.outputs()));
            of_features.run(&[skip.as_rect(), tile.of(from_below)], &epilogue, target, form);
            to_map.run(&[narrow.rect()], &none, result.shaped(rows, columns, padded(1)), form);
            for row in 0..rows {
                let results = result.rect().row(row).chunks_exact(padded(1));
                let pixels = skip.row_mut(row).chunks_exact_mut(to).zip(map.row_mut(row));
                for (result, (pixel, map)) in results.zip(pixels) {
                    *map = 1.0 / (1.0 + (-result[0]).exp());
                    pixel.iter_mut().for_each(|value| *value *= *map);
                }
            }
        });

        let skip = size.rect(skip, to);
        run.pass(size, [(&mut *inner, to)], conv1.work_per_pixel(), |scratch, tile, [out]| {
            let [of_skip, of_below, _] = &mut scratch.windows;
            let sources = [tile.window(conv1, skip, of_skip), tile.window(conv1, from_below, of_below)];
            conv1.run(&sources, &relu, out, &mut scratch.form);
        });

        let inner = size.rect(inner, to);
        let work = conv2.work_per_pixel() + shortcut.work_per_pixel() + last;
        run.pass(size, [(out, channels)], work, |scratch, tile, [out]| {
            let target = scratch.wide.shaped(tile.rows, tile.columns, to);
            shortcut.run(&[tile.of(skip), tile.of(from_below)], &none, target, &mut scratch.form);
            finish(scratch, tile, out, Residual { conv2, inner });
        });
    }
}

/// The block's last convolution, to which `scratch.wide` is added.
pub(super) struct Residual<'a> {
    conv2: &'a Convolution<f32>,
    inner: Rect<'a, f32>,
}

impl Residual<'_> {
    /// relu(conv2(inner) + shortcut).
    pub(super) fn run(&self, scratch: &mut Scratch, tile: &Tile, out: RectMut<'_, f32>) {
        let Scratch { windows: [window, ..], wide, form, .. } = scratch;
        let window = tile.window(self.conv2, self.inner, window);
        let epilogue = Epilogue { scale: None, residual: Some(wide.rect()), activation: Activation::Relu };
        self.conv2.run(&[window], &epilogue, out, form);
    }
}
