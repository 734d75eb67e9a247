//! Checkpoints of torch before 1.6, and of later ones asked for the old format.
//!
//! Layout: five pickles (magic number, format version, system information, the object, the keys of
//! the storages), then for each key, in that order, the number of elements as an `i64` and the
//! elements, all little-endian.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::{WeightError, malformed, printable};
use super::pickle::{self, Arena, StorageRef, Value};
use super::reader::Reader;
use super::state_dict::{self, StateDict, Storages};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC_NUMBER: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const FORMAT_VERSION: i64 = 1001;

/// Reads the weights of a legacy checkpoint.
pub(crate) fn read(buffer: &Arc<Vec<u8>>) -> Result<StateDict, WeightError> {
    let bytes = buffer.as_slice();
    let mut reader = Reader::new(bytes);
    let magic = pickle::load(&mut reader)?;
    if !matches!(magic.value(), Value::BigInt(number) if number == MAGIC_NUMBER) {
        return Err(malformed(0, "a pickle, but not a checkpoint: torch's magic number is missing"));
    }
    let version_at = reader.position();
    let version = pickle::load(&mut reader)?;
    if !matches!(version.value(), Value::Int(FORMAT_VERSION)) {
        return Err(malformed(version_at, format!("the format's version is not {FORMAT_VERSION}")));
    }
    check_system(&mut reader)?;
    let object = pickle::load(&mut reader)?;
    let storages = locate_storages(&object.arena, &mut reader)?;
    state_dict::read(&object, &storages, buffer)
}

fn check_system(reader: &mut Reader<'_>) -> Result<(), WeightError> {
    let offset = reader.position();
    let system = pickle::load(reader)?;
    let Value::Dict(entries) = system.value() else {
        return Err(malformed(offset, "the system information is no dict"));
    };
    let little_endian = system.arena.entries(entries).find(|(key, _)| matches!(key, Value::Str("little_endian")));
    match little_endian.map(|(_, value)| system.arena.get(value)) {
        Some(Value::Bool(true)) => Ok(()),
        Some(Value::Bool(false)) => Err(WeightError::BigEndian),
        _ => Err(malformed(offset, "the system information lacks `little_endian`")),
    }
}

/// Steps over the storages behind the pickles and notes where each lies.
fn locate_storages<'a>(arena: &Arena<'a>, reader: &mut Reader<'a>) -> Result<Storages<'a>, WeightError> {
    let offset = reader.position();
    let declared = declared_storages(arena, offset)?;
    let keys = pickle::load(reader)?;
    let Value::List(listed) = keys.value() else {
        return Err(malformed(offset, "the storage keys are no list"));
    };
    let mut storages = HashMap::new();
    for id in keys.arena.items(listed) {
        let offset = reader.position();
        let Value::Str(key) = keys.arena.get(id) else {
            return Err(malformed(offset, "a storage key that is not a string"));
        };
        let storage = declared
            .get(key)
            .ok_or_else(|| malformed(offset, format!("no tensor refers to storage `{}`", printable(key))))?;
        let found = reader.u64("a storage's length")?;
        if found != storage.length {
            return Err(WeightError::StorageLength { key: printable(key), declared: storage.length, found });
        }
        let start = reader.position();
        let wanted = found.saturating_mul(storage.element.size() as u64);
        reader.take(wanted, "a storage")?;
        if storages.insert(key, start..reader.position()).is_some() {
            return Err(malformed(offset, format!("storage `{}` is listed twice", printable(key))));
        }
    }
    if reader.remaining() > 0 {
        return Err(malformed(reader.position(), format!("{} bytes after the last storage", reader.remaining())));
    }
    Ok(storages)
}

/// The storages that tensors refer to, by key. Their element type is nowhere else in the file, so
/// two that share a key must agree.
fn declared_storages<'a, 'b>(
    arena: &'b Arena<'a>,
    offset: usize,
) -> Result<HashMap<&'a str, &'b StorageRef<'a>>, WeightError> {
    let mut declared: HashMap<&str, &StorageRef<'_>> = HashMap::new();
    for storage in &arena.storages {
        let first = declared.entry(storage.key).or_insert(storage);
        if (first.element, first.length) != (storage.element, storage.length) {
            return Err(malformed(
                offset,
                format!(
                    "storage `{}` is declared as {} of {} and as {} of {}",
                    printable(storage.key),
                    first.length,
                    first.element,
                    storage.length,
                    storage.element
                ),
            ));
        }
    }
    Ok(declared)
}
