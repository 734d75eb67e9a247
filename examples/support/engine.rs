//! The part of a command line that says what computes, and the derainer that it asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use derain::data::paths::Shown;
use derain::models::weights::WeightFile;
use derain::models::{rranet, spanet};
use derain::{Derainer, Network, Placement, Precision};
use sysinfo::System;

use super::device::DeviceName;
use super::size;

#[derive(Args, Debug)]
pub(crate) struct EngineArguments {
    /// Network to run: spanet or rranet.
    #[arg(long, default_value = "spanet", value_name = "NAME")]
    pub(crate) model: Network,

    /// Weights of the network instead of those that are shipped.
    #[arg(long, value_name = "FILE.safetensors|FILE.pth")]
    pub(crate) weights: Option<PathBuf>,

    /// Where to compute. GPUs need a build with the feature `cuda`.
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda:N")]
    pub(crate) device: DeviceName,

    /// What features are kept and multiplied in; f16 and bf16 on GPUs alone, for half the memory.
    #[arg(long, default_value_t, value_name = "f32|f16|bf16")]
    pub(crate) precision: Precision,

    /// Memory that inference may take, such as 2GiB, 500MB or 1073741824: pictures that need more run from temporary
    /// files, with the same result (SPANet), and those too large even for that are refused. Without it, what is free at
    /// the start, within the container's limit (a GPU has no limit: a picture that it has no memory for is done in
    /// bands of rows).
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_memory: Option<u64>,

    /// Folder for those temporary files instead of the system's (on Linux /var/tmp where that is memory). A picture of
    /// 24 megapixels takes 6 GB there.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
}

impl EngineArguments {
    /// Loads the weights.
    pub(crate) fn derainer(&self) -> Result<Derainer> {
        if let Some(folder) = &self.spool {
            ensure!(
                self.model == Network::SpaNet && self.device == DeviceName::Cpu,
                "--spool is for SPANet on the CPU: nothing else keeps features in files"
            );
            ensure!(folder.is_dir(), "--spool {} is no folder", folder.shown());
        }
        let device = self.device.open()?;
        let place = Placement::new(&device, self.precision);
        let derainer = match &self.weights {
            Some(weights) => from_file(self.model, weights, place)
                .with_context(|| format!("cannot use the weights {}", weights.shown()))?,
            None => shipped(self.model, place)?,
        };
        let mut derainer =
            derainer.with_max_memory(self.max_memory.or_else(|| available_memory().filter(|_| device.is_cpu())));
        if let Some(folder) = &self.spool {
            derainer = derainer.with_spool_folder(folder);
        }
        Ok(derainer)
    }
}

/// As `Derainer::from_weights`, but says what it takes for granted.
fn from_file(network: Network, path: &Path, place: Placement) -> Result<Derainer> {
    let file = WeightFile::open(path)?;
    let derainer = Derainer::from_weight_file(network, &file, place)?;
    let assumed = match network {
        Network::SpaNet if !spanet::is_configured(&file) => Some(format!("{:?}", spanet::recognize(&file)?)),
        Network::RraNet if !rranet::is_configured(&file) => Some(format!("{:?}", rranet::recognize(&file)?)),
        _ => None,
    };
    if let Some(assumed) = assumed {
        tracing::info!(
            "{} does not say its configuration, {assumed} is assumed; inspect_weights can write another into it",
            path.shown()
        );
    }
    Ok(derainer)
}

#[cfg(feature = "pretrained")]
fn shipped(network: Network, place: Placement) -> Result<Derainer> {
    Ok(Derainer::pretrained(network, place)?)
}

#[cfg(not(feature = "pretrained"))]
fn shipped(network: Network, _: Placement) -> Result<Derainer> {
    anyhow::bail!("this build has no weights of {network} (feature `pretrained`): give a file with --weights")
}

/// Memory that the system could give now without swapping, and that the container may take.
fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    // 0 where the system does not tell. Its limits must not be asked for then: `sysinfo` would panic.
    let free = Some(system.available_memory()).filter(|&bytes| bytes > 0)?;
    // Files in the cache count as used there, but go when memory is wanted.
    let contained = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss));
    Some(contained.map_or(free, |bytes| bytes.min(free)))
}
