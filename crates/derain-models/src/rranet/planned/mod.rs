//! RRANet with planned buffers, for inference.
//!
//! Features lie pixel by pixel; batch norms are folded into their convolutions. For each scale three buffers as large
//! as its pictures last from stage to stage: the hidden state, the cell, and the encoder's features, which the decoder
//! weighs by its attention map. Three more, large enough for any scale, serve whichever scale is in work. A pass runs
//! tiles in parallel; a ConvLSTM's gates exist for one tile at a time.

mod decoder;
mod encoder;
mod memory;
mod pass;
mod pictures;
#[cfg(test)]
pub(super) mod tests;
mod weights;
mod workspace;

use candle_core::{Device, Tensor};
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::rect::padded;
use derain_ops::{Activation, rlcn};
use rayon::prelude::*;

use super::padding::padded_extent;
use super::{COLOURS, DECODERS, RlcnPooling, RraNet, RraNetConfig, SCALES};
use crate::Result;
use crate::engine::{Progress, Work};
use crate::output::{Map, ModelOutput};
use decoder::{DecoderStores, PlannedDecoder};
use encoder::{PlannedEncoder, pool};
use pass::{Run, ScaleSize};
use pictures::{average, crop, normalization, pad};
use weights::Kernel;
use workspace::{Idle, Lengths, ScaleBuffers, Shared, Workspace};

/// The network's weights in the order in which the kernels use them.
#[derive(Debug)]
pub(crate) struct Planned {
    config: RraNetConfig,
    conv_in: Convolution<f32>,
    encoder: Vec<PlannedEncoder>,
    decoder: Vec<PlannedDecoder>,
    conv_out: Convolution<f32>,
    idle: Idle,
}

/// Rows whose sums are added up before they are added to others: a constant, so that sums round the same for any number
/// of threads.
const SUM_ROWS: usize = 8;

impl Planned {
    pub(crate) fn new(network: &RraNet) -> Result<Self> {
        let conv_in = Kernel::of(&network.conv_in)?.over(&[COLOURS; 3])?;
        Ok(Self {
            config: network.config.clone(),
            conv_in,
            encoder: network.encoder.iter().map(PlannedEncoder::new).collect::<Result<_>>()?,
            decoder: (network.decoder.iter().zip((0..DECODERS).rev()))
                .map(|(decoder, scale)| PlannedDecoder::new(decoder, scale))
                .collect::<Result<_>>()?,
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
        let sizes = scale_sizes(height, width);
        let run = Run { work: Work::new(progress, self.work(&sizes)) };
        let mut picture = pad((height, width), pixels, sizes[0]);
        let guides = self.guides(&run, &sizes, &picture)?;
        picture
            .par_chunks_mut(1 << 12)
            .for_each(|values| values.iter_mut().for_each(|value| *value = 2.0 * *value - 1.0));
        let mut background = picture.clone();
        let mut maps: Vec<_> = self.decoder.iter().map(|decoder| vec![0.0; sizes[decoder.scale()].pixels()]).collect();

        let mut workspace = self.idle.take(self.lengths(&sizes));
        let Workspace { scales, shared, .. } = &mut workspace;
        for stage in 0..self.config.stages {
            run.work.check()?;
            self.encode(&run, sizes, stage == 0, [&picture, &guides[0], &background], scales, shared);
            for (decoder, map) in self.decoder.iter().zip(&mut maps) {
                let scale = decoder.scale();
                let (above, below) = scales.split_at_mut(scale + 1);
                let Shared { input, first, second } = &mut *shared;
                // The deepest reads the encoder's features, the others what the one before has left.
                let below: &[f32] = if scale + 1 == DECODERS { &below[0].features } else { input };
                let size = sizes[scale];
                decoder.up(&run, size, below, first);
                let stores = DecoderStores {
                    skip: &mut above[scale].features,
                    guide: &guides[scale],
                    map,
                    up: first,
                    inner: second,
                };
                if scale > 0 {
                    decoder.run(&run, size, stores, (input, decoder.channels(), 0), |scratch, tile, out, block| {
                        block.run(scratch, tile, out);
                    });
                } else {
                    self.decode_last(&run, size, decoder, stores, &picture, &mut background);
                }
            }
        }
        self.idle.keep(workspace);
        run.work.check()?;
        let mut clean = crop(&background, sizes[0].width, COLOURS, (height, width));
        clean.par_iter_mut().for_each(|value| *value = 0.5 * *value + 0.5);
        let maps = self.decoder.iter().zip(maps).map(|(decoder, map)| {
            let scale = decoder.scale();
            let shown = (height.div_ceil(1 << scale), width.div_ceil(1 << scale));
            Map { width: shown.1, values: crop(&map, sizes[scale].width, 1, shown) }
        });
        Ok(ModelOutput { clean, maps: maps.collect() })
    }

    /// What the buffers of pictures of these sizes must hold.
    fn lengths(&self, sizes: &[ScaleSize; SCALES]) -> Lengths {
        let scales = std::array::from_fn(|k| sizes[k].pixels() * self.encoder[k].channels());
        let input = std::array::from_fn::<_, SCALES, _>(|k| sizes[k].pixels() * self.encoder[k].inputs());
        let longest = |lengths: [usize; SCALES]| lengths.into_iter().max().unwrap_or(0);
        // A decoder's features are as wide as its encoder's.
        Lengths { scales, input: longest(input).max(longest(scales)), inner: longest(scales) }
    }

    /// A stage of the encoder: from what the stem reads to the features and the next state of every scale.
    fn encode(
        &self,
        run: &Run<'_>,
        sizes: [ScaleSize; SCALES],
        first_stage: bool,
        sources: [&[f32]; 3],
        scales: &mut [ScaleBuffers],
        shared: &mut Shared,
    ) {
        self.stem(run, sizes[0], sources, &mut shared.input);
        for (k, (encoder, size)) in self.encoder.iter().zip(sizes).enumerate() {
            if let Some(above) = k.checked_sub(1) {
                let channels = self.encoder[above].channels();
                pool(run, sizes[above], &scales[above].features, channels, &mut shared.input);
            }
            encoder.run(run, size, first_stage, &mut scales[k], shared);
        }
    }

    /// The decoder's last scale, the picture's own, and behind it `conv_out`: the stage's new background.
    fn decode_last(
        &self,
        run: &Run<'_>,
        size: ScaleSize,
        decoder: &PlannedDecoder,
        stores: DecoderStores<'_>,
        picture: &[f32],
        background: &mut [f32],
    ) {
        let channels = decoder.channels();
        let picture = size.rect(picture, COLOURS);
        let last = self.conv_out.work_per_pixel();
        decoder.run(run, size, stores, (background, COLOURS, last), |scratch, tile, mut out, block| {
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
    fn stem(&self, run: &Run<'_>, size: ScaleSize, sources: [&[f32]; 3], out: &mut [f32]) {
        let channels = padded(self.conv_in.outputs());
        let sources = sources.map(|values| size.rect(values, COLOURS));
        let work = self.conv_in.work_per_pixel();
        run.pass(size, [(&mut *out, channels)], work, |scratch, tile, [out]| {
            let ([picture, guide, background], [a, b, c]) = (sources, &mut scratch.windows);
            let windows = [(picture, a), (guide, b), (background, c)];
            let windows = windows.map(|(source, patch)| tile.window(&self.conv_in, source, patch));
            self.conv_in.run(&windows, &Epilogue::activation(Activation::None), out, &mut scratch.form);
        });
        let values = &mut out[..size.pixels() * channels];
        let (scales, offsets) = normalization(values, channels, SUM_ROWS * size.width, self.config.norm_epsilon);
        values.par_chunks_mut(SUM_ROWS * size.width * channels).for_each(|values| {
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
    fn guides(&self, run: &Run<'_>, sizes: &[ScaleSize; SCALES], pixels: &[f32]) -> Result<Vec<Vec<f32>>> {
        let ScaleSize { height, width } = sizes[0];
        let shape = (height, width, COLOURS);
        let planes = Tensor::from_slice(pixels, shape, &Device::Cpu)?.permute((2, 0, 1))?.unsqueeze(0)?;
        let guide = rlcn(&planes, &self.config.rlcn_options())?;
        let mut guides = vec![guide.squeeze(0)?.permute((1, 2, 0))?.flatten_all()?.to_vec1()?];
        for k in 1..DECODERS {
            let mut guide = vec![0.0; sizes[k].pixels() * COLOURS];
            match self.config.rlcn_pooling {
                RlcnPooling::Max => pool(run, sizes[k - 1], &guides[k - 1], COLOURS, &mut guide),
                RlcnPooling::Average => average(sizes[k - 1], &guides[k - 1], &mut guide),
            }
            guides.push(guide);
        }
        Ok(guides)
    }

    /// Every convolution, and how often a picture of these sizes runs it: stages times pixels.
    fn work(&self, sizes: &[ScaleSize; SCALES]) -> u64 {
        let of =
            |convolution: &Convolution<f32>, size: ScaleSize| (convolution.work_per_pixel() * size.pixels()) as u64;
        let encoder = self.encoder.iter().zip(sizes);
        let encoder = encoder.flat_map(|(encoder, &size)| encoder.convolutions().map(move |of| (of, size)));
        let decoder = self.decoder.iter().map(|decoder| (decoder, sizes[decoder.scale()]));
        let decoder = decoder.flat_map(|(decoder, size)| decoder.convolutions().map(move |of| (of, size)));
        let ends = [(&self.conv_in, sizes[0]), (&self.conv_out, sizes[0])];
        let all = ends.into_iter().chain(encoder).chain(decoder);
        self.config.stages as u64 * all.map(|(convolution, size)| of(convolution, size)).sum::<u64>()
    }

    fn convolutions(&self) -> impl Iterator<Item = &Convolution<f32>> {
        let encoder = self.encoder.iter().flat_map(PlannedEncoder::convolutions);
        let decoder = self.decoder.iter().flat_map(PlannedDecoder::convolutions);
        [&self.conv_in, &self.conv_out].into_iter().chain(encoder).chain(decoder)
    }
}

/// The sizes of the scales of a picture, padded.
fn scale_sizes(height: usize, width: usize) -> [ScaleSize; SCALES] {
    let (height, width) = (padded_extent(height), padded_extent(width));
    std::array::from_fn(|k| ScaleSize { height: height >> k, width: width >> k })
}
