//! The command line.

#[cfg(feature = "review")]
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "review")]
use anyhow::{Context, bail};
use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum, value_parser};
use derain::data::Shard;
use derain::data::dataset::{BuildOptions, MovingScenes, PatchPlacement, Resume};
use derain::data::judge::{Density, Schedule};
use derain::data::paths::{Shown, resolve};

use crate::support::choices::CleanChoices;
use crate::support::size;
use crate::support::values::{from_one, named, number};

/// Builds a data set of rainy and clean patches from rain videos of still scenes.
#[derive(Parser, Debug)]
#[command(name = "build_dataset")]
pub(crate) struct Arguments {
    /// Folder of videos: .y4m files, other videos (in a build with the feature `video`), or a folder of frames for
    /// each.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) input: PathBuf,

    /// Where the data set goes. Made if missing.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Side of a patch in pixels.
    #[arg(long, default_value_t = BuildOptions::default().patch, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    patch: u32,

    /// Pairs of a video, at most.
    #[arg(long, default_value_t = BuildOptions::default().pairs_per_video, value_name = "N", value_parser = from_one())]
    pairs: usize,

    /// Where in a frame patches lie.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    placement: PlacementName,

    /// Leaves out pairs in which no channel of any pixel differs by more than this (0 to 254).
    #[arg(long, value_name = "LEVELS", value_parser = number::<u8>(0..=254))]
    skip_rainless: Option<u8>,

    /// Who judges the clean images: nobody, measurements, or a person at the terminal or on a web page.
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    pub(crate) judge: JudgeName,

    /// Goes on although another judge began the data set. What was judged stays so.
    #[arg(long)]
    judge_changed: bool,

    /// Folder in which `--judge terminal` shows candidates, instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) review: Option<PathBuf>,

    /// Share of the videos for the test side, 0 to 1.
    #[arg(long, default_value_t = BuildOptions::default().test_fraction, value_name = "F", value_parser = number::<f64>(0.0..=1.0))]
    test_fraction: f64,

    /// How dense the rain is: sparse begins with 20 frames, normal with 100, dense with 200.
    #[arg(long, default_value = "normal", value_name = "sparse|normal|dense", value_parser = named::<Density>)]
    density: Density,

    /// First frame to use, counted from 0.
    #[arg(long, default_value_t = 0, value_name = "N")]
    start: usize,

    /// Uses every Nth frame.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = from_one())]
    stride: usize,

    /// Uses videos whose camera moves, too, instead of reporting them.
    #[arg(long)]
    keep_moving: bool,

    /// Chooses test videos and patches.
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,

    #[command(flatten)]
    choices: CleanChoices,

    /// Memory that the frames of a clean image may take, such as 2GiB or 500MB; the result is the same for any.
    #[arg(long, default_value = "2GiB", value_name = "SIZE", value_parser = size::parse)]
    max_memory: u64,

    /// Folder for frames that memory does not hold, instead of the data set's.
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,

    /// Goes on with a build that was broken off.
    #[arg(long)]
    resume: bool,

    /// Does the Ith of N shares of the videos, counted from 1, and goes on with what is there; others do the other
    /// shares, with the same arguments, into the same folder.
    #[arg(long, default_value_t, value_name = "I/N", value_parser = named::<Shard>)]
    shard: Shard,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JudgeName {
    /// Every clean image is accepted.
    #[default]
    None,
    /// A person at the terminal.
    Terminal,
    /// A person in a local web page.
    Web,
    /// Measurements.
    Auto,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum PlacementName {
    /// Without overlap.
    #[default]
    Grid,
    /// Anywhere.
    Random,
}

impl Arguments {
    /// Fails if something that is asked for cannot be done.
    pub(crate) fn check(&self) -> Result<()> {
        let asks = matches!(self.judge, JudgeName::Terminal | JudgeName::Web);
        ensure!(
            !asks || !self.shard.is_part(),
            "--shard is for jobs without people: use --judge auto or none, or build in one go"
        );
        ensure!(
            self.review.is_none() || self.judge == JudgeName::Terminal,
            "--review is the folder of --judge terminal: nobody else looks there"
        );
        if let Some(folder) = &self.review {
            // A later run would take its pictures for frames.
            ensure!(
                !resolve(folder)?.starts_with(resolve(&self.input)?),
                "--review {} lies in the folder of videos: choose another",
                folder.shown()
            );
        }
        if let Some(folder) = &self.spool {
            ensure!(folder.is_dir(), "--spool {} is no folder", folder.shown());
        }
        Ok(())
    }

    pub(crate) fn options(&self) -> BuildOptions {
        let mut clean = self.choices.options();
        clean.max_memory = self.max_memory;
        clean.spool_folder = Some(self.spool.clone().unwrap_or_else(|| self.output_or_above()));
        BuildOptions {
            patch: self.patch,
            pairs_per_video: self.pairs,
            placement: match self.placement {
                PlacementName::Grid => PatchPlacement::Grid,
                PlacementName::Random => PatchPlacement::Random,
            },
            least_difference: self.skip_rainless,
            test_fraction: self.test_fraction,
            seed: self.seed,
            start: self.start,
            stride: self.stride,
            moving: if self.keep_moving { MovingScenes::Keep } else { MovingScenes::Refuse },
            schedule: Schedule::for_density(self.density),
            clean,
            shard: self.shard,
            judge_changed: self.judge_changed,
        }
    }

    /// The data set's folder, or the first above it that exists: most likely on the disk with room.
    fn output_or_above(&self) -> PathBuf {
        let output = std::path::absolute(&self.output).unwrap_or_else(|_| self.output.clone());
        let folder = output.ancestors().find(|folder| folder.is_dir());
        folder.unwrap_or(Path::new("/")).to_owned()
    }

    /// The file beside the data set that keeps the verdicts of the review page. Its folder is made.
    #[cfg(feature = "review")]
    pub(crate) fn verdicts(&self) -> Result<PathBuf> {
        let output = std::path::absolute(&self.output)?;
        let (Some(folder), Some(name)) = (output.parent(), output.file_name()) else {
            bail!("-o {}: a data set needs a folder of its own", self.output.shown());
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.shown()))?;
        let mut name = name.to_owned();
        name.push(".verdicts.jsonl");
        Ok(folder.join(name))
    }

    #[cfg(feature = "review")]
    pub(crate) fn density(&self) -> Density {
        self.density
    }

    pub(crate) fn resume(&self) -> Resume {
        if self.resume { Resume::Continue } else { Resume::Refuse }
    }
}
