//! TO DO doc

mod density;
mod measures;
mod noise;
mod plane;
mod steadiness;
#[cfg(test)]
mod tests;

pub use density::{DensityEstimate, estimate_density};
pub use measures::Measures;

use serde::{Deserialize, Serialize};

use super::{Candidate, Judge, Verdict};
use crate::Error;

/// Up to where measures are those of a clean image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Of [`Measures::change`], 8-bit steps.
    pub change: f32,
    /// Of [`Measures::changed`], 0 to 1.
    pub changed: f32,
    /// Of [`Measures::streaks`], steps per pixel.
    pub streaks: f32,
    /// Of [`Measures::unsure`], 0 to 1.
    pub unsure: f32,
    /// Of [`Measures::unsteady`], 0 to 1. More is rejected whatever else.
    pub unsteady: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { change: 1.2, changed: 0.002, streaks: 0.5, unsure: 0.002, unsteady: 0.25 }
    }
}

impl Thresholds {
    /// The verdict on a candidate with these measures: the scene's faults first, which more frames do not mend.
    #[must_use]
    pub fn verdict(&self, measures: &Measures) -> Verdict {
        if let Some(motion) = &measures.motion {
            return Verdict::Reject { reason: motion.clone() };
        }
        if measures.unsteady > self.unsteady {
            let share = 100.0 * measures.unsteady;
            let reason =
                format!("{share:.0}% of the picture changes its brightness: the light flickers or large things move");
            return Verdict::Reject { reason };
        }
        match self.fault(measures) {
            Some(_) => Verdict::MoreFrames,
            None => Verdict::Accept,
        }
    }

    /// What speaks against a candidate that more frames may mend.
    fn fault(&self, measures: &Measures) -> Option<String> {
        let Measures { change, changed, streaks, unsure, .. } = measures;
        if *streaks > self.streaks {
            return Some(format!("streaks are left: {streaks:.2} steps per pixel, {:.2} would do", self.streaks));
        }
        if *change > self.change {
            return Some(format!("the clip's halves differ by {change:.1} steps, {:.1} would do", self.change));
        }
        if *changed > self.changed {
            let [changed, limit] = [*changed, self.changed].map(|share| 100.0 * share);
            return Some(format!("{changed:.2}% of the pixels differ between the clip's halves, {limit:.2}% would do"));
        }
        if *unsure > self.unsure {
            let [unsure, limit] = [*unsure, self.unsure].map(|share| 100.0 * share);
            return Some(format!("{unsure:.2}% of the pixels have rain in nearly all frames, {limit:.2}% would do"));
        }
        None
    }
}

/// Judges by measurement.
#[derive(Clone, Debug, Default)]
pub struct AutoJudge {
    thresholds: Thresholds,
    last: Option<Measures>,
}

impl AutoJudge {
    /// With thresholds of one's own.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, last: None }
    }

    /// What was measured of the last candidate.
    #[must_use]
    pub fn last(&self) -> Option<&Measures> {
        self.last.as_ref()
    }
}

impl Judge for AutoJudge {
    fn name(&self) -> &str {
        "auto"
    }

    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
        let measures = Measures::of(candidate.image, candidate.percentile, candidate.clip)?;
        let verdict = match (self.thresholds.verdict(&measures), candidate.next) {
            (Verdict::MoreFrames, None) => {
                let fault = self.thresholds.fault(&measures).unwrap_or_default();
                Verdict::Reject { reason: format!("after {} frames {fault}", candidate.frames) }
            }
            (verdict, _) => verdict,
        };
        self.last = Some(measures);
        Ok(verdict)
    }
}
