//! A residual block: its three convolutions, the attention map and the sum, rectangle by rectangle.

use derain_ops::Activation;
use derain_ops::conv2d::cpu::{Convolution, Epilogue};
use derain_ops::rect::Rect;

use super::super::layers::Bottleneck;
use super::{COLUMNS, Scratch, planned, tiles};
use crate::Result;
use crate::engine::{Frame, Input, Store};

#[derive(Clone, Debug)]
pub(super) struct PlannedBlock {
    conv1: Convolution<f32>,
    conv2: Convolution<f32>,
    conv3: Convolution<f32>,
}

impl PlannedBlock {
    pub(super) fn new(block: &Bottleneck) -> Result<Self> {
        let channels = [block.channels()];
        Ok(Self {
            conv1: planned(&block.conv1, &channels)?,
            conv2: planned(&block.conv2, &channels)?,
            conv3: planned(&block.conv3, &channels)?,
        })
    }

    pub(super) fn convolutions(&self) -> [&Convolution<f32>; 3] {
        [&self.conv1, &self.conv2, &self.conv3]
    }

    pub(super) fn work_per_pixel(&self) -> usize {
        self.convolutions().map(Convolution::work_per_pixel).iter().sum()
    }

    /// relu(block(x) · map + x), from `features` to `target`; without a map the factor is 1.
    pub(super) fn run(
        &self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        features: &Store,
        target: &mut Store,
        map: Option<&[f32]>,
    ) -> Result<()> {
        let (height, width) = (frame.height, frame.width);
        let map = map.map(|map| Rect::new(map, height, width, 1, width));
        let reach = self.conv2.reach();
        let input = Input { store: features, channels, reach };
        frame.pass(input, (target, channels), self.work_per_pixel(), |scratch, mut band| {
            let Scratch { window, narrow, form, .. } = scratch;
            let rows = band.rows.clone();
            for (column, columns) in tiles(width, COLUMNS) {
                // conv1 on the rectangle and the pixels around it that conv2 reads; outside the picture conv2 reads
                // zeros.
                let (across, down) = (self.conv2.source_extent(columns), self.conv2.source_extent(rows.len()));
                let mut inner = window.shaped(down, across, channels);
                let (top, bottom) = (rows.start.saturating_sub(reach), (rows.end + reach).min(height));
                let (left, right) = (column.saturating_sub(reach), (column + columns + reach).min(width));
                let at = (top + reach - rows.start, left + reach - column);
                if (bottom - top, right - left) != (down, across) {
                    inner.fill(0.0);
                }
                let source = band.input.part(top - band.input_row, left, bottom - top, right - left);
                let target = inner.part(at.0, at.1, bottom - top, right - left);
                let relu = Epilogue::activation(Activation::Relu);
                self.conv1.run(&[source], &relu, target, form);

                let target = narrow.shaped(rows.len(), columns, channels);
                self.conv2.run(&[window.rect()], &relu, target, form);

                let residual = band.input.part(rows.start - band.input_row, column, rows.len(), columns);
                let epilogue = Epilogue {
                    scale: map.map(|map| map.part(rows.start, column, rows.len(), columns)),
                    residual: Some(residual),
                    activation: Activation::Relu,
                };
                self.conv3.run(&[narrow.rect()], &epilogue, band.output.part(0, column, rows.len(), columns), form);
            }
            Ok(())
        })
    }
}
