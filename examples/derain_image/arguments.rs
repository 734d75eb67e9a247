//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use derain::data::Shard;

use crate::support::engine::EngineArguments;
use crate::support::values::named;

/// Takes the rain out of a picture, or of every picture in a folder and below.
#[derive(Parser, Debug)]
#[command(name = "derain_image")]
pub(crate) struct Arguments {
    /// Picture, or folder of pictures (BMP, JPEG, PNG, PNM, TIFF, WebP).
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) input: PathBuf,

    /// Where the clean picture goes, or the tree of clean PNGs. Missing folders are made.
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) engine: EngineArguments,

    /// Also writes where the network saw rain.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) attention: Option<PathBuf>,

    /// How the attention pictures look.
    #[arg(long, value_enum, default_value_t, value_name = "STYLE", requires = "attention")]
    pub(crate) attention_style: AttentionStyle,

    /// Writes what was done, how long it took and what failed. With `--shard`, `report.json` becomes
    /// `report.I-of-N.json`.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Skips pictures whose output exists already, whatever weights and options made it.
    #[arg(long)]
    pub(crate) resume: bool,

    /// Does the Ith of N shares of a folder's pictures, counted from 1; others do the other shares, with the same
    /// arguments.
    #[arg(long, default_value_t, value_name = "I/N", value_parser = named::<Shard>)]
    pub(crate) shard: Shard,
}

impl Arguments {
    /// As given, but for what every shard writes for itself.
    pub(crate) fn read() -> Self {
        let mut arguments = Self::parse();
        arguments.json = arguments.json.map(|path| arguments.shard.own_path(&path));
        arguments
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AttentionStyle {
    /// White where the network is certain of rain.
    #[default]
    Grey,
    /// The same from black over violet and orange to yellow.
    Heat,
}
