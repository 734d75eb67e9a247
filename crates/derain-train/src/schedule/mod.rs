//! Learning rates over the course of a training.
//!
//! ```
//! use derain_train::{Moment, Schedule};
//! let schedule = Schedule::Cosine { rate: 0.1, warm_up: 2, last: 0.0 };
//! let rate = |step| schedule.rate(&Moment { step, epoch: 0, steps: 6 }).unwrap();
//! assert_eq!([rate(0), rate(1), rate(2), rate(4)], [0.05, 0.1, 0.1, 0.05]);
//! ```

mod steps;

use serde::{Deserialize, Serialize};

pub use steps::StepSchedule;

use crate::{Error, Result};

/// The learning rate over the course of a training, as configurations say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Divided each time that one of some steps is reached ([`StepSchedule`]).
    Steps {
        /// The rate at first.
        rate: f64,
        /// What it is divided by.
        divisor: f64,
        /// The steps, rising.
        at: Vec<u64>,
    },
    /// The same by epochs.
    Epochs {
        /// The rate at first.
        rate: f64,
        /// What it is divided by.
        divisor: f64,
        /// The epochs, rising.
        at: Vec<u64>,
    },
    /// A straight rise from `rate / warm_up`, then half a cosine down to `last` at the end of training (Loshchilov and Hutter, "SGDR", ICLR 2017,
    /// without restarts).
    Cosine {
        /// The highest rate.
        rate: f64,
        /// Steps of the rise; 0 for none.
        #[serde(default)]
        warm_up: u64,
        /// The rate that is reached at the end.
        #[serde(default)]
        last: f64,
    },
}

/// Where in training a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The step, counted from 0.
    pub step: u64,
    /// Its epoch, counted from 0.
    pub epoch: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Default for Schedule {
    /// SPANet's paper.
    fn default() -> Self {
        Self::Steps { rate: 0.005, divisor: 10.0, at: vec![5_000, 15_000, 30_000, 50_000] }
    }
}

impl Schedule {
    /// The rate of a step.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn rate(&self, moment: &Moment) -> Result<f64> {
        self.check()?;
        Ok(match self {
            Self::Constant { rate } => *rate,
            Self::Steps { rate, divisor, at } => StepSchedule::new(*rate, *divisor, at)?.rate(moment.step),
            Self::Epochs { rate, divisor, at } => StepSchedule::new(*rate, *divisor, at)?.rate(moment.epoch),
            Self::Cosine { rate, warm_up, .. } if moment.step < *warm_up => {
                rate * (moment.step + 1) as f64 / *warm_up as f64
            }
            Self::Cosine { rate, warm_up, last } => {
                let length = moment.steps.saturating_sub(*warm_up).max(1) as f64;
                let share = ((moment.step - warm_up) as f64 / length).min(1.0);
                last + (rate - last) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
            }
        })
    }

    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`Error::NotPositive`], [`Error::Steps`] or [`Error::Config`] for the first that does not.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Constant { rate } => StepSchedule::new(*rate, 1.0, &[]).map(drop),
            Self::Steps { rate, divisor, at } | Self::Epochs { rate, divisor, at } => {
                StepSchedule::new(*rate, *divisor, at).map(drop)
            }
            Self::Cosine { rate, last, .. } => {
                StepSchedule::new(*rate, 1.0, &[])?;
                match (0.0..=*rate).contains(last) {
                    true => Ok(()),
                    false => Err(Error::config("schedule.last", last, "from 0 to `schedule.rate`")),
                }
            }
        }
    }

    /// Whether a rate depends on how long the training is to last.
    pub(crate) fn depends_on_length(&self) -> bool {
        matches!(self, Self::Cosine { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(schedule: &Schedule, step: u64, epoch: u64) -> f64 {
        schedule.rate(&Moment { step, epoch, steps: 60_000 }).unwrap()
    }

    #[test]
    fn the_default_is_the_papers() {
        for step in [0, 4_999, 5_000, 29_999, 59_999] {
            assert_eq!(rate(&Schedule::default(), step, 7), StepSchedule::spanet_paper().rate(step));
        }
    }

    #[test]
    fn epochs_count_where_the_schedule_says_so() {
        let schedule = Schedule::Epochs { rate: 0.001, divisor: 5.0, at: vec![25, 50, 75] };
        assert_eq!(rate(&schedule, 1_000_000, 24), 0.001);
        assert_eq!(rate(&schedule, 0, 75), StepSchedule::rranet_epochs().rate(75));
    }

    #[test]
    fn cosine_rises_then_falls_to_its_last_rate() {
        let schedule = Schedule::Cosine { rate: 1.0, warm_up: 10_000, last: 0.1 };
        assert_eq!((rate(&schedule, 0, 0), rate(&schedule, 4_999, 0)), (1e-4, 0.5));
        assert_eq!((rate(&schedule, 9_999, 0), rate(&schedule, 10_000, 0)), (1.0, 1.0));
        assert!((rate(&schedule, 35_000, 0) - 0.55).abs() < 1e-12);
        assert!((rate(&schedule, 59_999, 0) - 0.1).abs() < 1e-8);
        let falling: Vec<f64> = (10_000..60_000).step_by(500).map(|step| rate(&schedule, step, 0)).collect();
        assert!(falling.is_sorted_by(|a, b| a > b));
        // A warm-up longer than the training never falls.
        let short = Moment { step: 5, epoch: 0, steps: 6 };
        assert_eq!(schedule.rate(&short).unwrap(), 6e-4);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Schedule::Constant { rate: 0.0 }.check().is_err());
        assert!(Schedule::Steps { rate: 0.1, divisor: 10.0, at: vec![2, 2] }.check().is_err());
        assert!(Schedule::Cosine { rate: 0.1, warm_up: 0, last: 0.2 }.check().is_err());
        assert!(Schedule::Cosine { rate: f64::NAN, warm_up: 0, last: 0.0 }.check().is_err());
    }
}
