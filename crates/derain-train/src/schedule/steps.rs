use crate::{Error, Result};

/// A learning rate that is divided by a factor once each of some steps is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSchedule {
    initial: f64,
    divisor: f64,
    steps: Vec<u64>,
}

impl StepSchedule {
    /// Starts at `initial` and divides by `divisor` at each of `steps`.
    ///
    /// # Errors
    /// When a number is not above 0 and finite, or the steps do not rise.
    pub fn new(initial: f64, divisor: f64, steps: &[u64]) -> Result<Self> {
        for (name, value) in [("the initial rate", initial), ("the divisor", divisor)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::NotPositive { name, value });
            }
        }
        if !steps.is_sorted_by(|a, b| a < b) {
            return Err(Error::Steps { steps: steps.to_vec() });
        }
        Ok(Self { initial, divisor, steps: steps.to_vec() })
    }

    /// SPANet's paper: 0.005, divided by 10 after 5,000, 15,000, 30,000 and 50,000 iterations (of 60,000).
    pub fn spanet_paper() -> Self {
        Self { initial: 0.005, divisor: 10.0, steps: vec![5_000, 15_000, 30_000, 50_000] }
    }

    /// SPANet's release: 0.005, divided by 10 after 30,000 iterations (of 40,000).
    pub fn spanet_release() -> Self {
        Self { initial: 0.005, divisor: 10.0, steps: vec![30_000] }
    }

    /// The later code of RRANet's authors: 0.001, divided by 5 at epochs 25, 50 and 75 (of 100). Steps are epochs here.
    pub fn rranet_epochs() -> Self {
        Self { initial: 0.001, divisor: 5.0, steps: vec![25, 50, 75] }
    }

    /// The rate at a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let passed = self.steps.partition_point(|&change| change <= step);
        (0..passed).fold(self.initial, |rate, _| rate / self.divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_change_exactly_at_the_steps() -> Result<()> {
        let schedule = StepSchedule::new(1.0, 4.0, &[10, 20])?;
        let rates = [0, 9, 10, 19, 20, u64::MAX].map(|step| schedule.rate(step));
        assert_eq!(rates, [1.0, 1.0, 0.25, 0.25, 0.0625, 0.0625]);
        Ok(())
    }

    #[test]
    fn the_papers_schedules() {
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
        near(StepSchedule::spanet_paper().rate(59_999), 0.005 / 1e4);
        near(StepSchedule::spanet_release().rate(39_999), 0.0005);
        near(StepSchedule::rranet_epochs().rate(99), 0.001 / 125.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for (initial, divisor) in [(0.0, 10.0), (-1.0, 10.0), (0.1, 0.0), (f64::NAN, 10.0), (0.1, f64::INFINITY)] {
            assert!(matches!(StepSchedule::new(initial, divisor, &[]), Err(Error::NotPositive { .. })));
        }
        assert!(matches!(StepSchedule::new(0.1, 10.0, &[5, 5]), Err(Error::Steps { .. })));
        assert!(matches!(StepSchedule::new(0.1, 10.0, &[5, 4]), Err(Error::Steps { .. })));
    }
}
