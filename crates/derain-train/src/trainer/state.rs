//! What a training stands at: made ready, taken from a checkpoint, written to one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use derain_data::Error as DataError;
use derain_data::dataset::{DatasetError, SampleSource};
use derain_data::write_durably;
use derain_models::Error as ModelError;
use serde_json::Value;

use super::{StopHandle, Trainer};
use crate::checkpoint::{self, Loaded, Names, Progress, Tensors};
use crate::data::{Source, ValidationPairs, check_pictures, training_source};
use crate::folder::{CHECKPOINT, Folder, check_apart};
use crate::model::{AnyNetwork, Trainable};
use crate::observer::{Observer, WrittenKind};
use crate::optimizer::{Adam, MovingAverage};
use crate::ranks::Ranks;
use crate::{Error, Result, TrainConfig};

/// As many are told by name.
const NAMED: usize = 100;

/// Which photographs a training is not to see: whoever scores its weights later must know them.
fn say_held_out(pictures: &[PathBuf]) -> Option<String> {
    let names = pictures.iter().take(NAMED).map(|path| path.file_name().unwrap_or_default().display().to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    match pictures.len().checked_sub(NAMED) {
        _ if pictures.is_empty() => None,
        None | Some(0) => Some(format!("held out for the validation: {names}")),
        Some(more) => Some(format!("held out for the validation: {names} and {more} more")),
    }
}

impl Trainer {
    pub(super) fn prepare(config: TrainConfig, device: &Device, ranks: &Arc<dyn Ranks>) -> Result<Self> {
        config.check()?;
        if !config.micro_batches.is_multiple_of(ranks.size()) {
            return Err(Error::Uneven { micro_batches: config.micro_batches, ranks: ranks.size() });
        }
        let leads = ranks.rank() == 0;
        if leads {
            check_apart(&config.output, config.data_paths())?;
        }
        // All data and weights before the folder is made: a mistyped path leaves none behind.
        let (source, data) = training_source(&config)?;
        check_pictures(&source, &config.augment.crop, config.batch_size.div_ceil(ranks.size()))?;
        let names_of_held_out = match &source {
            Source::Synthesized(source) if config.validation.pairs.is_empty() => say_held_out(source.held_out()),
            _ => None,
        };
        let samples = source.len();
        let steps_per_epoch = samples / config.batch_size;
        if steps_per_epoch == 0 {
            // An epoch without steps would pass for a training that is done.
            return Err(DataError::from(DatasetError::NoBatch { samples, batch_size: config.batch_size }).into());
        }
        let steps = match (config.steps, config.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => epochs.unwrap_or_default().saturating_mul(steps_per_epoch as u64),
        };
        let validation = if leads { ValidationPairs::load(&config)? } else { ValidationPairs::default() };
        let parameters = match &config.init_from {
            // Where there is a checkpoint, nothing else is the start.
            Some(path) if leads && !config.output.join(CHECKPOINT).exists() => config.network.weights_of(path)?,
            _ => config.network.initial_weights(config.seed)?,
        };
        let folder = if leads { Folder::open(&config.output)? } else { Folder::elsewhere(&config.output) };
        let model = Trainable::new(&config.network, &parameters, device)?;
        let average = config.ema.map(|decay| MovingAverage::new(decay, &model.tensors())).transpose()?;
        let mut trainer = Self {
            judged: model.network.clone(),
            trained: model.trained(),
            adam: Adam::new(&config.adam, &model.trained())?,
            device: device.clone(),
            ranks: Arc::clone(ranks),
            folder,
            model,
            average,
            source: Some(source),
            samples,
            steps,
            steps_per_epoch,
            validation_pairs: validation.len(),
            validation,
            progress: Progress::new(config.decisive()?, data),
            notice: names_of_held_out,
            is_validated_anew: false,
            saved: None,
            stop: StopHandle::default(),
            config,
        };
        trainer.judged = trainer.network_over_judged()?;
        Ok(trainer)
    }

    pub(super) fn restore(&mut self) -> Result<()> {
        let loaded = Loaded::open(&self.folder.checkpoint())?;
        self.compare_beginnings(&loaded.progress, &self.progress.config, &self.progress.data)?;
        if loaded.progress.step > self.steps {
            let folder = self.folder.root().to_owned();
            return Err(Error::StepsDone { folder, done: loaded.progress.step, steps: self.steps });
        }
        self.saved = Some(loaded.progress.step);
        // It was told when the training began.
        self.notice = None;
        self.adopt(loaded)?;
        let is_another = self.progress.best.is_some() && self.progress.best_on != self.validation.hash();
        if is_another {
            self.progress.best = None;
            // What is trained no further keeps the weights that its own validation chose.
            self.is_validated_anew = self.progress.step == self.steps;
            let best = if self.is_validated_anew { "the best weights stay" } else { "the best score begins anew" };
            self.notice = Some(format!("the validation is another than before: {best}"));
        }
        // A training that is to end here now, or that ended by another validation, has its last one still before it.
        let is_last = self.progress.step == self.steps && self.pairs_due() > 0;
        let validated_so = self.progress.validated == Some(self.steps) && !is_another;
        self.progress.validation_due |= is_last && !validated_so;
        // A kill between the two leaves the weights a checkpoint behind.
        self.folder.ensure(&self.folder.last(), &self.weight_file()?)
    }

    /// Whether a training was begun with this configuration and these data.
    pub(super) fn compare_beginnings(&self, begun: &Progress, config: &Value, data: &str) -> Result<()> {
        let differences = begun.differences(config, data);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::BegunDifferently { folder: self.folder.root().to_owned(), differences }),
        }
    }

    /// Stands where the loaded state stands.
    pub(super) fn adopt(&mut self, loaded: Loaded) -> Result<()> {
        let names = Names { all: &self.model.names, trained: &self.model.trained };
        let tensors = loaded.tensors(&names, &self.model.tensors(), self.average.is_some())?;
        for (variable, saved) in self.model.variables.iter().zip(&tensors.parameters) {
            variable.set(saved)?;
        }
        self.adam.restore(tensors.first, tensors.second)?;
        if let Some(decay) = self.config.ema {
            self.average = Some(MovingAverage::new(decay, &tensors.average)?);
        }
        self.judged = self.network_over_judged()?;
        self.progress = loaded.progress;
        Ok(())
    }

    /// All that a checkpoint holds.
    pub(super) fn state(&self) -> Result<Vec<u8>> {
        let [first, second] = self.adam.moments().map(<[Tensor]>::to_vec);
        let average = self.average.as_ref().map_or_else(Vec::new, |average| average.tensors().to_vec());
        let tensors = Tensors { parameters: self.model.tensors(), first, second, average };
        let names = Names { all: &self.model.names, trained: &self.model.trained };
        checkpoint::to_bytes(&self.progress, &names, &tensors)
    }

    /// Weights that are validated and written: the average, if there is one.
    fn judged_tensors(&self) -> Vec<Tensor> {
        self.average.as_ref().map_or_else(|| self.model.tensors(), |average| average.tensors().to_vec())
    }

    fn network_over_judged(&self) -> Result<AnyNetwork> {
        AnyNetwork::over(&self.config.network, self.model.names.iter().zip(self.judged_tensors()), &self.device)
    }

    /// # Errors
    /// [`Error::Diverged`] where a weight is no number.
    pub(super) fn weight_file(&self) -> Result<Vec<u8>> {
        let tensors = self.model.names.iter().zip(self.judged_tensors());
        let tensors = tensors.map(|(name, tensor)| Ok((name.clone(), tensor.to_device(&Device::Cpu)?)));
        let file = self.config.network.weight_file(&tensors.collect::<Result<BTreeMap<_, _>>>()?);
        file.map_err(|error| match error {
            Error::Models(ModelError::NotFiniteWeights { .. }) => {
                self.diverged(self.progress.step, "largest weight", f64::NAN)
            }
            error => error,
        })
    }

    /// Writes the checkpoint, then its weights.
    pub(super) fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        // First, because it refuses weights that are no numbers: the checkpoint before is worth more.
        let weights = self.weight_file()?;
        write_durably(self.folder.checkpoint(), &self.state()?)?;
        self.saved = Some(self.progress.step);
        self.tell_written(observer, self.folder.checkpoint(), WrittenKind::Checkpoint)?;
        write_durably(self.folder.last(), &weights)?;
        self.tell_written(observer, self.folder.last(), WrittenKind::LastWeights)
    }
}
