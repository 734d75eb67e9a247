//! The values of a pickle, side by side in flat vectors.
//!
//! Values refer to each other by index and containers are linked entries of one vector. So nesting
//! of any depth, shared structure and cycles cost nothing when they are dropped or walked, and a
//! reference from the memo never copies what it refers to.

use super::global::Global;
use crate::weights::element_type::ElementType;
use crate::weights::error::WeightError;
use crate::weights::limits::{MAX_LINKS, MAX_STORAGES, MAX_VALUES};

/// Index of a value in its [`Arena`].
pub(crate) type Id = u32;

const END: u32 = u32::MAX;

/// One value. Floats, bytes and sets are kept as [`Value::Opaque`]: weights never need them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Little-endian two's complement, more than 8 bytes.
    BigInt(&'a [u8]),
    Str(&'a str),
    Opaque,
    Tuple(Chain),
    List(Chain),
    /// Keys and values in turn.
    Dict(Chain),
    Global(Global),
    /// Index into [`Arena::storages`].
    Storage(u32),
    /// Index into [`Arena::tensors`].
    Tensor(u32),
}

impl Value<'_> {
    /// The kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::BigInt(_) => "an integer",
            Self::Str(_) => "a string",
            Self::Opaque => "a number, bytes or a set",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a function",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// First and last entry of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    head: u32,
    tail: u32,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { head: END, tail: END };
}

struct Link {
    value: Id,
    next: u32,
}

/// A storage as its persistent id describes it; lengths and offsets in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageRef<'a> {
    pub(crate) key: &'a str,
    pub(crate) element: ElementType,
    /// Elements of the whole storage.
    pub(crate) length: u64,
    /// The part that tensors see.
    pub(crate) view_start: u64,
    pub(crate) view_length: u64,
}

/// A tensor as `_rebuild_tensor_v2` describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorRef {
    pub(crate) storage: u32,
    pub(crate) offset: i64,
    pub(crate) shape: Chain,
    pub(crate) strides: Chain,
}

/// All values of one pickle.
#[derive(Default)]
pub(crate) struct Arena<'a> {
    values: Vec<Value<'a>>,
    links: Vec<Link>,
    pub(crate) storages: Vec<StorageRef<'a>>,
    pub(crate) tensors: Vec<TensorRef>,
}

impl<'a> Arena<'a> {
    pub(crate) fn push(&mut self, value: Value<'a>) -> Result<Id, WeightError> {
        push_below(&mut self.values, value, MAX_VALUES, "values in the pickle")
    }

    pub(crate) fn get(&self, id: Id) -> Value<'a> {
        self.values[id as usize]
    }

    pub(crate) fn push_storage(&mut self, storage: StorageRef<'a>) -> Result<Id, WeightError> {
        let index = push_below(&mut self.storages, storage, MAX_STORAGES, "storages")?;
        self.push(Value::Storage(index))
    }

    pub(crate) fn push_tensor(&mut self, tensor: TensorRef) -> Result<Id, WeightError> {
        let index = push_below(&mut self.tensors, tensor, MAX_STORAGES, "tensors")?;
        self.push(Value::Tensor(index))
    }

    /// Appends to a tuple, list or dict; other values are left as they are.
    pub(crate) fn append(&mut self, container: Id, item: Id) -> Result<(), WeightError> {
        let link = Link { value: item, next: END };
        let index = push_below(&mut self.links, link, MAX_LINKS, "container entries in the pickle")?;
        if let Value::Tuple(chain) | Value::List(chain) | Value::Dict(chain) = &mut self.values[container as usize] {
            if chain.tail == END {
                chain.head = index;
            } else {
                self.links[chain.tail as usize].next = index;
            }
            chain.tail = index;
        }
        Ok(())
    }

    /// The entries of a container, in order.
    pub(crate) fn items(&self, chain: Chain) -> impl Iterator<Item = Id> + '_ {
        let mut next = chain.head;
        std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.next;
            Some(link.value)
        })
    }

    /// Keys and values of a dict, in order; an odd last entry does not occur.
    pub(crate) fn entries(&self, chain: Chain) -> impl Iterator<Item = (Value<'a>, Id)> + '_ {
        let mut items = self.items(chain);
        std::iter::from_fn(move || Some((self.get(items.next()?), items.next()?)))
    }
}

fn push_below<T>(vector: &mut Vec<T>, item: T, limit: usize, what: &'static str) -> Result<u32, WeightError> {
    // The limits are far below 2^32, so the index fits.
    let index = u32::try_from(vector.len()).unwrap_or(END);
    if vector.len() >= limit {
        return Err(WeightError::LimitExceeded { what, limit: limit as u64 });
    }
    vector.push(item);
    Ok(index)
}
