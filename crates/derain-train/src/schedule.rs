//! Learning rates over the course of a training.
//!
//! ```
//! use derain_train::{Moment, Schedule};
//! let schedule = Schedule::Cosine { rate: 0.1, warm_up: 2, last: 0.0 };
//! let rate = |step| schedule.rate(&Moment { step, epoch: 0, steps: 6 }).unwrap();
//! assert_eq!([rate(0), rate(1), rate(2), rate(4)], [0.05, 0.1, 0.1, 0.05]);
//! ```

use serde::{Deserialize, Serialize};

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
    /// Divided each time that one of some steps is reached.
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
    /// A straight rise from `rate / warm_up`, then half a cosine down to `last` at the end of training (Loshchilov and
    /// Hutter, "SGDR", ICLR 2017, without restarts).
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
    /// [`Schedule::spanet_paper`].
    fn default() -> Self {
        Self::spanet_paper()
    }
}

impl Schedule {
    /// SPANet's paper: 0.005, divided by 10 after 5,000, 15,000, 30,000 and 50,000 iterations (of 60,000).
    #[must_use]
    pub fn spanet_paper() -> Self {
        Self::Steps { rate: 0.005, divisor: 10.0, at: vec![5_000, 15_000, 30_000, 50_000] }
    }

    /// SPANet's release: 0.005, divided by 10 after 30,000 iterations (of 40,000).
    #[must_use]
    pub fn spanet_release() -> Self {
        Self::Steps { rate: 0.005, divisor: 10.0, at: vec![30_000] }
    }

    /// The later code of RRANet's authors: 0.001, divided by 5 at epochs 25, 50 and 75 (of 100).
    #[must_use]
    pub fn rranet() -> Self {
        Self::Epochs { rate: 0.001, divisor: 5.0, at: vec![25, 50, 75] }
    }

    /// The rate of a step.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn rate(&self, moment: &Moment) -> Result<f64> {
        self.check()?;
        Ok(match self {
            Self::Constant { rate } => *rate,
            Self::Steps { rate, divisor, at } => divided(*rate, *divisor, at, moment.step),
            Self::Epochs { rate, divisor, at } => divided(*rate, *divisor, at, moment.epoch),
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
            Self::Constant { rate } => check_positive("the rate", *rate),
            Self::Steps { rate, divisor, at } | Self::Epochs { rate, divisor, at } => {
                check_positive("the rate", *rate)?;
                check_positive("the divisor", *divisor)?;
                match at.is_sorted_by(|a, b| a < b) {
                    true => Ok(()),
                    false => Err(Error::Steps { steps: at.clone() }),
                }
            }
            Self::Cosine { rate, last, .. } => {
                check_positive("the rate", *rate)?;
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

/// The rate after as many divisions as there are steps or epochs reached.
fn divided(rate: f64, divisor: f64, at: &[u64], reached: u64) -> f64 {
    let passed = at.partition_point(|&change| change <= reached);
    (0..passed).fold(rate, |rate, _| rate / divisor)
}

fn check_positive(name: &'static str, value: f64) -> Result<()> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(Error::NotPositive { name, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(schedule: &Schedule, step: u64, epoch: u64) -> f64 {
        schedule.rate(&Moment { step, epoch, steps: 60_000 }).unwrap()
    }

    #[test]
    fn rates_change_exactly_at_the_steps() {
        let schedule = Schedule::Steps { rate: 1.0, divisor: 4.0, at: vec![10, 20] };
        let rates = [0, 9, 10, 19, 20, u64::MAX].map(|step| rate(&schedule, step, 7));
        assert_eq!(rates, [1.0, 1.0, 0.25, 0.25, 0.0625, 0.0625]);
    }

    #[test]
    fn epochs_count_where_the_schedule_says_so() {
        let schedule = Schedule::Epochs { rate: 1.0, divisor: 5.0, at: vec![25, 50] };
        let rates = [24, 25, 50].map(|epoch| rate(&schedule, 1_000_000, epoch));
        assert_eq!(rates, [1.0, 0.2, 0.04]);
    }

    #[test]
    fn the_papers_schedules() {
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
        near(rate(&Schedule::default(), 4_999, 0), 0.005);
        near(rate(&Schedule::default(), 59_999, 0), 0.005 / 1e4);
        near(rate(&Schedule::spanet_release(), 39_999, 0), 0.0005);
        near(rate(&Schedule::rranet(), 0, 99), 0.001 / 125.0);
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
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = |schedule: Schedule| matches!(schedule.check(), Err(Error::NotPositive { .. }));
            assert!(refused(Schedule::Constant { rate: value }));
            assert!(refused(Schedule::Steps { rate: value, divisor: 10.0, at: vec![] }));
            assert!(refused(Schedule::Epochs { rate: 0.1, divisor: value, at: vec![] }));
            assert!(refused(Schedule::Cosine { rate: value, warm_up: 0, last: 0.0 }));
        }
        for at in [vec![5, 5], vec![5, 4]] {
            let schedule = Schedule::Steps { rate: 0.1, divisor: 10.0, at };
            assert!(matches!(schedule.check(), Err(Error::Steps { .. })));
        }
        assert!(Schedule::Cosine { rate: 0.1, warm_up: 0, last: 0.2 }.check().is_err());
    }
}
