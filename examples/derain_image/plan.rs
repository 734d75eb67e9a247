//! Which file becomes which, decided and checked before anything is written.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use derain::data;
use derain::data::paths::{Shown, resolve};

use crate::arguments::Arguments;
use crate::support::files::folder_of;
use crate::support::paths::{file_id, is_folder};
use crate::support::unreadable::warn_of_unreadable;

/// One picture to do.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) attention: Option<PathBuf>,
    /// Why it will not be done, if that is clear from the names alone.
    pub(crate) refusal: Option<String>,
}

impl Task {
    /// The files that the task writes.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.output).chain(&self.attention)
    }
}

/// The tasks that the arguments describe, in natural order.
///
/// An error means that nothing may be done; a task that cannot be done beside others says so itself.
pub(crate) fn plan(arguments: &Arguments) -> Result<Vec<Task>> {
    let input = &arguments.input;
    let metadata = fs::metadata(input).with_context(|| format!("cannot read {}", input.shown()))?;
    let mut tasks = match metadata.is_dir() {
        true => plan_folder(arguments)?,
        false => vec![plan_file(arguments)?],
    };
    refuse_collisions(&mut tasks)?;
    protect_inputs(&tasks, arguments)?;
    Ok(tasks)
}

/// The folders without which nothing can be written: of a tree the top, as what cannot be written below it is said of
/// its pictures.
pub(crate) fn folders<'a>(tasks: &'a [Task], arguments: &'a Arguments) -> Vec<&'a Path> {
    let of_pictures: Vec<&Path> = if arguments.input.is_dir() {
        [Some(&arguments.output), arguments.attention.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect()
    } else {
        tasks.iter().flat_map(Task::targets).map(|target| folder_of(target)).collect()
    };
    of_pictures.into_iter().chain(arguments.json.as_deref().map(folder_of)).collect()
}

fn plan_file(arguments: &Arguments) -> Result<Task> {
    let input = &arguments.input;
    let target = |path: &PathBuf| -> Result<PathBuf> {
        if is_folder(path) {
            let name = input.file_name().with_context(|| format!("{} has no name", input.shown()))?;
            return Ok(path.join(name).with_extension("png"));
        }
        data::output_format(path)?;
        Ok(path.clone())
    };
    let output = target(&arguments.output)?;
    let attention = arguments.attention.as_ref().map(target).transpose()?;
    Ok(Task { input: input.clone(), output, attention, refusal: None })
}

fn plan_folder(arguments: &Arguments) -> Result<Vec<Task>> {
    let source = resolve(&arguments.input)?;
    let mut written = Vec::new();
    for folder in [Some(&arguments.output), arguments.attention.as_ref()].into_iter().flatten() {
        let (shown, resolved) = (folder.shown(), resolve(folder)?);
        // A new folder named like a picture is a slip, unless it ends in a separator.
        let is_free = is_folder(folder) || !folder.exists() && data::output_format(folder).is_err();
        ensure!(is_free, "{} is a folder, so {shown} must be one too", arguments.input.shown());
        ensure!(resolved != source, "{shown} is the input folder: choose another");
        ensure!(!written.contains(&resolved), "{shown} is for both the pictures and the attention: choose another");
        written.push(resolved);
    }
    // What an earlier run wrote into the input folder is no input.
    written.retain(|folder| folder.starts_with(&source));
    let mut tasks = Vec::new();
    let mut left_out = Vec::new();
    for name in data::find_pictures(&arguments.input)? {
        let input = arguments.input.join(&name);
        let resolved = resolve(&input)?;
        if written.iter().any(|folder| resolved.starts_with(folder)) {
            left_out.push((input, resolved));
            continue;
        }
        let name = name.with_extension("png");
        let attention = arguments.attention.as_ref().map(|folder| folder.join(&name));
        tasks.push(Task { input, output: arguments.output.join(&name), attention, refusal: None });
    }
    warn_of_unreadable(&arguments.input)?;
    ensure!(
        !tasks.is_empty(),
        "there are no pictures in {}: JPEG, PNG, TIFF, WebP, BMP and PNM can be read",
        arguments.input.shown()
    );
    let mut targets = HashSet::new();
    for target in tasks.iter().flat_map(Task::targets) {
        targets.insert(resolve(target)?);
    }
    if let Some((picture, _)) = left_out.iter().find(|(_, resolved)| !targets.contains(resolved)) {
        bail!(
            "{} lies in an output folder inside {} and is no result of these pictures: choose output folders elsewhere",
            picture.shown(),
            arguments.input.shown()
        );
    }
    Ok(tasks)
}

/// Marks the tasks that would write the same file.
fn refuse_collisions(tasks: &mut [Task]) -> Result<()> {
    let mut writers: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        for target in task.targets() {
            writers.entry(resolve(target)?).or_default().push(index);
        }
    }
    for (target, writers) in writers.into_iter().filter(|(_, writers)| writers.len() > 1) {
        let inputs: Vec<String> = writers.iter().map(|&index| tasks[index].input.shown().to_string()).collect();
        let refusal = match inputs.iter().all(|input| *input == inputs[0]) {
            true => format!("the picture and its attention would both become {}", target.shown()),
            false => {
                format!("{} would become one file, {}: rename one of them", inputs.join(" and "), target.shown())
            }
        };
        for index in writers {
            tasks[index].refusal = Some(refusal.clone());
        }
    }
    Ok(())
}

/// Fails if a file to write is one that is read, through links as well, or is written twice.
fn protect_inputs(tasks: &[Task], arguments: &Arguments) -> Result<()> {
    let mut paths = HashSet::new();
    let mut ids = HashSet::new();
    for input in tasks.iter().map(|task| &task.input).chain(&arguments.engine.weights) {
        paths.insert(resolve(input)?);
        ids.extend(fs::metadata(input).ok().as_ref().and_then(file_id));
    }
    for target in tasks.iter().flat_map(Task::targets).chain(&arguments.json) {
        let id = fs::metadata(target).ok().as_ref().and_then(file_id);
        if paths.contains(&resolve(target)?) || id.is_some_and(|id| ids.contains(&id)) {
            bail!("{} is an input and would be overwritten: choose another output", target.shown());
        }
    }
    if let Some(json) = &arguments.json {
        let resolved = resolve(json)?;
        for target in tasks.iter().flat_map(Task::targets) {
            ensure!(resolve(target)? != resolved, "{} is for both the report and a picture", json.shown());
        }
        ensure!(!is_folder(json), "{} is a folder: the report needs a file name", json.shown());
    }
    Ok(())
}
