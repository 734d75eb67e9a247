//! Measures how far the automatic judge and the estimate of density can be trusted, on rain whose truth is known.
//!
//! ```text
//! cargo run --release --example calibrate_judge -- -i DIR_OF_CLEAN_PICTURES
//! ```
//!
//! Clips of synthesized rain over the pictures, still scenes, give candidates of 4 to 100 frames. A candidate is clean
//! if its luma, smoothed over 3 x 3 pixels as noise is no rain, has 40 dB against the truth, and no more than a
//! thousandth of its pixels shows rain: is off by more than 8 of 255 steps, so smoothed. Thresholds are fitted on every
//! other picture; precision and recall are those on the pictures in between, for the fitted thresholds and for the
//! released ones.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use derain::data::judge::{Density, Thresholds};
use derain::data::paths::Shown;
use derain::data::{find_pictures, load_picture};
use rayon::prelude::*;

mod clips;
mod fit;
#[path = "../support/mod.rs"]
mod support;

use clips::Clip;
use fit::Score;

/// Neighbouring names are often of one place: pictures are taken this far apart.
const STEP: usize = 7;

/// Measures precision and recall of the automatic judge.
#[derive(Parser, Debug)]
#[command(name = "calibrate_judge")]
struct Arguments {
    /// Folder of clean pictures.
    #[arg(short, long, value_name = "DIR")]
    input: PathBuf,

    /// Clips to make; a third of each density.
    #[arg(long, default_value_t = 120, value_name = "N")]
    clips: usize,

    /// Chooses the rain.
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,

    /// Writes all measures as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    support::exit_code(run(&Arguments::parse()).map(|()| true))
}

fn run(arguments: &Arguments) -> Result<()> {
    let names = find_pictures(&arguments.input)?;
    ensure!(names.len() > 1, "{} needs two pictures or more: some to fit, some to check", arguments.input.shown());
    // Where the step divides the pictures, it would meet the same few again and again.
    let step = if names.len().is_multiple_of(STEP) { 1 } else { STEP };
    let clips: Vec<(bool, Clip)> = (0..arguments.clips)
        .into_par_iter()
        .map(|index| {
            let place = index * step % names.len();
            let path = arguments.input.join(&names[place]);
            let picture = load_picture(&path)?.image.into_rgb8();
            let density = Density::ALL[index % 3];
            let name = names[place].to_string_lossy().into_owned();
            let clip = clips::make(name, &picture, density, arguments.seed.wrapping_add(index as u64));
            Ok((place.is_multiple_of(2), clip.with_context(|| format!("cannot make a clip over {}", path.shown()))?))
        })
        .collect::<Result<_>>()?;
    let (fitting, checking): (Vec<_>, Vec<_>) = clips.into_iter().partition(|clip| clip.0);
    ensure!(
        !fitting.is_empty() && !checking.is_empty(),
        "{} clips leave nothing to fit or nothing to check: ask for more (--clips)",
        arguments.clips
    );
    let [fitting, checking] = [fitting, checking].map(|clips| clips.into_iter().map(|clip| clip.1).collect::<Vec<_>>());
    let fitted = fit::fit(&fitting);
    print(&fitted, &fitting, &checking, &mut io::stdout().lock())?;
    if let Some(path) = &arguments.report {
        let report = serde_json::json!({ "fitted": fitted, "fitting": fitting, "checking": checking });
        support::files::write(path, &support::files::to_json(&report)?)?;
    }
    Ok(())
}

fn print(fitted: &Thresholds, fitting: &[Clip], checking: &[Clip], out: &mut impl Write) -> Result<()> {
    for (name, thresholds) in [("fitted", fitted), ("released", &Thresholds::default())] {
        let Thresholds { change, changed, streaks, unsure, .. } = thresholds;
        writeln!(out, "{name}: change {change}, changed {changed}, streaks {streaks}, unsure {unsure}")?;
        for (part, clips) in [("fitting", fitting), ("checking", checking)] {
            let score = |density: Option<Density>| {
                let wanted = clips.iter().filter(|clip| density.is_none_or(|density| clip.density == density));
                Score::of(thresholds, wanted.flat_map(|clip| &clip.samples))
            };
            for density in [None, Some(Density::Sparse), Some(Density::Normal), Some(Density::Dense)] {
                let score = score(density);
                writeln!(
                    out,
                    "  {part:8} {:6} precision {:.3} recall {:.3} (clean: {} accepted, {} refused; rainy: {} accepted, {} refused)",
                    density.map_or("all", Density::name),
                    score.precision(),
                    score.recall(),
                    score.clean_accepted,
                    score.clean_refused,
                    score.rainy_accepted,
                    score.rainy_refused,
                )?;
            }
        }
    }
    writeln!(out, "density of the checking clips, by row, as estimated: sparse, normal, dense")?;
    for (density, row) in Density::ALL.iter().zip(fit::confusion(checking.iter())) {
        writeln!(out, "  {:6} {row:?}", density.name())?;
    }
    Ok(())
}
