//! The comparison, for people and for programs.

use std::path::Path;

use anyhow::Result;
use derain::data::write_durably;
use derain::train::log::ScoreValues;
use serde::{Deserialize, Serialize};

/// A variant and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) parameters: usize,
    #[serde(flatten)]
    pub(crate) scores: Scores,
}

/// A validation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scores {
    pub(crate) step: u64,
    pub(crate) pairs: usize,
    pub(crate) input: ScoreValues,
    pub(crate) output: ScoreValues,
}

impl Scores {
    /// Whether both are of the same pairs, after as many steps.
    pub(crate) fn are_comparable_to(&self, other: &Self) -> bool {
        (self.step, self.pairs, self.input) == (other.step, other.pairs, other.input)
    }
}

pub(crate) fn write_table(folder: &Path, rows: &[Row]) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(&serde_json::json!({ "variants": rows }))?;
    json.push(b'\n');
    write_durably(folder.join("table.json"), &json)?;
    Ok(write_durably(folder.join("table.md"), markdown(rows).as_bytes())?)
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| variant | parameters | PSNR | SSIM |\n| --- | --- | --- | --- |\n");
    if let Some(Row { scores, .. }) = rows.first() {
        text.push_str(&format!("| the rainy input | | {:.2} | {:.4} |\n", scores.input.psnr, scores.input.ssim));
    }
    for Row { description, parameters, scores, .. } in rows {
        let ScoreValues { psnr, ssim } = scores.output;
        text.push_str(&format!("| {description} | {parameters} | {psnr:.2} | {ssim:.4} |\n"));
    }
    text
}
