//! Which samples make which batch.

use std::ops::Range;

use super::{LoaderOptions, Order, Remainder};
use crate::dataset::random::{generator, shuffle};

/// The plan of all epochs: a function of the options and the number of samples alone.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    samples: usize,
    batch_size: usize,
    remainder: Remainder,
    order: Order,
    seed: u64,
    part: Range<usize>,
}

impl Plan {
    pub(super) fn new(samples: usize, options: &LoaderOptions) -> Self {
        let LoaderOptions { batch_size, remainder, order, seed, .. } = *options;
        let part = options.part.clone().unwrap_or(0..batch_size);
        Self { samples, batch_size, remainder, order, seed, part }
    }

    pub(super) fn batches(&self) -> usize {
        match self.remainder {
            Remainder::Drop => self.samples / self.batch_size,
            Remainder::Keep => self.samples.div_ceil(self.batch_size),
        }
    }

    /// The order of the samples in an epoch.
    pub(super) fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples).collect();
        if self.order == Order::Shuffled {
            shuffle(&mut order, &mut generator("order of samples", &[self.seed, epoch]));
        }
        order
    }

    /// The part of an epoch's order that is made of a batch.
    pub(super) fn range(&self, batch: usize) -> Range<usize> {
        let start = batch * self.batch_size;
        start + self.part.start..(start + self.part.end).min(self.samples)
    }
}
