//! Checkpoints of torch 1.6 and later: a zip archive of stored members in one folder of any name.
//!
//! `data.pkl` is the object, `data/KEY` the bytes of a storage, `byteorder` says `little` or `big`
//! where a later torch wrote it. The other members are not needed.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::{WeightError, malformed, printable, printable_list};
use super::pickle;
use super::reader::Reader;
use super::state_dict::{self, StateDict};
use super::stored_zip;

/// Reads the weights of a zip checkpoint.
pub(crate) fn read(buffer: &Arc<Vec<u8>>) -> Result<StateDict, WeightError> {
    let bytes = buffer.as_slice();
    let members = stored_zip::members(bytes)?;
    let folder = object_folder(members.keys().copied())?;
    let member = |name: &str| members.get(format!("{folder}{name}").as_str());

    if let Some(range) = member("byteorder") {
        match &bytes[range.clone()] {
            b"little" => {}
            b"big" => return Err(WeightError::BigEndian),
            _ => return Err(malformed(range.start, "byteorder is neither little nor big")),
        }
    }
    let Some(range) = member("data.pkl") else {
        return Err(malformed(0, "data.pkl is missing"));
    };
    let mut reader = Reader::new(&bytes[range.clone()]);
    let object = pickle::load(&mut reader)?;
    if reader.remaining() > 0 {
        return Err(malformed(reader.position(), "data.pkl goes on after its end"));
    }

    let mut storages = HashMap::new();
    for storage in &object.arena.storages {
        // A storage's name is a member's name, so a longer key names none.
        let range = (storage.key.len() <= usize::from(u16::MAX))
            .then(|| member(&format!("data/{}", storage.key)))
            .flatten()
            .ok_or_else(|| WeightError::MissingStorage { key: printable(storage.key) })?;
        let found = (range.len() / storage.element.size()) as u64;
        if found != storage.length {
            return Err(WeightError::StorageLength { key: printable(storage.key), declared: storage.length, found });
        }
        storages.insert(storage.key, range.clone());
    }
    state_dict::read(&object, &storages, buffer)
}

/// The folder of `data.pkl`, with its slash; there must be one.
fn object_folder<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<&'a str, WeightError> {
    let mut folders = names
        .clone()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|folder| folder.find('/') == folder.len().checked_sub(1));
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(folder),
        (Some(_), Some(_)) => Err(malformed(0, "a zip archive of several checkpoints")),
        (None, _) => Err(malformed(
            0,
            format!("a zip archive, but not a checkpoint: no FOLDER/data.pkl among {}", printable_list(names)),
        )),
    }
}
