//! Thresholds from samples, and how good they are.

use derain::data::judge::{Density, Thresholds, Verdict};
use serde::Serialize;

use crate::clips::{Clip, Sample};

/// Of the thresholds that are right about at least this share of the candidates that they accept, the ones that accept
/// most are taken.
const LEAST_PRECISION: f64 = 0.98;

/// Thresholds tried: about a tenth apart, in the logarithm.
const CHANGE: [f32; 10] = [0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0];
const CHANGED: [f32; 8] = [0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02];
const STREAKS: [f32; 12] = [0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0];
const UNSURE: [f32; 8] = [0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02];

/// Counts of candidates.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Score {
    pub(crate) clean_accepted: usize,
    pub(crate) clean_refused: usize,
    pub(crate) rainy_accepted: usize,
    pub(crate) rainy_refused: usize,
}

impl Score {
    pub(crate) fn of<'a>(thresholds: &Thresholds, samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut score = Self::default();
        for sample in samples {
            let count = match (sample.is_clean(), thresholds.verdict(&sample.measures) == Verdict::Accept) {
                (true, true) => &mut score.clean_accepted,
                (true, false) => &mut score.clean_refused,
                (false, true) => &mut score.rainy_accepted,
                (false, false) => &mut score.rainy_refused,
            };
            *count += 1;
        }
        score
    }

    /// Of the accepted, the share that is clean.
    pub(crate) fn precision(&self) -> f64 {
        share(self.clean_accepted, self.rainy_accepted)
    }

    /// Of the clean, the share that is accepted.
    pub(crate) fn recall(&self) -> f64 {
        share(self.clean_accepted, self.clean_refused)
    }
}

fn share(part: usize, rest: usize) -> f64 {
    part as f64 / (part + rest).max(1) as f64
}

/// The best thresholds of the grid.
pub(crate) fn fit(clips: &[Clip]) -> Thresholds {
    let samples = || clips.iter().flat_map(|clip| &clip.samples);
    let mut best = (Thresholds::default(), f64::MIN);
    for change in CHANGE {
        for (changed, streaks) in CHANGED.iter().flat_map(|&changed| STREAKS.map(|streaks| (changed, streaks))) {
            for unsure in UNSURE {
                let thresholds = Thresholds { change, changed, streaks, unsure, ..Thresholds::default() };
                let score = Score::of(&thresholds, samples());
                // Short of the precision, nearer is better.
                let missing = (LEAST_PRECISION - score.precision()).max(0.0);
                let merit = score.recall() - 100.0 * missing;
                if merit > best.1 {
                    best = (thresholds, merit);
                }
            }
        }
    }
    best.0
}

/// How many clips of each class were taken for each class.
pub(crate) fn confusion<'a>(clips: impl Iterator<Item = &'a Clip>) -> [[usize; 3]; 3] {
    let place = |density| Density::ALL.iter().position(|&other| other == density).unwrap_or(0);
    let mut counts = [[0; 3]; 3];
    clips.for_each(|clip| counts[place(clip.density)][place(clip.estimate.density)] += 1);
    counts
}
