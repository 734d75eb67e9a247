//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use derain::{Device, Network};

use crate::size;

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

    /// Network to run: spanet or rranet.
    #[arg(long, default_value = "spanet", value_name = "NAME")]
    pub(crate) model: Network,

    /// Weights of the network. Required: this release ships none.
    #[arg(long, value_name = "FILE.safetensors|FILE.pth")]
    pub(crate) weights: Option<PathBuf>,

    /// Also writes where the network saw rain.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) attention: Option<PathBuf>,

    /// How the attention pictures look.
    #[arg(long, value_enum, default_value_t, value_name = "STYLE", requires = "attention")]
    pub(crate) attention_style: AttentionStyle,

    /// Where to compute.
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda:N")]
    pub(crate) device: DeviceName,

    /// Memory that inference may take, such as 2GiB, 500MB or 1073741824: pictures that need more run from temporary files, with the same
    /// result (SPANet), and those too large even for that are refused. Without it, what is free at the start (Linux; elsewhere there is no limit).
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_memory: Option<u64>,

    /// Folder for those temporary files instead of the system's. A picture of 24 megapixels takes 6 GB there.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Writes what was done, how long it took and what failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Skips pictures whose output exists already, whatever weights and options made it.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl Arguments {
    /// The weight file.
    pub(crate) fn weights(&self) -> Result<&PathBuf> {
        self.weights.as_ref().context(
            "no weights are shipped with this release: give a file with --weights, such as the checkpoint \
             that the authors of SPANet published (.pth), or one converted to .safetensors",
        )
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AttentionStyle {
    /// White where the network is certain of rain.
    #[default]
    Grey,
    /// The same from black over red to yellow.
    Heat,
}

/// A device as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceName {
    Cpu,
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", ordinal)) => ordinal.parse().map(Self::Cuda).map_err(|_| format!("`{ordinal}` is no number")),
            _ => Err("expected cpu or cuda:N".to_owned()),
        }
    }
}

impl DeviceName {
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) => bail!("this build has no CUDA support, so cuda:{ordinal} cannot be used: try cpu"),
        }
    }
}
