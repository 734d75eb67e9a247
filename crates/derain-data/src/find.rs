//! Pictures and other files below a folder.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Error;

/// What the names of readable pictures end in.
const EXTENSIONS: [&str; 12] = ["bmp", "jpeg", "jpg", "pam", "pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"];

/// Whether a file name ends as those of the readable formats do, in either case. `._NAME` is none.
#[must_use]
pub fn is_picture_name(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    !is_companion(path) && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether it is `._NAME`: macOS leaves such files, without content, beside others on disks of other systems.
fn is_companion(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

/// Lists the pictures in `folder` and below, by [`is_picture_name`], as [`find_files`] does.
///
/// # Errors
/// Those of [`find_files`].
pub fn find_pictures(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    find_files(folder, |path| is_picture_name(path))
}

/// Lists the files in `folder` and below whose paths are wanted, as paths relative to `folder`, in
/// natural order: `2.png` before `10.png`. `._NAME` files are left out.
///
/// Links are followed; one that leads back to a folder above it is not entered again. A link that
/// leads nowhere is listed if its path is wanted, so that whoever loads it hears of it.
///
/// # Errors
/// [`Error::Io`] if `folder` or a folder below it cannot be read: an incomplete list would pass for
/// a complete one.
pub fn find_files(folder: impl AsRef<Path>, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Error> {
    let folder = folder.as_ref();
    // A walk over a file would find nothing, without complaint.
    fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).min_depth(1).follow_links(true) {
        let path = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry.into_path(),
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                if !path.is_symlink() || path.exists() {
                    let source = error.into_io_error().unwrap_or_else(|| ErrorKind::Other.into());
                    return Err(Error::Io { action: "list", path, source });
                }
                path
            }
        };
        if !is_companion(&path)
            && is_wanted(&path)
            && let Ok(relative) = path.strip_prefix(folder)
        {
            found.push(relative.to_owned());
        }
    }
    found.sort_by(|a, b| natural_order(a, b));
    Ok(found)
}

/// Component by component, runs of digits by their value.
pub(crate) fn natural_order(a: &Path, b: &Path) -> Ordering {
    let mut left = a.components().map(|part| part.as_os_str().as_encoded_bytes());
    let mut right = b.components().map(|part| part.as_os_str().as_encoded_bytes());
    loop {
        match (left.next(), right.next()) {
            (Some(l), Some(r)) => match compare_names(l, r) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (l, r) => return l.is_some().cmp(&r.is_some()),
        }
    }
}

fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(l), Some(r)) = (left.first(), right.first()) {
        let order = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l, r) = (take_number(&mut left), take_number(&mut right));
            l.len().cmp(&r.len()).then_with(|| l.cmp(r))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            l.cmp(r)
        };
        if order.is_ne() {
            return order;
        }
    }
    // `1` and `01` are equal up to here, but two files all the same.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Splits a run of digits off the front, without its leading zeros.
fn take_number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (number, rest) = name.split_at(end);
    *name = rest;
    let zeros = number.iter().take_while(|&&digit| digit == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::natural_order;
    use std::path::PathBuf;

    #[test]
    fn numbers_sort_by_value_and_folders_stay_together() {
        // "01" and "1" are equal values, so the names' bytes decide.
        let sorted = ["01.png", "1.png", "2.png", "10.png", "a/9.png", "a/10.png", "a2.png", "a10.png", "b.png"];
        let sorted: Vec<PathBuf> = sorted.iter().map(PathBuf::from).collect();
        let mut names: Vec<PathBuf> = sorted.iter().rev().cloned().collect();
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, sorted);
    }
}
