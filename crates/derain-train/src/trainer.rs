//! The loop: batches in, steps of the optimizer, checkpoints out.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Var};
use derain_data::dataset::{Batch, Loader, LoaderOptions, Position};

use crate::checkpoint::Progress;
use crate::data::{Source, ValidationPairs, training_source};
use crate::folder::{CHECKPOINT, Folder};
use crate::model::{AnyNetwork, Trainable};
use crate::observer::{Observed, Observer, Started, StepRecord, Written, WrittenKind};
use crate::optimizer::{Adam, MovingAverage};
use crate::ranks::{Alone, Ranks, Voted, agree, vote};
use crate::{Error, Result, TrainConfig};

mod ranks;
mod state;
mod step;
mod stop;
mod validate;

pub use stop::{Outcome, StopHandle};

/// A training, ready to run.
pub struct Trainer {
    config: TrainConfig,
    device: Device,
    ranks: Arc<dyn Ranks>,
    folder: Folder,
    model: Trainable,
    trained: Vec<Var>,
    /// The weights that are validated and written, without gradients.
    judged: AnyNetwork,
    adam: Adam,
    average: Option<MovingAverage>,
    source: Option<Source>,
    samples: usize,
    steps: u64,
    steps_per_epoch: usize,
    /// Rank 0's.
    validation: ValidationPairs,
    /// How many they are, known to all ranks.
    validation_pairs: usize,
    progress: Progress,
    /// What whoever watches should read when training starts.
    notice: Option<String>,
    /// All steps are done, and another validation was.
    is_validated_anew: bool,
    /// The step of the checkpoint on disk, known to all ranks.
    saved: Option<u64>,
    stop: StopHandle,
}

impl Trainer {
    /// A new training on the CPU.
    ///
    /// # Errors
    /// When the configuration makes no sense, its data or initial weights cannot be read, its folder lies in its data,
    /// or holds a training already: [`Error::Begun`], [`Error::NoCheckpointYet`], [`Error::CheckpointGone`]. Of
    /// training pictures the headers are looked at: [`Error::UnusablePicture`], [`Error::MixedSizes`].
    pub fn new(config: TrainConfig) -> Result<Self> {
        Self::new_on(config, &Device::Cpu)
    }

    /// A new training on a device.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_on(config: TrainConfig, device: &Device) -> Result<Self> {
        Self::new_among(config, device, Arc::new(Alone))
    }

    /// A new training that several processes share; each calls this with the same configuration. Rank 0 alone uses the
    /// output folder, the initial weights and the validation pairs; the training pictures must be there for all.
    ///
    /// # Errors
    /// As [`new`](Self::new), on every rank if on any; [`Error::Uneven`] or [`Error::RanksDiffer`].
    pub fn new_among(config: TrainConfig, device: &Device, ranks: Arc<dyn Ranks>) -> Result<Self> {
        // One process knows it at once, where the data's pictures may take minutes to look at; several, when all have.
        let begun = ranks.rank() == 0 && config.output.join(CHECKPOINT).exists();
        let prepared = match begun {
            true => Err(Error::Begun { folder: config.output }),
            false => Self::prepare(config, device, &ranks),
        };
        let own = prepared.and_then(|trainer| {
            let folder = || trainer.folder.root().to_owned();
            if trainer.has_begun() {
                return Err(Error::Begun { folder: folder() });
            }
            match trainer.folder.left_behind().filter(|_| trainer.leads()) {
                Some(left) if trainer.folder.lost_checkpoint()?.is_none() => {
                    Err(Error::NoCheckpointYet { folder: folder(), left })
                }
                Some(left) => Err(Error::CheckpointGone { folder: folder(), left }),
                None => Ok(trainer),
            }
        });
        Self::join(own, &*ranks)
    }

    /// Goes on with the training in the configuration's folder, on the CPU, to the same end bit by bit as if it had
    /// never been broken off. Where no checkpoint was written yet, it starts anew.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for a folder with a checkpoint; [`Error::BegunDifferently`] if what decides the
    /// weights is not as it was, [`Error::StepsDone`] if more steps are done than are asked for, [`Error::Checkpoint`]
    /// if the checkpoint is damaged.
    pub fn resume(config: TrainConfig) -> Result<Self> {
        Self::resume_on(config, &Device::Cpu)
    }

    /// The same on a device.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_on(config: TrainConfig, device: &Device) -> Result<Self> {
        Self::resume_among(config, device, Arc::new(Alone))
    }

    /// The same among several processes, as many as before or not.
    ///
    /// # Errors
    /// As [`resume`](Self::resume) and [`new_among`](Self::new_among).
    pub fn resume_among(config: TrainConfig, device: &Device, ranks: Arc<dyn Ranks>) -> Result<Self> {
        let own = Self::prepare(config, device, &ranks).and_then(|mut trainer| {
            if trainer.has_begun() {
                trainer.restore()?;
            } else if trainer.leads()
                && let Some(left) = trainer.folder.lost_checkpoint()?
            {
                return Err(Error::CheckpointGone { folder: trainer.folder.root().to_owned(), left });
            }
            Ok(trainer)
        });
        Self::join(own, &*ranks)
    }

    /// Whether this rank has a checkpoint in its folder.
    fn has_begun(&self) -> bool {
        self.leads() && self.folder.checkpoint().exists()
    }

    /// What ends the training early: [`StopHandle::stop`] on it, from another thread, an observer or a signal handler.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// What is trained, and how.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Trains until all steps are done or somebody asks to stop. A second run goes on where the first was stopped.
    ///
    /// Not to be called from a worker of rayon's global pool: it waits for threads that load pictures, and they use
    /// that pool.
    ///
    /// # Errors
    /// [`Error::Diverged`] when loss or gradients are no numbers or explode; what pictures, disk, network or observer say. What the last
    /// checkpoint holds is kept in all cases; where a picture cannot be used or a validation
    /// fails, one is written first, of which the observer is told if it can be.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let ranks = Arc::clone(&self.ranks);
        let mut silence = ();
        let observer: &mut dyn Observer = if self.leads() { observer } else { &mut silence };
        // Rank 0 alone knows of a validation that the run before this one was stopped in.
        let announced = self.announce(observer);
        self.progress.validation_due = vote(&*ranks, announced, self.progress.validation_due)?.asked;
        if self.progress.validation_due {
            let asked_to_stop = self.validate_overdue(observer)?;
            if asked_to_stop {
                return Ok(self.end_stopped());
            }
        }
        if self.progress.step >= self.steps {
            return Ok(Outcome::Finished);
        }
        let mut loader = agree(&*ranks, self.loader())?;
        let mut last: Option<Batch> = None;
        while self.progress.step < self.steps {
            let begun = Instant::now();
            let batch = match agree(&*ranks, loader.next_batch().map_err(Error::from)) {
                Ok(batch) => &*last.insert(batch),
                Err(error) => {
                    return Err(match &last {
                        Some(batch) => self.rescue(batch, observer, error),
                        None => error,
                    });
                }
            };
            let waited = begun.elapsed().as_secs_f64();
            let done = self.take_step(batch).and_then(|mut record| {
                (record.seconds, record.waited) = (begun.elapsed().as_secs_f64(), waited);
                self.after_step(&record, batch.position, observer)
            });
            // Nothing is left to stop after the last step but its validation, which sees to that itself.
            let asks_to_stop = self.stop.is_stopped() && self.progress.step < self.steps;
            let mut asked_to_stop = vote(&*ranks, done, asks_to_stop)?.asked;
            if self.progress.validation_due && !asked_to_stop {
                if self.is_checkpoint_due() {
                    // First, as a validation may take longer than who asks to stop will wait. It is told of when it is
                    // written again, with the scores.
                    self.keep(batch, &mut ())?;
                }
                let validated =
                    if self.leads() { self.look_ahead(batch).and_then(|()| self.validate(observer)) } else { Ok(()) };
                let still_due = self.progress.validation_due && self.leads();
                asked_to_stop = match vote(&*ranks, validated, still_due) {
                    Ok(voted) => voted.asked,
                    Err(error) => return Err(self.rescue(batch, observer, error)),
                };
                self.progress.validation_due = asked_to_stop;
            }
            if self.is_checkpoint_due() || asked_to_stop {
                self.keep(batch, observer)?;
            }
            if asked_to_stop {
                return Ok(self.end_stopped());
            }
        }
        Ok(Outcome::Finished)
    }

    /// So that a picture or a validation that fails does not cost the steps since the last checkpoint. Why the run ends
    /// is that, whatever becomes of it.
    fn rescue(&mut self, batch: &Batch, observer: &mut dyn Observer, error: Error) -> Error {
        if !self.is_kept() {
            let _ = self.keep(batch, observer);
        }
        error
    }

    /// Tells where training starts, and what whoever watches should read.
    fn announce(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let told = self.tell(observer.started(&Started {
            config: &self.config,
            step: self.progress.step,
            steps: self.steps,
            parameters: self.trained.iter().map(|variable| variable.elem_count()).sum(),
            pairs: self.samples,
            steps_per_epoch: self.steps_per_epoch,
            validation_pairs: self.validation.len(),
            validation_due: self.progress.validation_due,
        }));
        let noticed = self.notice.take().map_or(Ok(()), |text| self.tell(observer.message(&text)));
        told.and(noticed)
    }

    /// Has rank 0 do the validation that an earlier run was stopped before. Whether somebody asked to stop again before
    /// it was done.
    fn validate_overdue(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let caught_up = if self.leads() { self.catch_up(observer) } else { Ok(()) };
        let still_due = self.progress.validation_due && self.leads();
        let Voted { own: (), asked: asked_to_stop } = vote(&*self.ranks, caught_up, still_due)?;
        if !asked_to_stop {
            self.progress.validation_due = false;
        }
        Ok(asked_to_stop)
    }

    fn is_checkpoint_due(&self) -> bool {
        self.progress.step.is_multiple_of(self.config.checkpoint_interval) || self.progress.step == self.steps
    }

    /// The end that a [`StopHandle`] asked for; a run after it goes on.
    fn end_stopped(&self) -> Outcome {
        self.stop.clear();
        Outcome::Stopped { step: self.progress.step }
    }

    /// Moves on after a step, and tells of it.
    fn after_step(&mut self, record: &StepRecord, position: Position, observer: &mut dyn Observer) -> Result<()> {
        (self.progress.step, self.progress.position) = (record.step, position.next(self.steps_per_epoch));
        self.progress.validation_due = self.pairs_due() > 0;
        self.tell(observer.step(record))
    }

    /// Whether the weights are on disk as they are.
    fn is_kept(&self) -> bool {
        self.saved == Some(self.progress.step)
    }

    /// Batches from where training stands.
    fn loader(&mut self) -> Result<Loader<Source>> {
        let source = match self.source.take() {
            Some(source) => source,
            // A run before this one has used it up.
            None => {
                let (source, data) = training_source(&self.config)?;
                self.compare_beginnings(&self.progress, &self.progress.config, &data)?;
                source
            }
        };
        let own = self.own_parts();
        let options = LoaderOptions {
            batch_size: self.config.batch_size,
            seed: self.config.seed,
            // As many as compute, which `RAYON_NUM_THREADS` or a pool of the caller's may limit.
            threads: Some(rayon::current_num_threads()),
            part: Some(self.first_pair(own.start)..self.first_pair(own.end)),
            ..LoaderOptions::default()
        };
        Ok(Loader::start(source, &options, self.progress.position)?)
    }

    fn tell_written(&self, observer: &mut dyn Observer, path: PathBuf, kind: WrittenKind) -> Result<()> {
        self.tell(observer.written(&Written { step: self.progress.step, path: &path, kind }))
    }

    fn tell(&self, observed: Observed) -> Result<()> {
        observed.map_err(Error::Observer)
    }
}

impl fmt::Debug for Trainer {
    /// Where the training stands, without weights and pictures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Trainer");
        shown.field("config", &self.config).field("device", &self.device.location());
        shown.field("rank", &self.ranks.rank()).field("ranks", &self.ranks.size());
        shown.field("step", &self.progress.step).field("steps", &self.steps).finish_non_exhaustive()
    }
}
