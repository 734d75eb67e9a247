//! Lists of pairs as text.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Pair;
use crate::Error;
use crate::dataset::DatasetError;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// As many missing files as an error names; a wrong root misses them all.
const NAMED: usize = 10;

pub(super) fn read(list: &Path, root: &Path) -> Result<Vec<Pair>, Error> {
    let bytes = fs::read(list).map_err(Error::io("read", list))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&byte| byte == b'\n').count();
        Error::ListLine { path: list.to_owned(), line, reason: "it is not UTF-8 text" }
    })?;
    let mut pairs = Vec::new();
    for (number, line) in text.trim_start_matches(BYTE_ORDER_MARK).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let pair =
            split(line, root).map_err(|reason| Error::ListLine { path: list.to_owned(), line: number + 1, reason })?;
        pairs.push(pair);
    }
    check_files(list, &pairs)?;
    Ok(pairs)
}

fn split(line: &str, root: &Path) -> Result<Pair, &'static str> {
    let pair = |rainy: &str, clean: &str| Pair::Files {
        rainy: resolve(rainy.trim(), root),
        clean: resolve(clean.trim(), root),
    };
    if let Some((rainy, clean)) = line.split_once('\t') {
        return match clean.contains('\t') {
            true => Err("it has more than two fields between tabs"),
            false => Ok(pair(rainy, clean)),
        };
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        [_] => Err("it has one path where two are needed: the rainy picture, a space, the clean picture"),
        [rainy, clean] => Ok(pair(rainy, clean)),
        _ => {
            let cuts = line.match_indices(' ').map(|(at, _)| pair(&line[..at], &line[at..]));
            let mut found: Vec<Pair> = cuts
                .filter(|pair| matches!(pair, Pair::Files { rainy, clean } if rainy.is_file() && clean.is_file()))
                .collect();
            found.dedup();
            match (found.pop(), found.is_empty()) {
                (Some(only), true) => Ok(only),
                (Some(_), false) => Err("more than one way of cutting it gives two files: separate the paths by a tab"),
                (None, _) => Err("no way of cutting it at a space gives two files that exist"),
            }
        }
    }
}

fn resolve(name: &str, root: &Path) -> PathBuf {
    let path = Path::new(name);
    match path.is_absolute() && path.exists() {
        true => path.to_owned(),
        false => root.join(name.trim_start_matches('/')),
    }
}

/// Fails with the files that are not there.
pub(super) fn check_files(list: &Path, pairs: &[Pair]) -> Result<(), Error> {
    let paths = pairs.par_iter().flat_map_iter(|pair| match pair {
        Pair::Files { rainy, clean } => [Some(rainy), Some(clean)],
        Pair::SideBySide { picture, .. } => [Some(picture), None],
    });
    // Asked side by side: over a network a million files take minutes one by one.
    let missing: Vec<&PathBuf> = paths.flatten_iter().filter(|path| !path.is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let count = missing.len();
    let first = missing.into_iter().take(NAMED).cloned().collect();
    Err(DatasetError::MissingFiles { list: list.to_owned(), count, first }.into())
}
