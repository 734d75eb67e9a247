//! Shows what a weight file holds, and converts PyTorch checkpoints to safetensors.
//!
//! ```text
//! cargo run --release --example inspect_weights -- spanet.pth
//! cargo run --release --example inspect_weights -- spanet.pth -o spanet.safetensors
//! cargo run --release --example inspect_weights -- spanet.pth -o spanet.safetensors --form paper
//! cargo run --release --example inspect_weights -- big.safetensors -o small.safetensors --f16
//! cargo run --release --example inspect_weights -- before.safetensors --blend after.safetensors --share 0.8 -o between.safetensors
//! ```
//!
//! The file may come from anywhere: nothing in it is run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use derain::Device;
use derain::data::paths::{Shown, resolve};
use derain::models::spanet::DirectionWeights;
use derain::models::weights::WeightFile;
use derain::models::{RraNet, RraNetConfig, SpaNet, SpaNetConfig, rranet, spanet};

/// Show the names, types and shapes in a weight file (.safetensors, .pth), and convert it.
#[derive(Parser)]
struct Arguments {
    /// The weight file; its format is told from its content.
    file: PathBuf,
    /// Write the tensors, unchanged unless --f16 says so, to this safetensors file.
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: Option<PathBuf>,
    /// Store floats in 16 bits: half the size.
    #[arg(long, requires = "output", conflicts_with = "blend")]
    f16: bool,
    /// Blend the values with those of this file, of the same network trained on: --share of it, the rest of the first.
    #[arg(long, value_name = "FILE", requires_all = ["output", "share"])]
    blend: Option<PathBuf>,
    /// How much of --blend's values, 0 to 1.
    #[arg(long, value_name = "SHARE", requires = "blend", value_parser = support::values::number::<f64>(0.0..=1.0))]
    share: Option<f64>,
    /// Say in what is written that it is SPANet in this form, which tensors alone do not tell: without it a .pth runs
    /// in the release's.
    #[arg(long, value_enum, requires = "output", conflicts_with = "stages")]
    form: Option<Form>,
    /// Say in what is written that it is RRANet with this many stages, likewise: without it a .pth runs six.
    #[arg(long, value_name = "N", requires = "output")]
    stages: Option<usize>,
}

/// Forms of SPANet.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The four directions are weighed, pictures are RGB.
    Paper,
    /// The four directions are not weighed, pictures are BGR.
    Release,
}

#[path = "support/mod.rs"]
mod support;

use support::paths::file_id;

fn main() -> ExitCode {
    support::exit_code(run().map(|()| true))
}

fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut weights =
        WeightFile::open(&arguments.file).with_context(|| format!("{} was not read", arguments.file.shown()))?;
    configure(&mut weights, &arguments)?;
    // Before the table, whose reader may go away.
    if let Some(output) = &arguments.output {
        convert(&weights, &arguments, output)?;
    }
    match print(&weights, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes into the file's metadata which network it holds, where the arguments say it.
fn configure(weights: &mut WeightFile, arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(form) = arguments.form {
        let form = match form {
            Form::Paper => SpaNetConfig::paper(),
            Form::Release => SpaNetConfig::release(),
        };
        let known = spanet::recognize(weights)?;
        // Variants without attention or without its branch differ in the order of colours alone.
        let direction_weights = match known.direction_weights {
            DirectionWeights::Absent => DirectionWeights::Absent,
            _ => form.direction_weights,
        };
        let config = SpaNetConfig { direction_weights, channel_order: form.channel_order, ..known };
        spanet::set_configuration(weights, &config)?;
    }
    if let Some(stages) = arguments.stages {
        let config = RraNetConfig { stages, ..rranet::recognize(weights)? };
        rranet::set_configuration(weights, &config)?;
    }
    Ok(())
}

fn convert(weights: &WeightFile, arguments: &Arguments, output: &Path) -> anyhow::Result<()> {
    for input in std::iter::once(&arguments.file).chain(&arguments.blend) {
        let id = |path: &Path| fs::metadata(path).ok().as_ref().and_then(file_id);
        let is_hard_link = id(input).is_some_and(|input| id(output) == Some(input));
        if is_hard_link || resolve(input)? == resolve(output)? {
            bail!("{} is an input and would be overwritten; give another name to -o", output.shown());
        }
    }
    if output.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("safetensors")) {
        bail!("what is written is safetensors, so the name of {} must end in .safetensors", output.shown());
    }
    let bytes = match (&arguments.blend, arguments.share) {
        (Some(other), Some(share)) => {
            let other = WeightFile::open(other).with_context(|| format!("{} was not read", other.shown()))?;
            weights.blended(&other, share)
        }
        _ if arguments.f16 => weights.to_safetensors_f16(),
        _ => weights.to_safetensors(),
    };
    let bytes = bytes.context("the tensors were not converted")?;
    support::files::remove_orphans([output]);
    support::files::write(output, &bytes)?;
    let _ = writeln!(io::stderr(), "wrote {}", output.shown());
    Ok(())
}

fn print(weights: &WeightFile, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "format      {}", weights.format)?;
    writeln!(out, "sha256      {}", weights.sha256)?;
    for (key, value) in &weights.metadata {
        writeln!(out, "metadata    {}: {}", key.escape_debug(), value.escape_debug())?;
    }
    if let Some(key) = &weights.found_under {
        writeln!(out, "found under {key}")?;
    }
    if !weights.ignored.is_empty() {
        writeln!(out, "not weights {}", weights.ignored.join(", "))?;
    }
    writeln!(out, "tensors     {}", weights.tensors.len())?;
    writeln!(out, "parameters  {}", weights.parameter_count())?;
    let spanet = SpaNet::from_file(weights, &Device::Cpu).map(|network| format!("spanet {:?}", network.config()));
    let rranet = || RraNet::from_file(weights, &Device::Cpu).map(|network| format!("rranet {:?}", network.config()));
    match spanet.or_else(|reason| rranet().map_err(|other| format!("{reason}; {other}"))) {
        Ok(network) => writeln!(out, "network     {network}")?,
        Err(reasons) => writeln!(out, "network     not recognised ({reasons})")?,
    }
    writeln!(out)?;

    let rows: Vec<(String, String, String)> = weights
        .tensors
        .iter()
        .map(|(name, tensor)| {
            (name.escape_debug().to_string(), tensor.dtype.to_string(), format!("{:?}", tensor.shape))
        })
        .collect();
    let name_width = rows.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or(0);
    for (name, dtype, shape) in rows {
        writeln!(out, "{name:name_width$}  {dtype:4}  {shape}")?;
    }
    Ok(())
}
