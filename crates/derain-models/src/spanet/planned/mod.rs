//! SPANet with planned buffers, for inference.
//!
//! Two stores as large as the picture hold all features: the current ones, and a second one that every block writes to
//! before the two change places and in which an attention module works. A block's three convolutions run rectangle by
//! rectangle, so what lies between them stays in the cache; the four scans of a module exist for one rectangle at a
//! time and go straight into the next convolution. Beside the two stores there are only maps of one value a pixel and a
//! few rows at the bands' edges.

mod attention;
mod block;
mod edges;
mod memory;
mod scans;
#[cfg(test)]
pub(super) mod tests;

use derain_ops::buffer::Aligned;
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::rect::{Patch, RectMut, padded};
use derain_ops::reuse::Reusable;
use derain_ops::{Activation, Isa};

use super::{Layer, SpaNet};
use crate::Result;
use crate::conv::Conv;
use crate::engine::{self, Band, Frame, Input, Progress, Storage, Store, Work};
use attention::{PlannedAttention, Workspace};
use block::PlannedBlock;

/// Columns of a rectangle of a convolution. With [`BAND_ROWS`] and 32 channels some 400 kB, a part of a second-level
/// cache.
const COLUMNS: usize = 96;
/// Most and fewest rows of a band. Multiples of every convolution's grid, or bits would depend on the choice.
const BAND_ROWS: usize = 32;
const FEWEST_BAND_ROWS: usize = 8;
/// Values of a colour pixel.
const COLOURS: usize = 3;

/// The network's weights in the order in which the kernels use them.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    layers: Vec<Layer>,
    /// Feature channels, padded.
    channels: usize,
    conv_in: Convolution<f32>,
    blocks: Vec<PlannedBlock>,
    attention: Vec<PlannedAttention>,
    conv_out: Convolution<f32>,
}

/// What a run gives: pixels `[H, W, 3]`, not clamped, and the first attention map `[H, W]` if there is one.
pub(crate) struct PlannedOutput {
    pub(crate) clean: Vec<f32>,
    pub(crate) attention: Option<Vec<f32>>,
}

/// A thread's rectangles.
#[derive(Default)]
struct Scratch {
    window: Patch<f32>,
    middle: Patch<f32>,
    narrow: Patch<f32>,
    scans: scans::Scratch,
    form: Aligned<f32>,
}

impl Reusable for Scratch {
    fn bytes(&self) -> usize {
        let Self { window, middle, narrow, scans, form } = self;
        window.bytes() + middle.bytes() + narrow.bytes() + scans.bytes() + form.bytes()
    }
}

impl Planned {
    pub(crate) fn new(network: &SpaNet) -> Result<Self> {
        Ok(Self {
            layers: network.layers(),
            channels: padded(network.config.channels),
            conv_in: planned(&network.conv_in, &[COLOURS])?,
            blocks: network.blocks.iter().map(PlannedBlock::new).collect::<Result<_>>()?,
            attention: network.attention.iter().map(PlannedAttention::new).collect::<Result<_>>()?,
            conv_out: planned(&network.conv_out, &[network.config.channels])?,
        })
    }

    /// Runs the network on `pixels` `[height, width, 3]`, in the network's colour order. The two large stores lie in
    /// `storage`.
    pub(crate) fn run(
        &self,
        (height, width): (usize, usize),
        pixels: Vec<f32>,
        storage: Storage<'_>,
        progress: Progress<'_>,
    ) -> Result<PlannedOutput> {
        let work = Work::new(progress, (height * width) as u64 * self.work_per_pixel());
        let frame: Frame<'_, Scratch> = Frame::new(height, width, band_rows(height), work);
        let channels = self.channels;
        let mut picture = Store::Memory(pixels.into());
        let [mut features, mut spare] = Store::pair(storage, frame.pixels() * channels)?;
        let mut workspace = Workspace::default();
        let mut first_map = None;
        for layer in &self.layers {
            match *layer {
                Layer::ConvIn => {
                    let input = Input { store: &picture, channels: COLOURS, reach: 1 };
                    convolve(&frame, &self.conv_in, Activation::Relu, input, (&mut features, channels))?;
                }
                Layer::Attend(module) => {
                    self.attention[module].run(&frame, channels, &features, &mut spare, &mut workspace)?;
                    first_map.get_or_insert_with(|| workspace.map.values().to_vec());
                }
                Layer::Block { index, attentive } => {
                    let map = attentive.then(|| workspace.map.values());
                    self.blocks[index].run(&frame, channels, &features, &mut spare, map)?;
                    std::mem::swap(&mut features, &mut spare);
                }
                Layer::ConvOut => {
                    let input = Input { store: &features, channels, reach: 1 };
                    convolve(&frame, &self.conv_out, Activation::None, input, (&mut picture, COLOURS))?;
                }
            }
        }
        features.recycle();
        spare.recycle();
        Ok(PlannedOutput { clean: picture.into_memory(), attention: first_map })
    }

    /// Every convolution, once.
    fn convolutions(&self) -> impl Iterator<Item = &Convolution<f32>> {
        let ends = [&self.conv_in, &self.conv_out].into_iter();
        let blocks = self.blocks.iter().flat_map(PlannedBlock::convolutions);
        ends.chain(blocks).chain(self.attention.iter().flat_map(PlannedAttention::convolutions))
    }

    /// Multiply-adds of all layers for one pixel.
    fn work_per_pixel(&self) -> u64 {
        let work = |layer: &Layer| match *layer {
            Layer::ConvIn => self.conv_in.work_per_pixel(),
            Layer::Attend(module) => self.attention[module].work_per_pixel(),
            Layer::Block { index, .. } => self.blocks[index].work_per_pixel(),
            Layer::ConvOut => self.conv_out.work_per_pixel(),
        };
        self.layers.iter().map(|layer| work(layer) as u64).sum()
    }
}

fn band_rows(height: usize) -> usize {
    engine::band_rows(height, FEWEST_BAND_ROWS..=BAND_ROWS)
}

/// A layer's convolution, made ready for the kernels.
fn planned(conv: &Conv, sources: &[usize]) -> Result<Convolution<f32>> {
    conv.with_weights(|weights, dilation| Ok(Convolution::new(Isa::current(), weights, sources, dilation)?))
}

/// One convolution of a whole picture.
fn convolve(
    frame: &Frame<'_, Scratch>,
    convolution: &Convolution<f32>,
    activation: Activation,
    input: Input<'_>,
    (output, channels): (&mut Store, usize),
) -> Result<()> {
    frame.pass(input, (output, channels), convolution.work_per_pixel(), |scratch, mut band| {
        for (column, columns) in tiles(frame.width, COLUMNS) {
            let epilogue = Epilogue::activation(activation);
            convolve_tile(scratch, convolution, &mut band, (column, columns), &epilogue);
        }
        Ok(())
    })
}

/// One convolution of a band's columns, written to the output; channels that this has no room for are padding and left
/// out.
fn convolve_tile(
    scratch: &mut Scratch,
    convolution: &Convolution<f32>,
    band: &mut Band<'_>,
    (column, columns): (usize, usize),
    epilogue: &Epilogue<'_, f32>,
) {
    let Scratch { window, narrow, form, .. } = scratch;
    let rows = band.rows.len();
    load_window(convolution, band, (column, columns), window);
    let mut output = band.output.part(0, column, rows, columns);
    let outputs = padded(convolution.outputs());
    if output.channels() == outputs {
        convolution.run(&[window.rect()], epilogue, output, form);
        return;
    }
    convolution.run(&[window.rect()], epilogue, narrow.shaped(rows, columns, outputs), form);
    let kept = output.channels();
    for row in 0..rows {
        let pixels = output.row_mut(row).chunks_exact_mut(kept);
        for (pixel, result) in pixels.zip(narrow.rect().row(row).chunks_exact(outputs)) {
            pixel.copy_from_slice(&result[..kept]);
        }
    }
}

/// What a convolution of a band's columns needs of the input.
fn load_window(
    convolution: &Convolution<f32>,
    band: &Band<'_>,
    (column, columns): (usize, usize),
    window: &mut Patch<f32>,
) {
    let (rows, reach) = (band.rows.len(), convolution.reach() as isize);
    let (height, width) = (convolution.source_extent(rows), convolution.source_extent(columns));
    let mut target: RectMut<'_, f32> = window.shaped(height, width, band.input.channels());
    band.window(band.rows.start as isize - reach, column as isize - reach, &mut target);
}

/// First column and number of columns of each rectangle of a row.
fn tiles(width: usize, columns: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
    (0..width.div_ceil(columns)).map(move |tile| (tile * columns, columns.min(width - tile * columns)))
}

/// 1 / (1 + exp(-x)).
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
