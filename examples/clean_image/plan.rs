//! What will be written where, checked before anything is read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use derain::data;
use derain::data::paths::{Shown, resolve};

use crate::arguments::{Arguments, JudgeName};
use crate::support::files;
use crate::support::paths::{file_id, is_folder};

/// Fails if something that is asked for cannot be done.
pub(crate) fn check(arguments: &Arguments) -> Result<()> {
    if arguments.judge != JudgeName::None {
        ensure!(arguments.mode_image.is_none(), "--mode-image is there without --judge only");
    }
    ensure!(
        arguments.judge != JudgeName::Web || cfg!(feature = "review"),
        "the review page is a feature: cargo run --release --features review --example clean_image -- …"
    );
    let input = &arguments.input;
    let metadata = fs::metadata(input).with_context(|| format!("cannot read {}", input.shown()))?;
    let source = resolve(input)?;
    let mut targets: Vec<PathBuf> = Vec::new();
    let pictures = pictures(arguments);
    for target in pictures.iter().copied().chain(&arguments.json) {
        let shown = target.shown();
        ensure!(!is_folder(target), "{shown} is a folder: a file name is needed");
        let resolved = resolve(target)?;
        ensure!(!targets.contains(&resolved), "{shown} is named for two outputs: choose another");
        let id = fs::metadata(target).ok().as_ref().and_then(file_id);
        let is_input = resolved == source || (id.is_some() && id == file_id(&metadata));
        ensure!(!is_input, "{shown} is the input and would be overwritten: choose another output");
        // It could be a frame, and would be one the next time.
        ensure!(
            !(metadata.is_dir() && resolved.starts_with(&source)),
            "{shown} lies in the input folder: choose another"
        );
        targets.push(resolved);
    }
    for picture in &pictures {
        data::output_format(picture)?;
    }
    files::check_writable(pictures.into_iter().chain(&arguments.json).map(|path| files::folder_of(path)))?;
    if let Some(folder) = &arguments.spool {
        ensure!(folder.is_dir(), "--spool {} is no folder", folder.shown());
    }
    Ok(())
}

/// The pictures that will be written.
fn pictures(arguments: &Arguments) -> Vec<&PathBuf> {
    [Some(&arguments.output), arguments.votes_plot.as_ref(), arguments.mode_image.as_ref()]
        .into_iter()
        .flatten()
        .collect()
}

/// Where frames are spooled: beside the output, or in the first folder above it that exists.
pub(crate) fn spool_folder(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(folder) = &arguments.spool {
        return Ok(folder.clone());
    }
    let output = std::path::absolute(&arguments.output)?;
    let folder = output.ancestors().skip(1).find(|folder| folder.is_dir());
    Ok(folder.unwrap_or(Path::new("/")).to_owned())
}
