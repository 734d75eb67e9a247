//! What is checked before anything is written.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use derain::data::paths::{Shown, resolve};
use derain::data::transcode::{Parts, check_container};

use crate::arguments::Arguments;
use crate::support::paths::{file_id, is_folder};

/// Fails if a file to write has no proper name, is one that is read, through links as well, or is written twice.
pub(crate) fn check(arguments: &Arguments) -> Result<()> {
    let (input, output) = (&arguments.input, &arguments.output);
    let metadata = fs::metadata(input).with_context(|| format!("cannot read {}", input.shown()))?;
    ensure!(metadata.is_file(), "{} is no video file", input.shown());
    ensure!(!is_folder(output), "{} is a folder: the video needs a file name", output.shown());
    check_container(output)?;
    let mut paths = HashSet::new();
    let mut ids = HashSet::new();
    for read in std::iter::once(input).chain(&arguments.engine.weights) {
        paths.insert(resolve(read)?);
        ids.extend(fs::metadata(read).ok().as_ref().and_then(file_id));
    }
    for target in std::iter::once(output).chain(&arguments.json) {
        let id = fs::metadata(target).ok().as_ref().and_then(file_id);
        if paths.contains(&resolve(target)?) || id.is_some_and(|id| ids.contains(&id)) {
            bail!("{} is an input and would be overwritten: choose another output", target.shown());
        }
    }
    let folder = resolve(&Parts::folder_of(output))?;
    for path in &paths {
        ensure!(!path.starts_with(&folder), "{} lies in a folder for parts: choose another output", path.shown());
    }
    if let Some(json) = &arguments.json {
        let path = resolve(json)?;
        ensure!(path != resolve(output)?, "{} is for both the report and the video", json.shown());
        ensure!(!path.starts_with(&folder), "{} is in the folder for parts", json.shown());
        ensure!(!is_folder(json), "{} is a folder: the report needs a file name", json.shown());
    }
    Ok(())
}
