//! Finds the weights in what a checkpoint holds, and makes tensors of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::error::{WeightError, malformed, printable, printable_list};
use super::limits::{MAX_EXPANSION, MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS};
use super::pickle::{Arena, Chain, Pickle, StorageRef, TensorRef, Value};
use super::tensor::{View, WeightTensor};

/// Keys under which training programs keep their state dict, in the order they are tried.
///
/// An averaged copy (`params_ema`) comes before the raw one: it is the one meant for inference.
pub const STATE_DICT_KEYS: [&str; 9] =
    ["net", "state_dict", "model", "model_state_dict", "params_ema", "params", "weights", "generator", "network"];

/// `DataParallel` puts this before every name.
const PARALLEL_PREFIX: &str = "module.";

/// Keys beside the weights that are reported.
const MAX_IGNORED: usize = 64;

/// The tensors of a checkpoint and where they were.
pub(crate) struct StateDict {
    pub(crate) tensors: BTreeMap<String, WeightTensor>,
    pub(crate) found_under: Option<String>,
    pub(crate) ignored: Vec<String>,
}

/// Byte ranges of the storages, by key.
pub(crate) type Storages<'a> = HashMap<&'a str, Range<usize>>;

/// Reads the state dict out of `pickle`. `storages` are ranges of `buffer`.
pub(crate) fn read(
    pickle: &Pickle<'_>,
    storages: &Storages<'_>,
    buffer: &Arc<Vec<u8>>,
) -> Result<StateDict, WeightError> {
    let arena = &pickle.arena;
    let Value::Dict(root) = pickle.value() else {
        return Err(WeightError::NoTensors { keys: format!("{} instead of a dict", pickle.value().kind()) });
    };
    let (found_under, chain) = find(arena, root)?;
    let named = named_tensors(arena, chain)?;

    let mut tensors = BTreeMap::new();
    let mut total = 0_u64;
    for (name, reference) in strip_prefix(named) {
        let tensor = tensor(arena, name, reference, storages, buffer)?;
        total = total.saturating_add(tensor.byte_count() as u64);
        if total > MAX_EXPANSION.saturating_mul(buffer.len() as u64) {
            return Err(WeightError::LimitExceeded { what: "times the file's size in tensors", limit: MAX_EXPANSION });
        }
        insert_unique(&mut tensors, name, tensor)?;
    }

    let beside = arena.entries(root).filter_map(|(key, value)| match (key, arena.get(value)) {
        (Value::Str(key), value) if Some(key) != found_under => {
            let is_weight = found_under.is_none() && matches!(value, Value::Tensor(_));
            (!is_weight).then(|| printable(key))
        }
        _ => None,
    });
    Ok(StateDict { tensors, ignored: beside.take(MAX_IGNORED).collect(), found_under: found_under.map(printable) })
}

/// Adds a tensor whose name must be new.
pub(crate) fn insert_unique(
    tensors: &mut BTreeMap<String, WeightTensor>,
    name: &str,
    tensor: WeightTensor,
) -> Result<(), WeightError> {
    if tensors.insert(name.to_owned(), tensor).is_some() {
        return Err(WeightError::DuplicateName { name: printable(name) });
    }
    Ok(())
}

/// Refuses names that are too long.
pub(crate) fn check_name(name: &str) -> Result<(), WeightError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(WeightError::LimitExceeded { what: "bytes in a tensor's name", limit: MAX_NAME_BYTES as u64 });
    }
    Ok(())
}

/// Removes `module.` where every name has it, as often as they do: a converted file, read again,
/// then has the same names.
pub(crate) fn strip_prefix<T>(mut named: Vec<(&str, T)>) -> Vec<(&str, T)> {
    while !named.is_empty() && named.iter().all(|(name, _)| name.starts_with(PARALLEL_PREFIX)) {
        for (name, _) in &mut named {
            *name = &name[PARALLEL_PREFIX.len()..];
        }
    }
    named
}

/// The dict of weights: under one of [`STATE_DICT_KEYS`], else the root itself, else the only entry
/// that is a dict of mostly tensors.
fn find<'a>(arena: &Arena<'a>, root: Chain) -> Result<(Option<&'a str>, Chain), WeightError> {
    // Counted once per entry of the root, and each dict once: entries may share one dict.
    let mut counted: HashMap<u32, (usize, usize)> = HashMap::new();
    let mut dicts = Vec::new();
    for (key, id) in arena.entries(root) {
        if let (Value::Str(key), Value::Dict(chain)) = (key, arena.get(id)) {
            let (tensors, entries) = *counted.entry(id).or_insert_with(|| count_tensors(arena, chain));
            if tensors > 0 {
                dicts.push((key, chain, 2 * tensors > entries));
            }
        }
    }
    for usual in STATE_DICT_KEYS {
        let mut matching = dicts.iter().filter(|(key, _, _)| *key == usual);
        match (matching.next(), matching.next()) {
            (Some(&(key, chain, _)), None) => return Ok((Some(key), chain)),
            (Some(_), Some(_)) => {
                return Err(WeightError::DuplicateName { name: usual.to_owned() });
            }
            (None, _) => {}
        }
    }
    if count_tensors(arena, root).0 > 0 {
        return Ok((None, root));
    }
    let mut mostly = dicts.iter().filter(|(_, _, mostly)| *mostly);
    match (mostly.next(), mostly.next()) {
        (Some(&(key, chain, _)), None) => Ok((Some(key), chain)),
        (Some(_), Some(_)) => {
            Err(WeightError::Ambiguous { keys: printable_list(dicts.iter().map(|(key, _, _)| *key)) })
        }
        (None, _) => Err(WeightError::NoTensors {
            keys: printable_list(arena.entries(root).filter_map(|(key, _)| match key {
                Value::Str(key) => Some(key),
                _ => None,
            })),
        }),
    }
}

/// Tensors among the values of a dict, and all of its entries.
fn count_tensors(arena: &Arena<'_>, chain: Chain) -> (usize, usize) {
    arena.entries(chain).fold((0, 0), |(tensors, entries), (_, value)| {
        let is_tensor = matches!(arena.get(value), Value::Tensor(_));
        (tensors + usize::from(is_tensor), entries + 1)
    })
}

/// The tensors of a dict with their names; entries that are no tensors are left out.
fn named_tensors<'a>(arena: &Arena<'a>, chain: Chain) -> Result<Vec<(&'a str, TensorRef)>, WeightError> {
    let mut named = Vec::new();
    for (key, value) in arena.entries(chain) {
        match (key, arena.get(value)) {
            (Value::Str(name), Value::Tensor(index)) => {
                if named.len() >= MAX_TENSORS {
                    return Err(WeightError::LimitExceeded { what: "named tensors", limit: MAX_TENSORS as u64 });
                }
                check_name(name)?;
                named.push((name, arena.tensors[index as usize]));
            }
            (key, Value::Tensor(_)) => {
                return Err(malformed(0, format!("a tensor is named by {} instead of a string", key.kind())));
            }
            _ => {}
        }
    }
    Ok(named)
}

fn tensor(
    arena: &Arena<'_>,
    name: &str,
    reference: TensorRef,
    storages: &Storages<'_>,
    buffer: &Arc<Vec<u8>>,
) -> Result<WeightTensor, WeightError> {
    let storage = &arena.storages[reference.storage as usize];
    let range = storages.get(storage.key).ok_or_else(|| WeightError::MissingStorage { key: printable(storage.key) })?;
    let view = View {
        name,
        dtype: storage.element,
        shape: &integers(arena, reference.shape),
        strides: &integers(arena, reference.strides),
        offset: reference.offset,
        storage: visible(storage, range)?,
    };
    WeightTensor::new(buffer, &view)
}

/// The bytes of a storage that its tensors may use.
fn visible(storage: &StorageRef<'_>, range: &Range<usize>) -> Result<Range<usize>, WeightError> {
    let size = storage.element.size() as u64;
    let start = storage.view_start.checked_mul(size);
    let length = storage.view_length.checked_mul(size);
    start
        .zip(length)
        .and_then(|(start, length)| {
            let start = range.start.checked_add(usize::try_from(start).ok()?)?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= range.end).then_some(start..end)
        })
        .ok_or_else(|| WeightError::StorageLength {
            key: printable(storage.key),
            declared: storage.length,
            found: range.len() as u64 / size,
        })
}

/// At most one more than [`MAX_RANK`] integers; the tensor's check refuses that one. A list that
/// was appended to after it became a shape may hold other values: -1 stands for them, as no length
/// can be negative.
fn integers(arena: &Arena<'_>, chain: Chain) -> Vec<i64> {
    arena
        .items(chain)
        .take(MAX_RANK + 1)
        .map(|id| match arena.get(id) {
            Value::Int(value) => value,
            _ => -1,
        })
        .collect()
}
