//! The spatial attentive module.

use derain_ops::Activation;
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::irnn::{DirectionMaps, RectScans};
use derain_ops::rect::{Rect, RectMut, padded};

use super::super::layers::{DirectionBranch, SpatialAttention};
use super::edges::Edges;
use super::scans::BandScans;
use super::{COLUMNS, Scratch, convolve, load_window, planned, sigmoid, tiles};
use crate::Result;
use crate::engine::{Band, Frame, Input, Store};

/// What attention modules keep beside the two large stores, from one module to the next.
#[derive(Default)]
pub(super) struct Workspace {
    /// The latest attention map, `[H, W]`.
    pub(super) map: Store,
    /// The directions' weights, `[H, W, 4]`.
    directions: Store,
    edges: Edges,
}

/// Scan directions, and sources of the convolutions behind the scans.
const DIRECTIONS: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct PlannedAttention {
    branch: Option<PlannedBranch>,
    conv_in: Convolution<f32>,
    scans1: RectScans,
    conv2: Convolution<f32>,
    scans2: RectScans,
    conv3: Convolution<f32>,
    conv_out: Convolution<f32>,
}

impl PlannedAttention {
    pub(super) fn new(module: &SpatialAttention) -> Result<Self> {
        let channels = module.conv_in.inputs();
        Ok(Self {
            branch: module.used_branch().map(PlannedBranch::new).transpose()?,
            conv_in: planned(&module.conv_in, &[channels])?,
            scans1: module.irnn1.planned()?,
            conv2: planned(&module.conv2, &[channels; DIRECTIONS])?,
            scans2: module.irnn2.planned()?,
            conv3: planned(&module.conv3, &[channels; DIRECTIONS])?,
            conv_out: planned(&module.conv_out, &[channels])?,
        })
    }

    pub(super) fn has_branch(&self) -> bool {
        self.branch.is_some()
    }

    pub(super) fn convolutions(&self) -> impl Iterator<Item = &Convolution<f32>> {
        let own = [&self.conv_in, &self.conv2, &self.conv3, &self.conv_out].into_iter();
        own.chain(self.branch.iter().flat_map(PlannedBranch::convolutions))
    }

    pub(super) fn work_per_pixel(&self) -> usize {
        self.convolutions().map(Convolution::work_per_pixel).sum()
    }

    /// The attention map of `features`, into the workspace; `spare` is as large as `features` and is written over.
    pub(super) fn run(
        &self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        features: &Store,
        spare: &mut Store,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let Workspace { map, directions, edges } = workspace;
        let maps = match &self.branch {
            None => None,
            Some(branch) => {
                branch.run(frame, channels, features, spare, directions)?;
                let (height, width) = (frame.height, frame.width);
                Some(Rect::new(directions.values(), height, width, DIRECTIONS, width * DIRECTIONS))
            }
        };
        let input = Input { store: features, channels, reach: self.conv_in.reach() };
        convolve(frame, &self.conv_in, Activation::None, input, (&mut *spare, channels))?;
        self.first_round(frame, channels, spare, edges, maps)?;
        self.second_round(frame, channels, spare, edges, maps, map)
    }

    /// conv2 of the first scans, over the features that are scanned.
    fn first_round(
        &self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        store: &mut Store,
        edges: &mut Edges,
        maps: Option<DirectionMaps<'_>>,
    ) -> Result<()> {
        edges.fill(frame, channels, store, &self.scans1)?;
        frame.update((store, channels), self.conv2.work_per_pixel(), |scratch, index, mut features| {
            let Scratch { scans, form, .. } = scratch;
            let (rows, size, edges) = (frame.rows_of(index), (frame.height, frame.width), edges.of(index));
            let band = BandScans { scans: &self.scans1, rows, size, channels, edges, maps };
            scans.begin(&band, features.as_rect());
            for tile in band.tiles() {
                let h = scans.tile(&band, features.as_rect(), &self.conv2, tile);
                let out = features.part(0, tile.0, band.rows.len(), tile.1);
                self.conv2.run(&h, &Epilogue::activation(Activation::None), out, form);
            }
            Ok(())
        })
    }

    /// The attention map by the second scans, conv3 and conv_out.
    fn second_round(
        &self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        store: &Store,
        edges: &mut Edges,
        maps: Option<DirectionMaps<'_>>,
        map: &mut Store,
    ) -> Result<()> {
        edges.fill(frame, channels, store, &self.scans2)?;
        map.resize(frame.pixels());
        let input = Input { store, channels, reach: 0 };
        let work = self.conv3.work_per_pixel() + self.conv_out.work_per_pixel();
        frame.pass(input, (map, 1), work, |scratch, Band { index, rows, input, input_row, mut output }| {
            let Scratch { scans, form, middle, narrow, .. } = scratch;
            let features = input.part(rows.start - input_row, 0, rows.len(), frame.width);
            let (size, edges) = ((frame.height, frame.width), edges.of(index));
            let band = BandScans { scans: &self.scans2, rows, size, channels, edges, maps };
            scans.begin(&band, features);
            for tile in band.tiles() {
                let (rows, columns) = (band.rows.len(), tile.1);
                let h = scans.tile(&band, features, &self.conv3, tile);
                let r = middle.shaped(rows, columns, channels);
                self.conv3.run(&h, &Epilogue::activation(Activation::Relu), r, form);
                let logits = narrow.shaped(rows, columns, padded(self.conv_out.outputs()));
                self.conv_out.run(&[middle.rect()], &Epilogue::activation(Activation::None), logits, form);
                write_sigmoids(narrow.rect(), output.part(0, tile.0, rows, columns));
            }
            Ok(())
        })
    }
}

/// The branch that weights the scans' directions.
#[derive(Clone, Debug)]
struct PlannedBranch {
    conv1: Convolution<f32>,
    conv2: Convolution<f32>,
    conv3: Convolution<f32>,
}

impl PlannedBranch {
    fn new(branch: &DirectionBranch) -> Result<Self> {
        let [conv1, conv2, conv3] =
            [&branch.conv1, &branch.conv2, &branch.conv3].map(|conv| planned(conv, &[conv.inputs()]));
        Ok(Self { conv1: conv1?, conv2: conv2?, conv3: conv3? })
    }

    fn convolutions(&self) -> [&Convolution<f32>; 3] {
        [&self.conv1, &self.conv2, &self.conv3]
    }

    /// One weight for each direction, into `maps` `[H, W, 4]`; `spare` is written over.
    fn run(
        &self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        features: &Store,
        spare: &mut Store,
        maps: &mut Store,
    ) -> Result<()> {
        let narrow_channels = padded(self.conv1.outputs());
        let input = Input { store: features, channels, reach: self.conv1.reach() };
        convolve(frame, &self.conv1, Activation::Relu, input, (&mut *spare, narrow_channels))?;

        maps.resize(DIRECTIONS * frame.pixels());
        let input = Input { store: spare, channels: narrow_channels, reach: self.conv2.reach() };
        let work = self.conv2.work_per_pixel() + self.conv3.work_per_pixel();
        frame.pass(input, (maps, DIRECTIONS), work, |scratch, mut band| {
            let rows = band.rows.len();
            for (column, columns) in tiles(frame.width, COLUMNS) {
                let relu = Epilogue::activation(Activation::Relu);
                load_window(&self.conv2, &band, (column, columns), &mut scratch.window);
                let inner = scratch.middle.shaped(rows, columns, narrow_channels);
                self.conv2.run(&[scratch.window.rect()], &relu, inner, &mut scratch.form);
                let logits = scratch.narrow.shaped(rows, columns, padded(self.conv3.outputs()));
                let none = Epilogue::activation(Activation::None);
                self.conv3.run(&[scratch.middle.rect()], &none, logits, &mut scratch.form);
                write_sigmoids(scratch.narrow.rect(), band.output.part(0, column, rows, columns));
            }
            Ok(())
        })
    }
}

/// The sigmoids of as many channels of `logits` as `output` has.
fn write_sigmoids(logits: Rect<'_, f32>, mut output: RectMut<'_, f32>) {
    let (from, to) = (logits.channels(), output.channels());
    for row in 0..output.rows() {
        let pixels = output.row_mut(row).chunks_exact_mut(to);
        for (pixel, logits) in pixels.zip(logits.row(row).chunks_exact(from)) {
            for (value, &logit) in pixel.iter_mut().zip(logits) {
                *value = sigmoid(logit);
            }
        }
    }
}
