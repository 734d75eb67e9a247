//! The loop: batches in, steps of the optimizer, checkpoints out.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Var};
use derain_data::dataset::{Batch, Loader, LoaderOptions, Position};

use crate::checkpoint::Progress;
use crate::data::{Source, ValidationPairs, training_source};
use crate::folder::{CHECKPOINT, Folder};
use crate::micro_batch::MicroBatch;
use crate::model::{AnyNetwork, Trainable};
use crate::observer::{Observed, Observer, Started, StepRecord, Written, WrittenKind};
use crate::optimizer::{Adam, MovingAverage, global_norm};
use crate::planes::{reordered, to_tensor};
use crate::ranks::{Alone, Ranks, Voted, agree, combine_in_chain, vote};
use crate::{Error, Moment, Result, TrainConfig};

mod ranks;
mod state;
mod stop;
mod validate;

pub use stop::{Outcome, StopHandle};

/// A loss of pictures in 0..1 stays below 4 with weights of 1; one so far above has exploded, though it is a number
/// still. Larger weights raise the limits.
const EXPLODED_LOSS: f64 = 1e3;
/// Gradients of such losses have norms around 1.
const EXPLODED_NORM: f64 = 1e6;
/// RRANet's batch norms need more than one pixel at an eighth of the size, which one pair of this side or less does not
/// have.
const ONE_PIXEL: usize = 8;

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
    /// training pictures the headers are looked at: [`Error::UnusablePicture`].
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
        // Known at once, where the data's pictures may take minutes to look at.
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
    /// weights is not as it was, [`Error::Checkpoint`] if the checkpoint is damaged.
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
    /// checkpoint holds is kept in all cases; where a picture cannot be used, one is written first.
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

    /// Gradients of a batch, of which this rank has its part, and a step of the optimizer. Its times are left to the
    /// caller.
    fn take_step(&mut self, batch: &Batch) -> Result<StepRecord> {
        let step = self.progress.step + 1;
        let moment = Moment { step: self.progress.step, epoch: batch.position.epoch, steps: self.steps };
        // Rank 0's: cosines may differ in their last bit between machines' mathematical libraries.
        let mut learning_rate = self.config.schedule.rate(&moment)?.to_le_bytes();
        self.ranks.broadcast(0, &mut learning_rate)?;
        let learning_rate = f64::from_le_bytes(learning_rate);
        let whole = combine_in_chain(&*self.ranks, self.micro_batches(batch))?;
        let gradient_norm = self.check_soundness(&whole)?;
        let scale =
            self.config.clip_norm.map_or(1.0, |most| if gradient_norm > most { most / gradient_norm } else { 1.0 });
        self.adam.step(&self.trained, &whole.gradients, step, learning_rate, scale)?;
        self.model.follow(&whole.statistics)?;
        if let Some(average) = &mut self.average {
            average.update(&self.model.tensors(), step)?;
        }
        let epoch = batch.position.epoch;
        Ok(StepRecord { step, epoch, losses: whole.losses, learning_rate, gradient_norm, seconds: 0.0, waited: 0.0 })
    }

    /// Computes the first pair of the batch again, with the weights after the step: what has just been ruined must not
    /// replace the checkpoint before. What is on disk was looked at then.
    fn look_ahead(&self, batch: &Batch) -> Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        let is_one_pixel = batch.height.max(batch.width) <= ONE_PIXEL;
        let pairs = if is_one_pixel { self.pairs_of(self.own_parts().start).len() } else { 1 };
        self.check_soundness(&self.micro_batch(batch, 0..pairs)?).map(drop)
    }

    /// The norm of all gradients together, which is a number of common size, as the loss is.
    fn check_soundness(&self, computed: &MicroBatch) -> Result<f64> {
        let norm = global_norm(&computed.gradients)?;
        // ReLU turns NaN features into 0, so neither of the two alone would show every NaN.
        let most = self.config.loss.sum_of_weights().max(1.0);
        let quantities =
            [("loss", computed.losses.total, most * EXPLODED_LOSS), ("gradient's norm", norm, most * EXPLODED_NORM)];
        match quantities.into_iter().find(|&(_, value, most)| value.is_nan() || value.abs() > most) {
            Some((quantity, value, _)) => Err(self.diverged(self.progress.step + 1, quantity, value)),
            None => Ok(norm),
        }
    }

    fn diverged(&self, step: u64, quantity: &'static str, value: f64) -> Error {
        let kept = match self.saved {
            Some(saved) => format!("the checkpoint of step {saved} is kept"),
            None => "no checkpoint was written yet".into(),
        };
        Error::Diverged { step, quantity, value, kept }
    }

    /// This rank's parts of a batch, computed when they are asked for.
    fn micro_batches<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = Result<MicroBatch>> + 'a {
        self.own_parts().map(move |part| self.micro_batch(batch, self.pairs_of(part)))
    }

    /// Losses and gradients of some of the pairs that this rank has of a batch.
    fn micro_batch(&self, batch: &Batch, pairs: Range<usize>) -> Result<MicroBatch> {
        let pair = 3 * batch.height * batch.width;
        let (place, bgr) = (pairs.start * pair..pairs.end * pair, self.config.network.is_bgr());
        let [rainy, clean] = [&batch.rainy, &batch.clean]
            .map(|all| reordered(to_tensor(&all[place.clone()], [batch.height, batch.width], &self.device)?, bgr));
        MicroBatch::compute(&self.model, &self.config.loss, &rainy?, &clean?)
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
