//! Which pictures to rain on and where the results go, checked before anything is written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, iter};

use anyhow::{Context, Result, bail, ensure};
use derain::data;
use derain::data::paths::Shown;

use crate::arguments::Arguments;
use crate::output::KINDS;
use crate::support::unreadable::warn_of_unreadable;

/// One photograph to rain on.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) input: PathBuf,
    /// The input's path below the input folder, without extension: the results' name.
    pub(crate) name: PathBuf,
}

/// The tasks in natural order.
pub(crate) fn plan(arguments: &Arguments) -> Result<Vec<Task>> {
    let input = &arguments.input;
    let metadata = fs::metadata(input).with_context(|| format!("cannot read {}", input.shown()))?;
    for kind in KINDS {
        let folder = arguments.output.join(kind);
        ensure!(
            !folder.exists() || !is_inside(input, &folder)?,
            "{} lies among the results in {} and might be overwritten: choose another output folder",
            input.shown(),
            folder.shown()
        );
    }
    let tasks: Vec<Task> = match metadata.is_dir() {
        true => {
            ensure!(
                !is_inside(&arguments.output, input)?,
                "{} lies inside {}, so results would be taken for photographs: choose another output folder",
                arguments.output.shown(),
                input.shown()
            );
            warn_of_unreadable(input)?;
            let pictures = data::find_pictures(input)?.into_iter();
            pictures.map(|path| Task { input: input.join(&path), name: path.with_extension("") }).collect()
        }
        false => {
            let name = input.file_stem().with_context(|| format!("{} has no name", input.shown()))?;
            vec![Task { input: input.clone(), name: name.into() }]
        }
    };
    ensure!(
        !tasks.is_empty(),
        "there are no pictures in {}: JPEG, PNG, TIFF, WebP, BMP and PNM can be read",
        input.shown()
    );
    let mut names: HashMap<&Path, &Path> = HashMap::new();
    for task in &tasks {
        if let Some(other) = names.insert(&task.name, &task.input) {
            bail!("{} and {} would have the same results: rename one", other.shown(), task.input.shown());
        }
    }
    if let Some(json) = &arguments.json {
        ensure!(!json.is_dir(), "{} is a folder: the report needs a file name", json.shown());
        let sources = tasks.iter().map(|task| &task.input).chain(&arguments.options);
        for source in sources.chain(iter::once(input)) {
            ensure!(
                !is_same(json, source),
                "{} is an input and would be overwritten: choose another report",
                json.shown()
            );
        }
    }
    Ok(tasks)
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Whether `path`, which may not exist yet, is `folder` or lies below it.
fn is_inside(path: &Path, folder: &Path) -> Result<bool> {
    let folder = folder.canonicalize()?;
    let absolute = std::path::absolute(path)?;
    let existing = absolute.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    Ok(existing.is_some_and(|existing| existing.starts_with(&folder)))
}
