//! What calls of torch's functions stand for. Nothing is ever called: each becomes one of the values of the arena.

use super::arena::{Arena, Chain, Id, StorageRef, TensorRef, Value};
use super::global::Global;
use crate::weights::error::{WeightError, malformed};
use crate::weights::limits::MAX_RANK;

/// What a REDUCE of `callee` with `arguments` stands for.
pub(super) fn reduce(
    arena: &mut Arena<'_>,
    callee: Global,
    arguments: Chain,
    offset: usize,
) -> Result<Id, WeightError> {
    // One more than any of them takes, so that too many are noticed.
    let given: Vec<Id> = arena.items(arguments).take(8).collect();
    let wrong = || {
        let what: Vec<_> = given.iter().map(|&id| arena.get(id).kind()).collect();
        malformed(offset, format!("{callee:?} cannot be built from ({})", what.join(", ")))
    };
    match (callee, given.as_slice()) {
        (Global::OrderedDict, []) => arena.push(Value::Dict(Chain::EMPTY)),
        (Global::OrderedDict, &[pairs]) => {
            let pairs = match arena.get(pairs) {
                Value::List(pairs) | Value::Tuple(pairs) => pairs,
                _ => return Err(wrong()),
            };
            ordered_dict(arena, pairs, offset)
        }
        (Global::Counter, [] | [_]) => arena.push(Value::Opaque),
        (Global::Size, &[lengths]) if matches!(arena.get(lengths), Value::Tuple(_)) => Ok(lengths),
        (Global::RebuildTensor, &[storage, start, shape, strides])
        | (
            Global::RebuildTensorV2,
            &[storage, start, shape, strides, _, _] | &[storage, start, shape, strides, _, _, _],
        ) => {
            let (Value::Storage(storage), Value::Int(start)) = (arena.get(storage), arena.get(start)) else {
                return Err(wrong());
            };
            let tensor = TensorRef {
                storage,
                offset: start,
                shape: axes(arena, shape, offset)?,
                strides: axes(arena, strides, offset)?,
            };
            arena.push_tensor(tensor)
        }
        (Global::RebuildParameter, &[tensor, _, _]) if matches!(arena.get(tensor), Value::Tensor(_)) => Ok(tensor),
        _ => Err(wrong()),
    }
}

/// Python 2 passes the entries of an `OrderedDict` as a list of pairs.
fn ordered_dict(arena: &mut Arena<'_>, pairs: Chain, offset: usize) -> Result<Id, WeightError> {
    let dict = arena.push(Value::Dict(Chain::EMPTY))?;
    let pairs: Vec<Id> = arena.items(pairs).collect();
    for pair in pairs {
        let (Value::List(pair) | Value::Tuple(pair)) = arena.get(pair) else {
            return Err(malformed(offset, "an entry of OrderedDict is not a pair"));
        };
        let pair: Vec<Id> = arena.items(pair).take(3).collect();
        let &[key, value] = pair.as_slice() else {
            return Err(malformed(offset, "an entry of OrderedDict is not a pair"));
        };
        arena.append(dict, key)?;
        arena.append(dict, value)?;
    }
    Ok(dict)
}

/// A shape or strides: a tuple or list of at most [`MAX_RANK`] integers.
fn axes(arena: &Arena<'_>, id: Id, offset: usize) -> Result<Chain, WeightError> {
    let (Value::Tuple(chain) | Value::List(chain)) = arena.get(id) else {
        return Err(malformed(offset, format!("{} instead of a tensor's shape", arena.get(id).kind())));
    };
    let mut count = 0;
    for item in arena.items(chain) {
        count += 1;
        if count > MAX_RANK {
            return Err(WeightError::LimitExceeded { what: "axes of a tensor", limit: MAX_RANK as u64 });
        }
        if !matches!(arena.get(item), Value::Int(_)) {
            return Err(malformed(offset, format!("{} in a tensor's shape", arena.get(item).kind())));
        }
    }
    Ok(chain)
}

/// A storage from its persistent id
/// `('storage', class, key, location, length, view | None)`, `view` being `(key, start, length)`;
/// zip checkpoints leave the last item out.
pub(super) fn storage(arena: &mut Arena<'_>, id: Id, offset: usize) -> Result<Id, WeightError> {
    let wrong = |found: &str| malformed(offset, format!("a persistent id that is no storage: {found}"));
    let Value::Tuple(chain) = arena.get(id) else {
        return Err(wrong(arena.get(id).kind()));
    };
    let items: Vec<Value<'_>> = arena.items(chain).take(7).map(|id| arena.get(id)).collect();
    let (tag, class, key, length, view) = match *items.as_slice() {
        [tag, class, key, _, length] => (tag, class, key, length, Value::None),
        [tag, class, key, _, length, view] => (tag, class, key, length, view),
        _ => return Err(wrong("a tuple of another length")),
    };
    let (Value::Str("storage"), Value::Global(Global::Storage(element)), Value::Str(key), Value::Int(length)) =
        (tag, class, key, length)
    else {
        let what: Vec<_> = items.iter().map(Value::kind).collect();
        return Err(wrong(&what.join(", ")));
    };
    let length = u64::try_from(length).map_err(|_| wrong(&format!("{length} elements")))?;
    let (view_start, view_length) = match view {
        Value::None => (0, length),
        Value::Tuple(view) => {
            let view: Vec<Value<'_>> = arena.items(view).take(4).map(|id| arena.get(id)).collect();
            let [_, Value::Int(start), Value::Int(count)] = *view.as_slice() else {
                return Err(wrong("a view that is not (key, start, length)"));
            };
            let inside = |start: u64, count: u64| (start.checked_add(count)? <= length).then_some((start, count));
            u64::try_from(start)
                .ok()
                .zip(u64::try_from(count).ok())
                .and_then(|(start, count)| inside(start, count))
                .ok_or_else(|| wrong(&format!("a view of {count} elements from {start} of {length}")))?
        }
        other => return Err(wrong(other.kind())),
    };
    arena.push_storage(StorageRef { key, element, length, view_start, view_length })
}
