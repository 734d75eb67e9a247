//! Telling layouts apart, only where there is no doubt.

use std::path::Path;

use super::PairList;
use crate::Error;
use crate::dataset::DatasetError;
use crate::dataset::build::MANIFEST;

pub(super) fn detect(path: &Path) -> Result<PairList, Error> {
    let unknown = |reason| Err(DatasetError::UnknownLayout { path: path.to_owned(), reason }.into());
    let metadata = path.metadata().map_err(Error::io("read", path))?;
    let has_extension = |wanted| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
    if metadata.is_file() {
        return match () {
            () if has_extension("json") => unknown("a manifest has a training and a test side: say which"),
            () if has_extension("txt") => PairList::from_list_file(path, path.parent().unwrap_or(Path::new(""))),
            () => unknown("a list of pairs is a .txt file"),
        };
    }
    if path.join(MANIFEST).is_file() {
        return unknown("it is a built data set: give one of its lists, train.txt or test.txt");
    }
    match PairList::from_rain_folder(path) {
        Err(Error::Dataset(DatasetError::UnknownLayout { .. })) => unknown(
            "it is no list file (.txt) and no folder with `rain` and `norain`: say whether its pictures hold both halves, \
             or name the two folders",
        ),
        result => result,
    }
}
