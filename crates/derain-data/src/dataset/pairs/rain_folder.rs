//! The layouts of the Rain100 and Rain200 sets as they go around.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use derain_metrics::pairing::{Problem, Role};

use super::Pair;
use crate::dataset::DatasetError;
use crate::{Error, find_pictures, is_picture_name};

/// Names that folders of rainy and of clean pictures go by, in lower case.
const RAINY: [&str; 4] = ["rain", "rainy", "rainy_image", "input"];
const CLEAN: [&str; 6] = ["norain", "clean", "gt", "groundtruth", "ground_truth", "target"];

/// What clean and rainy file names begin with where they share a folder, the longer first.
const CLEAN_PREFIX: &str = "norain";
const RAINY_PREFIX: &str = "rain";

/// Rain streaks at twice the scale: a leftover of the code that made these sets, which all of them are at.
const SCALE_FOLDER: &str = "x2";
const SCALE_SUFFIX: &str = "x2";

pub(super) fn read(folder: &Path) -> Result<Vec<Pair>, Error> {
    let (rainy, clean) = find_halves(folder)?;
    pair(rainy, clean)
}

/// Pictures of one kind: their folder and names in it.
struct Kind {
    folder: PathBuf,
    names: Vec<PathBuf>,
}

fn find_halves(folder: &Path) -> Result<(Kind, Kind), Error> {
    let rainy = only_folder(folder, &RAINY)?.map(|path| below_scale(&path)).transpose()?;
    let clean = only_folder(folder, &CLEAN)?;
    let here = || pictures_in(folder);
    let kind = |folder: PathBuf| Ok::<_, Error>(Kind { names: find_pictures(&folder)?, folder });
    match (rainy, clean) {
        (Some(rainy), Some(clean)) => Ok((kind(rainy)?, kind(clean)?)),
        // `rainy/rain-001.png` with `norain-001.png` beside the folder.
        (Some(rainy), None) => {
            let names = here()?.into_iter().filter(|name| has_prefix(name, CLEAN_PREFIX)).collect();
            Ok((kind(rainy)?, Kind { folder: folder.to_owned(), names }))
        }
        (None, None) => {
            let (clean, others): (Vec<_>, Vec<_>) =
                here()?.into_iter().partition(|name| has_prefix(name, CLEAN_PREFIX));
            let rainy: Vec<_> = others.into_iter().filter(|name| has_prefix(name, RAINY_PREFIX)).collect();
            if rainy.is_empty() || clean.is_empty() {
                return Err(unknown(
                    folder,
                    "it has neither folders `rain` and `norain` nor pictures `rain-…` and `norain-…`",
                ));
            }
            Ok((Kind { folder: folder.to_owned(), names: rainy }, Kind { folder: folder.to_owned(), names: clean }))
        }
        (None, Some(_)) => Err(unknown(folder, "it has a folder of clean pictures and none of rainy ones")),
    }
}

fn unknown(folder: &Path, reason: &'static str) -> Error {
    DatasetError::UnknownLayout { path: folder.to_owned(), reason }.into()
}

/// The one folder in `folder` that goes by one of `names`.
fn only_folder(folder: &Path, names: &[&str]) -> Result<Option<PathBuf>, Error> {
    let mut found = None;
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if names.contains(&name.as_str()) && path.is_dir() && found.replace(path).is_some() {
            return Err(unknown(folder, "several of its folders could hold the same kind of pictures: name both"));
        }
    }
    Ok(found)
}

fn below_scale(rainy: &Path) -> Result<PathBuf, Error> {
    Ok(only_folder(rainy, &[SCALE_FOLDER])?.unwrap_or_else(|| rainy.to_owned()))
}

/// Pictures in a folder, not below it.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = find_pictures(folder)?;
    Ok(names.into_iter().filter(|name| name.components().count() == 1 && is_picture_name(name)).collect())
}

fn has_prefix(name: &Path, prefix: &str) -> bool {
    let name = name.file_name().unwrap_or_default().as_encoded_bytes();
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// What is left of a relative path without extension, the words and the scale; a number without its leading zeros.
fn key(name: &Path) -> (PathBuf, String) {
    let stem = name.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let stem = stem.strip_prefix(CLEAN_PREFIX).or_else(|| stem.strip_prefix(RAINY_PREFIX)).unwrap_or(&stem);
    let stem =
        stem.strip_suffix(SCALE_SUFFIX).filter(|rest| rest.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(stem);
    let stem = stem.trim_start_matches(['-', '_']);
    let is_number = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
    let stem = if is_number { stem.trim_start_matches('0') } else { stem };
    (name.parent().unwrap_or(Path::new("")).to_owned(), stem.to_owned())
}

fn pair(rainy: Kind, clean: Kind) -> Result<Vec<Pair>, Error> {
    #[derive(Default)]
    struct Group {
        references: Vec<PathBuf>,
        tests: Vec<PathBuf>,
    }
    let mut groups: BTreeMap<_, Group> = BTreeMap::new();
    for name in &rainy.names {
        groups.entry(key(name)).or_default().tests.push(name.clone());
    }
    for name in &clean.names {
        groups.entry(key(name)).or_default().references.push(name.clone());
    }
    let mut problems = Vec::new();
    let mut partners = BTreeMap::new();
    for group in groups.into_values() {
        match (group.tests.as_slice(), group.references.as_slice()) {
            ([test], [reference]) => drop(partners.insert(test.clone(), reference.clone())),
            (tests, []) => problems.extend(tests.iter().map(|path| unpaired(Role::Test, path))),
            ([], references) => {
                problems.extend(references.iter().map(|path| unpaired(Role::Reference, path)));
            }
            _ => problems.push(Problem::Ambiguous { references: group.references, tests: group.tests }),
        }
    }
    if !problems.is_empty() {
        return Err(DatasetError::Unpaired { rainy: rainy.folder, clean: clean.folder, problems }.into());
    }
    // In the natural order of the rainy pictures.
    Ok(rainy
        .names
        .iter()
        .filter_map(|name| {
            let partner = partners.get(name)?;
            Some(Pair::Files { rainy: rainy.folder.join(name), clean: clean.folder.join(partner) })
        })
        .collect())
}

fn unpaired(role: Role, path: &Path) -> Problem {
    Problem::Unpaired { role, path: path.to_owned() }
}
