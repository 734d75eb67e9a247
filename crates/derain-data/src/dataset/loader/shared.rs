//! What the loader's threads share: which samples were given out, which are ready.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::order::Plan;
use crate::Error;
use crate::dataset::DatasetError;
use crate::dataset::sample::{Batch, Position, Sample, SampleSource};

pub(super) struct Shared<S> {
    source: S,
    state: Mutex<State>,
    /// There is work, or it is over.
    work: Condvar,
    /// A batch may be whole.
    done: Condvar,
}

struct State {
    plan: Plan,
    /// Batches under way or ready, the next one to deliver first. Batches are opened in order, and samples within one
    /// in order.
    batches: VecDeque<Open>,
    /// How many of them there may be.
    ahead: usize,
    /// Where the next batch to open stands.
    next: Position,
    /// The order of the samples in `next.epoch`.
    order: Vec<usize>,
    /// Number of `batches[0]`, counted from the loader's start.
    delivered: u64,
    stop: bool,
}

/// A batch whose samples are being made.
struct Open {
    position: Position,
    indices: Vec<usize>,
    /// Samples given out to threads.
    taken: usize,
    ready: Vec<Option<Result<Sample, Error>>>,
    missing: usize,
}

/// One sample to make.
struct Job {
    /// Number of its batch, counted from the loader's start.
    batch: u64,
    slot: usize,
    epoch: u64,
    index: usize,
}

impl<S: SampleSource> Shared<S> {
    pub(super) fn new(source: S, plan: Plan, ahead: usize, start: Position) -> Self {
        let order = plan.epoch(start.epoch);
        let state = State { plan, batches: VecDeque::new(), ahead, next: start, order, delivered: 0, stop: false };
        Self { source, state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    pub(super) fn source(&self) -> &S {
        &self.source
    }

    /// Nothing that can panic runs under the lock, so what it guards is whole even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: makes samples until it is told to stop.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.stop {
                return;
            }
            let Some(job) = state.take() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            // A thread that died would leave the consumer waiting for ever.
            let made = catch_unwind(AssertUnwindSafe(|| self.source.sample(job.epoch, job.index)))
                .unwrap_or(Err(DatasetError::SamplePanicked { index: job.index, epoch: job.epoch }.into()));
            state = self.lock();
            if state.put(&job, made) {
                self.done.notify_one();
            }
        }
    }

    /// Waits for the next batch.
    pub(super) fn next(&self) -> Result<Batch, Error> {
        let mut state = self.lock();
        let open = loop {
            match state.batches.pop_front_if(|first| first.missing == 0) {
                Some(open) => break open,
                None => state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        state.delivered += 1;
        drop(state);
        self.work.notify_all();
        // The first error by place, whichever came first in time.
        let samples = open.ready.into_iter().flatten().collect::<Result<Vec<_>, _>>()?;
        Batch::collect(&samples, open.indices, open.position)
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_all();
    }
}

impl State {
    /// The next sample to make, unless enough lies ahead.
    fn take(&mut self) -> Option<Job> {
        let full = |open: &Open| open.taken == open.indices.len();
        if self.batches.back().is_none_or(full) {
            if self.batches.len() >= self.ahead {
                return None;
            }
            self.open();
        }
        let batch = self.delivered + self.batches.len() as u64 - 1;
        let open = self.batches.back_mut()?;
        let slot = open.taken;
        open.taken += 1;
        Some(Job { batch, slot, epoch: open.position.epoch, index: open.indices[slot] })
    }

    fn open(&mut self) {
        let position = self.next;
        let indices = self.order[self.plan.range(position.batch)].to_vec();
        let ready = indices.iter().map(|_| None).collect();
        self.batches.push_back(Open { position, missing: indices.len(), indices, taken: 0, ready });
        self.next = position.next(self.plan.batches());
        if self.next.epoch != position.epoch {
            self.order = self.plan.epoch(self.next.epoch);
        }
    }

    /// Whether the batch to deliver next is whole now.
    fn put(&mut self, job: &Job, made: Result<Sample, Error>) -> bool {
        let place = (job.batch - self.delivered) as usize;
        let open = &mut self.batches[place];
        open.ready[job.slot] = Some(made);
        open.missing -= 1;
        place == 0 && open.missing == 0
    }
}
