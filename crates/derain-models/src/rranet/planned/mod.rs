//! RRANet with planned buffers, for inference.
//!
//! Features lie pixel by pixel; batch norms are folded into their convolutions. For each scale three buffers as large as its pictures last
//! from stage to stage: the hidden state, the cell, and the encoder's features, which the decoder weighs by its attention map. Three more, large
//! enough for any scale, serve whichever scale is in work. A pass runs bands of rows in parallel, rectangle by rectangle; a ConvLSTM's gates exist
//! for one rectangle at a time.

mod decoder;
mod encoder;
mod memory;
mod pass;
#[cfg(test)]
pub(super) mod tests;
mod weights;
mod workspace;

use candle_core::{Device, Tensor};
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::rect::padded;
use derain_ops::{Activation, rlcn};
use rayon::prelude::*;

use super::padding::{padded_extent, reflected};
use super::{COLOURS, DECODERS, RlcnPooling, Rranet, RranetConfig, SCALES};
use crate::Result;
use crate::engine::Progress;
use crate::model::{Map, ModelOutput};
use decoder::{DecoderStores, PlannedDecoder};
use encoder::{PlannedEncoder, pool};
use pass::{Level, Run};
use weights::Kernel;
use workspace::{Idle, Lengths, Scale, Shared, Workspace};

/// The network's weights in the order in which the kernels use them.
#[derive(Debug)]
pub(crate) struct Planned {
    config: RranetConfig,
    conv_in: Convolution<f32>,
    encoder: Vec<PlannedEncoder>,
    decoder: Vec<PlannedDecoder>,
    conv_out: Convolution<f32>,
    idle: Idle,
}

/// Rows whose sums are added up before they are added to others: a constant, so that sums round the same for any number of threads.
const SUM_ROWS: usize = 8;

impl Planned {
    pub(crate) fn new(network: &Rranet) -> Result<Self> {
        let conv_in = Kernel::of(&network.conv_in)?.over(&[COLOURS; 3])?;
        Ok(Self {
            config: network.config.clone(),
            conv_in,
            encoder: network.encoder.iter().map(PlannedEncoder::new).collect::<Result<_>>()?,
            decoder: network.decoder.iter().map(PlannedDecoder::new).collect::<Result<_>>()?,
            conv_out: Kernel::of(&network.conv_out)?.over(&[network.config.widths[0]])?,
            idle: Idle::default(),
        })
    }

    /// Runs the network on `pixels` `[height, width, 3]` in 0..1.
    pub(crate) fn run(
        &self,
        (height, width): (usize, usize),
        pixels: &[f32],
        progress: Progress<'_>,
    ) -> Result<ModelOutput> {
        let levels = levels(height, width);
        let run = Run::new(progress, self.work(&levels));
        let mut picture = pad((height, width), pixels, levels[0]);
        let guides = self.guides(&run, &levels, &picture)?;
        picture
            .par_chunks_mut(1 << 12)
            .for_each(|values| values.iter_mut().for_each(|value| *value = 2.0 * *value - 1.0));
        let mut background = picture.clone();
        let mut maps: Vec<Vec<f32>> = (0..DECODERS).map(|k| vec![0.0; levels[DECODERS - 1 - k].pixels()]).collect();

        let mut workspace = self.idle.take(self.lengths(&levels));
        let Workspace { scales, shared, .. } = &mut workspace;
        for stage in 0..self.config.stages {
            self.encode(&run, levels, stage == 0, [&picture, &guides[0], &background], scales, shared);
            for (k, (decoder, map)) in self.decoder.iter().zip(&mut maps).enumerate() {
                let index = DECODERS - 1 - k;
                let (above, below) = scales.split_at_mut(index + 1);
                let Shared { input, first, second } = &mut *shared;
                // The deepest reads the encoder's features, the others what the one before has left.
                let below: &[f32] = if k == 0 { &below[0].features } else { input };
                let level = levels[index];
                decoder.up(&run, level, below, first);
                let stores = DecoderStores {
                    skip: &mut above[index].features,
                    guide: &guides[index],
                    map,
                    up: first,
                    inner: second,
                };
                if index > 0 {
                    decoder.run(&run, level, stores, (input, decoder.channels(), 0), |scratch, tile, out, block| {
                        block.run(scratch, tile, out);
                    });
                } else {
                    self.decode_last(&run, level, decoder, stores, &picture, &mut background);
                }
            }
        }
        self.idle.keep(workspace);
        let mut clean = crop(&background, levels[0].width, COLOURS, (height, width));
        clean.iter_mut().for_each(|value| *value = 0.5 * *value + 0.5);
        let maps = maps.into_iter().enumerate().map(|(k, map)| {
            let index = DECODERS - 1 - k;
            let size = (height.div_ceil(1 << index), width.div_ceil(1 << index));
            Map { width: size.1, values: crop(&map, levels[index].width, 1, size) }
        });
        Ok(ModelOutput { clean, maps: maps.collect() })
    }

    /// What the buffers of pictures of these sizes must hold.
    fn lengths(&self, levels: &[Level; SCALES]) -> Lengths {
        let scales = std::array::from_fn(|k| levels[k].pixels() * self.encoder[k].channels());
        let input = std::array::from_fn::<_, SCALES, _>(|k| levels[k].pixels() * self.encoder[k].inputs());
        let longest = |lengths: [usize; SCALES]| lengths.into_iter().max().unwrap_or(0);
        // A decoder's features are as wide as its encoder's.
        Lengths { scales, input: longest(input).max(longest(scales)), inner: longest(scales) }
    }

    /// A stage of the encoder: from what the stem reads to the features and the next state of every scale.
    fn encode(
        &self,
        run: &Run<'_>,
        levels: [Level; SCALES],
        first_stage: bool,
        sources: [&[f32]; 3],
        scales: &mut [Scale],
        shared: &mut Shared,
    ) {
        self.stem(run, levels[0], sources, &mut shared.input);
        for (k, (encoder, level)) in self.encoder.iter().zip(levels).enumerate() {
            if let Some(above) = k.checked_sub(1) {
                let channels = self.encoder[above].channels();
                pool(run, levels[above], &scales[above].features, channels, &mut shared.input);
            }
            encoder.run(run, level, first_stage, &mut scales[k], shared);
        }
    }

    /// The decoder's last scale, the picture's own, and behind it `conv_out`: the stage's new background.
    fn decode_last(
        &self,
        run: &Run<'_>,
        level: Level,
        decoder: &PlannedDecoder,
        stores: DecoderStores<'_>,
        picture: &[f32],
        background: &mut [f32],
    ) {
        let channels = decoder.channels();
        let picture = level.rect(picture, COLOURS);
        let last = self.conv_out.work_per_pixel();
        decoder.run(run, level, stores, (background, COLOURS, last), |scratch, tile, mut out, block| {
            let mut features = std::mem::take(&mut scratch.features);
            block.run(scratch, tile, features.shaped(tile.rows, tile.columns, channels));
            let outputs = padded(COLOURS);
            let target = scratch.narrow.shaped(tile.rows, tile.columns, outputs);
            let none = Epilogue::activation(Activation::None);
            self.conv_out.run(&[features.rect()], &none, target, &mut scratch.form);
            scratch.features = features;
            for row in 0..tile.rows {
                let rain = scratch.narrow.rect().row(row).chunks_exact(outputs);
                let picture = tile.of(picture).row(row).chunks_exact(COLOURS);
                for (pixel, (picture, rain)) in out.row_mut(row).chunks_exact_mut(COLOURS).zip(picture.zip(rain)) {
                    for (value, (picture, rain)) in pixel.iter_mut().zip(picture.iter().zip(rain)) {
                        *value = picture + rain;
                    }
                }
            }
        });
    }

    /// relu(instance_norm(conv_in(I, L, B))).
    fn stem(&self, run: &Run<'_>, level: Level, sources: [&[f32]; 3], out: &mut [f32]) {
        let channels = padded(self.conv_in.outputs());
        let sources = sources.map(|values| level.rect(values, COLOURS));
        let work = self.conv_in.work_per_pixel();
        run.pass(level, [(&mut *out, channels)], work, |scratch, tile, [out]| {
            let ([picture, guide, background], [a, b, c]) = (sources, &mut scratch.windows);
            let windows = [(picture, a), (guide, b), (background, c)];
            let windows = windows.map(|(source, patch)| tile.window(&self.conv_in, source, patch));
            self.conv_in.run(&windows, &Epilogue::activation(Activation::None), out, &mut scratch.form);
        });
        let values = &mut out[..level.pixels() * channels];
        let (scales, offsets) = normalization(values, channels, SUM_ROWS * level.width, self.config.norm_epsilon);
        values.par_chunks_mut(SUM_ROWS * level.width * channels).for_each(|values| {
            for pixel in values.chunks_exact_mut(channels) {
                for (value, (scale, offset)) in pixel.iter_mut().zip(scales.iter().zip(&offsets)) {
                    // A comparison, not `max`, which would turn NaN into 0.
                    let normalized = *value * scale + offset;
                    *value = if normalized < 0.0 { 0.0 } else { normalized };
                }
            }
        });
    }

    /// The RLCN picture at the decoder's sizes, full resolution first.
    fn guides(&self, run: &Run<'_>, levels: &[Level; SCALES], pixels: &[f32]) -> Result<Vec<Vec<f32>>> {
        let Level { height, width } = levels[0];
        let shape = (height, width, COLOURS);
        let planes = Tensor::from_slice(pixels, shape, &Device::Cpu)?.permute((2, 0, 1))?.unsqueeze(0)?;
        let guide = rlcn(&planes, &self.config.rlcn_options())?;
        let mut guides = vec![guide.squeeze(0)?.permute((1, 2, 0))?.flatten_all()?.to_vec1()?];
        for k in 1..DECODERS {
            let mut guide = vec![0.0; levels[k].pixels() * COLOURS];
            match self.config.rlcn_pooling {
                RlcnPooling::Max => pool(run, levels[k - 1], &guides[k - 1], COLOURS, &mut guide),
                RlcnPooling::Average => average(levels[k - 1], &guides[k - 1], &mut guide),
            }
            guides.push(guide);
        }
        Ok(guides)
    }

    /// Every convolution, and how often a picture of these sizes runs it: stages times pixels.
    fn work(&self, levels: &[Level; SCALES]) -> u64 {
        let of = |convolution: &Convolution<f32>, level: Level| (convolution.work_per_pixel() * level.pixels()) as u64;
        let encoder = self.encoder.iter().zip(levels);
        let encoder = encoder.flat_map(|(encoder, &level)| encoder.convolutions().map(move |of| (of, level)));
        let decoder = self.decoder.iter().zip(levels[..DECODERS].iter().rev());
        let decoder = decoder.flat_map(|(decoder, &level)| decoder.convolutions().map(move |of| (of, level)));
        let ends = [(&self.conv_in, levels[0]), (&self.conv_out, levels[0])];
        let all = ends.into_iter().chain(encoder).chain(decoder);
        self.config.stages as u64 * all.map(|(convolution, level)| of(convolution, level)).sum::<u64>()
    }

    fn convolutions(&self) -> impl Iterator<Item = &Convolution<f32>> {
        let encoder = self.encoder.iter().flat_map(PlannedEncoder::convolutions);
        let decoder = self.decoder.iter().flat_map(PlannedDecoder::convolutions);
        [&self.conv_in, &self.conv_out].into_iter().chain(encoder).chain(decoder)
    }
}

/// The sizes of the scales of a picture, padded.
fn levels(height: usize, width: usize) -> [Level; SCALES] {
    let (height, width) = (padded_extent(height), padded_extent(width));
    std::array::from_fn(|k| Level { height: height >> k, width: width >> k })
}

/// Factor and addend of each channel that make its mean 0 and its deviation 1; `piece` pixels are summed at a time, pieces added in order.
fn normalization(values: &[f32], channels: usize, piece: usize, epsilon: f64) -> (Vec<f32>, Vec<f32>) {
    let sums = values.par_chunks(piece * channels).map(|values| {
        let (mut sums, mut squares) = (vec![0f64; channels], vec![0f64; channels]);
        for pixel in values.chunks_exact(channels) {
            for (value, (sum, square)) in pixel.iter().zip(sums.iter_mut().zip(&mut squares)) {
                let value = f64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        (sums, squares)
    });
    let pieces: Vec<(Vec<f64>, Vec<f64>)> = sums.collect();
    let count = (values.len() / channels) as f64;
    let normal = |channel: usize| {
        let mean = pieces.iter().map(|(sums, _)| sums[channel]).sum::<f64>() / count;
        let square = pieces.iter().map(|(_, squares)| squares[channel]).sum::<f64>() / count;
        // In f64 the difference of squares of f32 values loses nothing that matters beside epsilon.
        let variance = square - mean * mean;
        let scale = 1.0 / (if variance < 0.0 { 0.0 } else { variance } + epsilon).sqrt();
        (scale as f32, (-mean * scale) as f32)
    };
    (0..channels).map(normal).unzip()
}

/// Pixels of a picture, with its mirror image where the level is larger.
fn pad((height, width): (usize, usize), pixels: &[f32], level: Level) -> Vec<f32> {
    let mut padded = Vec::with_capacity(level.pixels() * COLOURS);
    for row in 0..level.height {
        let source = &pixels[reflected(row, height) * width * COLOURS..][..width * COLOURS];
        padded.extend_from_slice(source);
        for column in width..level.width {
            padded.extend_from_slice(&source[reflected(column, width) * COLOURS..][..COLOURS]);
        }
    }
    padded
}

/// The first `height` rows and `width` columns of a picture whose rows have `columns` pixels of `channels` values.
fn crop(values: &[f32], columns: usize, channels: usize, (height, width): (usize, usize)) -> Vec<f32> {
    values.chunks_exact(columns * channels).take(height).flat_map(|row| &row[..width * channels]).copied().collect()
}

/// The mean of every 2x2 pixels of a colour picture.
fn average(level: Level, source: &[f32], target: &mut [f32]) {
    let source = level.rect(source, COLOURS);
    let Level { width, .. } = level.below();
    for (row, target) in target.chunks_exact_mut(width * COLOURS).enumerate() {
        let rows = [source.row(2 * row), source.row(2 * row + 1)];
        for (at, value) in target.iter_mut().enumerate() {
            let (column, colour) = (at / COLOURS, at % COLOURS);
            let pair = |row: &[f32]| row[2 * column * COLOURS + colour] + row[(2 * column + 1) * COLOURS + colour];
            *value = (pair(rows[0]) + pair(rows[1])) / 4.0;
        }
    }
}
