//! One variant after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use derain::data::write_durably;
use derain::train::{
    DataConfig, NetworkConfig, Observed, Observer, Outcome, Started, StepRecord, StopHandle, TrainConfig, Trainer,
    ValidationRecord,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Arguments;
use crate::support::signals::on_stop_signal;
use crate::table::{Row, Scores, write_table};
use crate::variants::VARIANTS;

/// The last validation of a variant: a resume finds it even where nothing is left to train.
const VALIDATION: &str = "validation.json";

/// Without a terminal, a line at most so often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Whether all variants are done.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let base = configuration(arguments)?;
    let NetworkConfig::SpaNet(network) = base.network.clone() else {
        bail!("{} does not train SPANet", arguments.config.display());
    };
    ensure!(base.loss.attention > 0.0, "`loss.attention` is 0: the variant without it would be no other");
    // Which training a signal stops, and that one came: it may fall between two.
    let current = Arc::new(Mutex::new(StopHandle::default()));
    let asked = Arc::new(AtomicBool::new(false));
    let (handle, flag) = (Arc::clone(&current), Arc::clone(&asked));
    let stop = move || {
        flag.store(true, Ordering::Relaxed);
        handle.lock().unwrap_or_else(PoisonError::into_inner).stop();
    };
    on_stop_signal(stop).context("cannot listen for Ctrl-C")?;
    let mut rows: Vec<Row> = Vec::new();
    for variant in &VARIANTS {
        let name = variant.name;
        let config = variant.configuration(&base, &network);
        let validation = config.output.join(VALIDATION);
        let trainer = if arguments.resume { Trainer::resume(config) } else { Trainer::new(config) };
        let mut trainer = trainer.with_context(|| format!("variant {name}"))?;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = trainer.stop_handle();
        if asked.load(Ordering::Relaxed) {
            tracing::warn!("stopped before variant {name}; --resume goes on");
            return Ok(false);
        }
        let mut watch = Watch::new(name, validation.clone());
        let outcome = trainer.run(&mut watch).with_context(|| format!("variant {name}"))?;
        watch.bar.finish_and_clear();
        if let Outcome::Stopped { step } = outcome {
            tracing::warn!("stopped in variant {name} after step {step}; --resume goes on");
            return Ok(false);
        }
        let scores = read_scores(&validation)?;
        if let Some(first) = rows.first() {
            ensure!(
                scores.are_comparable_to(&first.scores),
                "variant {name} was validated on other pairs, or after other steps, than variant {}: choose another output folder, or the data as they were",
                first.name
            );
        }
        tracing::info!("{name}: {:.2} dB / {:.4}", scores.output.psnr, scores.output.ssim);
        rows.push(Row { name, description: variant.description, parameters: watch.parameters, scores });
    }
    write_table(&arguments.output, &rows)?;
    Ok(true)
}

/// The training that all variants have in common.
fn configuration(arguments: &Arguments) -> Result<TrainConfig> {
    let mut base = TrainConfig::load(&arguments.config)?;
    base.output.clone_from(&arguments.output);
    if let Some(path) = &arguments.data {
        match &mut base.data {
            DataConfig::Synthesized(data) => data.clean.clone_from(path),
            DataConfig::Pairs(data) => data.paths = vec![path.clone().into()],
            _ => {}
        }
    }
    if arguments.steps.is_some() {
        (base.steps, base.epochs) = (arguments.steps, None);
    }
    Ok(base)
}

fn read_scores(path: &Path) -> Result<Scores> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "no scores in {}: the configuration needs validation pairs (`validation.pairs` or `data.held_out`)",
            path.display()
        )
    })?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// A bar for one variant, and its scores on disk.
struct Watch {
    bar: ProgressBar,
    validation: PathBuf,
    parameters: usize,
    steps: u64,
    last_line: Option<Instant>,
}

impl Watch {
    fn new(name: &'static str, validation: PathBuf) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {prefix} {pos}/{len}, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name);
        Self { bar, validation, parameters: 0, steps: 0, last_line: None }
    }
}

impl Observer for Watch {
    fn started(&mut self, started: &Started<'_>) -> Observed {
        if started.validation_pairs == 0 {
            return Err(
                "there is nothing to compare by: the configuration needs `validation.pairs` or `data.held_out`".into(),
            );
        }
        self.parameters = started.parameters;
        self.steps = started.steps;
        self.bar.set_length(started.steps);
        self.bar.set_position(started.step);
        self.bar.reset_eta();
        Ok(())
    }

    fn step(&mut self, step: &StepRecord) -> Observed {
        self.bar.set_position(step.step);
        let text = format!("loss {:.4}", step.losses.total);
        if self.bar.is_hidden() && self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            tracing::info!("{}: step {}/{}, {text}", self.bar.prefix(), step.step, self.steps);
            self.last_line = Some(Instant::now());
        }
        self.bar.set_message(text);
        Ok(())
    }

    fn validation(&mut self, validation: &ValidationRecord) -> Observed {
        let ValidationRecord { step, input, output, pairs, .. } = *validation;
        let scores = Scores { step, pairs, input: input.into(), output: output.into() };
        write_durably(&self.validation, &serde_json::to_vec(&scores)?)?;
        Ok(())
    }
}
