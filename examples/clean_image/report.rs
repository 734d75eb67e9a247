//! What was done, as JSON.

use derain::data::judge::Density;
use derain::data::{CleanResult, Insets};
use serde::Serialize;

use crate::arguments::JudgeName;
use crate::support::choices::CleanChoices;

#[derive(Serialize, Debug)]
pub(crate) struct Report<'a> {
    /// Frames that the image was made from: fewer than asked for if the input has no more.
    pub(crate) frames: usize,
    pub(crate) percentile: u8,
    pub(crate) votes: &'a [u64],
    pub(crate) mode_ranges: Ranges<'a>,
    /// As asked for or, with a judge, measured; null if it was left out.
    pub(crate) density: Option<Density>,
    /// What was cut off at the borders, as not all frames show it.
    pub(crate) unseen: Insets,
    pub(crate) judge: JudgeName,
    #[serde(flatten)]
    pub(crate) choices: CleanChoices,
    /// The clean image alone, with taking the frames in.
    pub(crate) seconds: f64,
    /// Reading and decoding the frames.
    pub(crate) decoding_seconds: f64,
}

/// Histograms of where modes begin and end, in floored percent.
#[derive(Serialize, Debug)]
pub(crate) struct Ranges<'a> {
    min: &'a [u64],
    max: &'a [u64],
}

impl<'a> Ranges<'a> {
    pub(crate) fn of(result: &'a CleanResult) -> Self {
        Self { min: &result.mode_ranges.min, max: &result.mode_ranges.max }
    }
}
