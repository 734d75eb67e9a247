//! A bar with the time left, and lines for what should stay in sight.

use std::time::{Duration, Instant};

use derain::train::{Losses, Observed, Observer, Started, StepRecord, ValidationRecord, Written, WrittenKind};
use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, a line at most so often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Share of a step's time spent waiting for pictures that is worth a warning, and after how many steps it is looked at.
const SLOW_LOADING: f64 = 0.2;
const STEPS_BEFORE_WARNING: u64 = 50;

pub(crate) struct Progress {
    bar: ProgressBar,
    resumes: bool,
    last_line: Option<Instant>,
    steps: u64,
    seen: u64,
    seconds: f64,
    waited: f64,
}

impl Progress {
    /// Of a training that is to go on, or of a new one.
    pub(crate) fn new(resumes: bool) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, resumes, last_line: None, steps: 0, seen: 0, seconds: 0.0, waited: 0.0 }
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Progress {
    fn started(&mut self, started: &Started<'_>) -> Observed {
        self.steps = started.steps;
        self.bar.set_length(started.steps);
        self.bar.set_position(started.step);
        self.bar.reset_eta();
        let from = match started.step {
            0 if self.resumes => "no checkpoint yet, training from the beginning".into(),
            0 => "training".into(),
            step if step >= started.steps => format!("going on after step {step}, the last"),
            step => format!("going on after step {step}"),
        };
        self.say(&format!(
            "{from}: {} parameters, {} steps, {} pairs ({} steps an epoch), {} pairs of validation, into {}",
            started.parameters,
            started.steps,
            started.pairs,
            started.steps_per_epoch,
            started.validation_pairs,
            started.config.output.display()
        ));
        Ok(())
    }

    fn step(&mut self, step: &StepRecord) -> Observed {
        self.bar.set_position(step.step);
        let text = format!("{}, {:.2} s a step", describe(&step.losses), step.seconds);
        if self.bar.is_hidden() && self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.say(&format!("step {}/{}: {text}, learning rate {:.2e}", step.step, self.steps, step.learning_rate));
            self.last_line = Some(Instant::now());
        }
        self.bar.set_message(text);
        self.seen += 1;
        self.seconds += step.seconds;
        self.waited += step.waited;
        if self.seen == STEPS_BEFORE_WARNING && self.waited > SLOW_LOADING * self.seconds {
            let share = 100.0 * self.waited / self.seconds;
            self.say(&format!(
                "{share:.0} % of the time goes into waiting for pictures: smaller files or a larger cache_mb help"
            ));
        }
        Ok(())
    }

    fn validating(&mut self, done: usize, of: usize) -> Observed {
        self.bar.set_message(format!("validation {done}/{of}"));
        Ok(())
    }

    fn validation(&mut self, validation: &ValidationRecord) -> Observed {
        let ValidationRecord { step, input, output, pairs, is_best, seconds, .. } = validation;
        let best = if *is_best { ", the best so far" } else { "" };
        self.say(&format!(
            "step {step}: {:.2} dB / {:.4} on {pairs} pairs (input {:.2} dB / {:.4}){best}; {seconds:.0} s",
            output.psnr, output.ssim, input.psnr, input.ssim
        ));
        Ok(())
    }

    fn written(&mut self, written: &Written<'_>) -> Observed {
        if written.kind == WrittenKind::Checkpoint {
            self.say(&format!("step {}: {}", written.step, written.path.display()));
        }
        Ok(())
    }

    fn message(&mut self, text: &str) -> Observed {
        self.say(text);
        Ok(())
    }
}

fn describe(losses: &Losses) -> String {
    let terms = [("L1", losses.l1), ("1-SSIM", losses.ssim), ("attention", losses.attention)];
    let terms: Vec<String> = terms.iter().filter_map(|(name, term)| Some(format!("{name} {:.4}", (*term)?))).collect();
    format!("loss {:.4} ({})", losses.total, terms.join(", "))
}
