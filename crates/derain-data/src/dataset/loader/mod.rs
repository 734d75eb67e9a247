//! Batches made ahead of time by threads, in an order that depends on the seed alone.
//!
//! Epoch e is a permutation of the samples drawn from (seed, e), cut into batches; batch b of epoch e holds the same
//! samples, with the same content, for any number of threads and wherever the loader was started. So training goes on
//! at a [`Position`] without going through what came before it.
//!
//! ```
//! use derain_data::Error;
//! use derain_data::dataset::{Loader, LoaderOptions, Order, Position, Sample, SampleSource};
//!
//! struct Numbers;
//! impl SampleSource for Numbers {
//!     fn len(&self) -> usize { 4 }
//!     fn sample(&self, epoch: u64, index: usize) -> Result<Sample, Error> {
//!         let value = 10.0 * epoch as f32 + index as f32;
//!         Ok(Sample { rainy: vec![value; 3], clean: vec![0.0; 3], height: 1, width: 1 })
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let options = LoaderOptions { batch_size: 2, order: Order::Sequential, ..LoaderOptions::default() };
//! let mut batches = Loader::start(Numbers, &options, Position { epoch: 0, batch: 1 })?;
//! assert_eq!(batches.next_batch()?.rainy, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]); // [2, 3, 1, 1]
//! assert_eq!(batches.next_batch()?.position, Position { epoch: 1, batch: 0 });
//! # Ok(())
//! # }
//! ```

mod order;
mod shared;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::sample::{Batch, Position, SampleSource};
use crate::Error;
use crate::dataset::DatasetError;

use order::Plan;
use shared::Shared;

/// Batches made ahead where the options do not say: one being made while another waits hides uneven samples.
const DEFAULT_AHEAD: usize = 2;

/// How batches are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Samples in a batch; at least 1.
    pub batch_size: usize,
    /// Threads that make samples; `None` for one per processor.
    pub threads: Option<usize>,
    /// Batches that are made before they are asked for; at least 1. Memory holds these and the one in use.
    pub ahead: usize,
    /// The samples of an epoch's end that fill no batch.
    pub remainder: Remainder,
    /// Order within an epoch.
    pub order: Order,
    /// Chooses the order of each epoch.
    pub seed: u64,
    /// Which places of each batch are made, where several processes share batches; `None` for all. Not with
    /// [`Remainder::Keep`], whose last batch may lack them.
    pub part: Option<Range<usize>>,
}

/// What becomes of the samples that fill no batch at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// They are left out of this epoch.
    Drop,
    /// They make a smaller batch.
    Keep,
}

/// Order of the samples in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A new one in each epoch.
    Shuffled,
    /// By index, always.
    Sequential,
}

impl Default for LoaderOptions {
    /// Shuffled batches of 16 as SPANet's release has them, the remainder dropped, two batches ahead, seed 0.
    fn default() -> Self {
        Self {
            batch_size: 16,
            threads: None,
            ahead: DEFAULT_AHEAD,
            remainder: Remainder::Drop,
            order: Order::Shuffled,
            seed: 0,
            part: None,
        }
    }
}

/// Delivers batches without end, one epoch after the other. Dropping it stops its threads; each finishes at most the
/// one sample that it is at.
pub struct Loader<S: SampleSource + 'static> {
    shared: Arc<Shared<S>>,
    threads: Vec<JoinHandle<()>>,
    batches: usize,
}

impl<S: SampleSource + 'static> Loader<S> {
    /// Starts making batches, `start` first.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a number is 0 that must not be, `part` is not one, or there is no batch `start` in an epoch;
    /// [`DatasetError::NoBatch`] if the source has too few samples for one; [`DatasetError::Threads`] if the system refuses threads.
    pub fn start(source: S, options: &LoaderOptions, start: Position) -> Result<Self, Error> {
        let threads = options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        for (option, value) in [("batch_size", options.batch_size), ("ahead", options.ahead), ("threads", threads)] {
            if value == 0 {
                return Err(Error::option(option, 0, "1 or more"));
            }
        }
        if let Some(part) = &options.part
            && (part.is_empty() || part.end > options.batch_size || options.remainder == Remainder::Keep)
        {
            return Err(Error::option("part", format!("{part:?}"), "places of a whole batch"));
        }
        let plan = Plan::new(source.len(), options);
        let batches = plan.batches();
        if batches == 0 {
            return Err(DatasetError::NoBatch { samples: source.len(), batch_size: options.batch_size }.into());
        }
        if start.batch >= batches {
            return Err(Error::option("batch", start.batch, "less than the batches of an epoch"));
        }
        let shared = Arc::new(Shared::new(source, plan, options.ahead, start));
        // From here on dropping `loader` stops what has been started.
        let mut loader = Self { shared, threads: Vec::with_capacity(threads), batches };
        for _ in 0..threads {
            let shared = Arc::clone(&loader.shared);
            let work = thread::Builder::new().name("derain-loader".into()).spawn(move || shared.work());
            loader.threads.push(work.map_err(|source| DatasetError::Threads { source })?);
        }
        Ok(loader)
    }

    /// Batches in an epoch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        self.batches
    }

    /// Where the samples come from.
    #[must_use]
    pub fn source(&self) -> &S {
        self.shared.source()
    }

    /// Waits for the next batch. After an error the loader goes on with the batch that follows.
    ///
    /// # Errors
    /// What the source said of the first sample of the batch that failed, [`DatasetError::MixedBatch`] if samples
    /// differ in size, [`DatasetError::SamplePanicked`] if the source panicked.
    pub fn next_batch(&mut self) -> Result<Batch, Error> {
        self.shared.next()
    }
}

impl<S: SampleSource + 'static> fmt::Debug for Loader<S> {
    /// Without the samples that are ready, and without waiting for the threads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Loader");
        shown.field("samples", &self.source().len()).field("batches_per_epoch", &self.batches);
        shown.field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl<S: SampleSource + 'static> Drop for Loader<S> {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // Threads catch panics themselves.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
