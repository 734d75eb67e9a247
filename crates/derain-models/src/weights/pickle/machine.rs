//! The stacks and the memo of the pickle machine.

use std::collections::HashMap;

use super::Pickle;
use super::arena::{Arena, Id, Value};
use crate::weights::error::{WeightError, malformed};
use crate::weights::limits::{MAX_MEMO, MAX_STACK};
use crate::weights::reader::Reader;

#[derive(Default)]
pub(super) struct Machine<'a> {
    pub(super) arena: Arena<'a>,
    pub(super) stack: Vec<Id>,
    /// Stack heights at which a MARK lies; nothing below the last may be popped.
    marks: Vec<u32>,
    pub(super) memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn finish(mut self, offset: usize) -> Result<Pickle<'a>, WeightError> {
        let root = self.pop(offset)?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return Err(malformed(offset, "values are left over at the pickle's end"));
        }
        Ok(Pickle { arena: self.arena, root })
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), WeightError> {
        let id = self.arena.push(value)?;
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<(), WeightError> {
        if self.stack.len() >= MAX_STACK {
            return Err(too_deep());
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn push_text(&mut self, length: u64, reader: &mut Reader<'a>) -> Result<(), WeightError> {
        let offset = reader.position();
        let text = std::str::from_utf8(reader.take(length, "a string")?)
            .map_err(|_| malformed(offset, "a string that is not UTF-8"))?;
        self.push(Value::Str(text))
    }

    pub(super) fn push_bytes(&mut self, length: u64, reader: &mut Reader<'a>) -> Result<(), WeightError> {
        reader.take(length, "bytes")?;
        self.push(Value::Opaque)
    }

    pub(super) fn mark(&mut self) -> Result<(), WeightError> {
        if self.marks.len() >= MAX_STACK {
            return Err(too_deep());
        }
        // The stack is far shorter than 2^32.
        self.marks.push(self.stack.len() as u32);
        Ok(())
    }

    /// Height of the stack at the last mark.
    pub(super) fn floor(&self) -> usize {
        self.marks.last().map_or(0, |&mark| mark as usize)
    }

    pub(super) fn pop(&mut self, offset: usize) -> Result<Id, WeightError> {
        if self.stack.len() <= self.floor() {
            return Err(underflow(offset));
        }
        self.stack.pop().ok_or_else(|| underflow(offset))
    }

    /// Removes the last mark; what was pushed since starts at the height returned.
    pub(super) fn pop_mark(&mut self, offset: usize) -> Result<usize, WeightError> {
        let mark = self.marks.pop().ok_or_else(|| underflow(offset))?;
        Ok(mark as usize)
    }

    /// Moves everything from stack height `start` on into a new container.
    pub(super) fn collect(&mut self, empty: Value<'a>, start: usize) -> Result<(), WeightError> {
        let container = self.arena.push(empty)?;
        self.move_into(container, start)?;
        self.push_id(container)
    }

    pub(super) fn move_into(&mut self, container: Id, start: usize) -> Result<(), WeightError> {
        for &item in &self.stack[start..] {
            self.arena.append(container, item)?;
        }
        self.stack.truncate(start);
        Ok(())
    }

    /// The container below stack height `start`.
    pub(super) fn container(&self, start: usize, offset: usize) -> Result<(Id, Value<'a>), WeightError> {
        let below = start.checked_sub(1).filter(|&below| below >= self.floor());
        let id = below.and_then(|below| self.stack.get(below));
        let &id = id.ok_or_else(|| underflow(offset))?;
        Ok((id, self.arena.get(id)))
    }

    pub(super) fn extend(&mut self, start: usize, offset: usize) -> Result<(), WeightError> {
        match self.container(start, offset)? {
            (list, Value::List(_)) => self.move_into(list, start),
            (_, other) => Err(wrong_container(offset, "list", &other)),
        }
    }

    pub(super) fn set_items(&mut self, start: usize, offset: usize) -> Result<(), WeightError> {
        self.check_pairs(start, offset)?;
        match self.container(start, offset)? {
            (dict, Value::Dict(_)) => self.move_into(dict, start),
            // A Counter, whose content is dropped.
            (_, Value::Opaque) => {
                self.stack.truncate(start);
                Ok(())
            }
            (_, other) => Err(wrong_container(offset, "dict", &other)),
        }
    }

    pub(super) fn check_pairs(&self, start: usize, offset: usize) -> Result<(), WeightError> {
        if (self.stack.len() - start).is_multiple_of(2) {
            Ok(())
        } else {
            Err(malformed(offset, "a dict key without a value"))
        }
    }

    pub(super) fn remember(&mut self, slot: u32, offset: usize) -> Result<(), WeightError> {
        let &top = self.stack.get(self.floor()..).and_then(<[Id]>::last).ok_or_else(|| underflow(offset))?;
        if self.memo.len() >= MAX_MEMO && !self.memo.contains_key(&slot) {
            return Err(WeightError::LimitExceeded { what: "memo slots in the pickle", limit: MAX_MEMO as u64 });
        }
        self.memo.insert(slot, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, slot: u32, offset: usize) -> Result<(), WeightError> {
        let id = self.memo.get(&slot).copied();
        self.push_id(id.ok_or_else(|| malformed(offset, format!("memo slot {slot} is empty")))?)
    }

    /// State dicts carry attributes (`_metadata`, the modules' versions) as state of their
    /// `OrderedDict`; they are dropped. Any other state would run a class's own code.
    pub(super) fn build(&mut self, offset: usize) -> Result<(), WeightError> {
        let state = self.pop(offset)?;
        let object = self.pop(offset)?;
        match (self.arena.get(object), self.arena.get(state)) {
            (Value::Dict(_), Value::Dict(_)) => self.push_id(object),
            (object, _) => Err(WeightError::Refused { global: format!("__setstate__ of {}", object.kind()) }),
        }
    }
}

pub(super) fn underflow(offset: usize) -> WeightError {
    malformed(offset, "the pickle takes a value that it never pushed")
}

fn too_deep() -> WeightError {
    WeightError::LimitExceeded { what: "values on the pickle's stack", limit: MAX_STACK as u64 }
}

pub(super) fn wrong_container(offset: usize, wanted: &str, found: &Value<'_>) -> WeightError {
    malformed(offset, format!("{} instead of a {wanted}", found.kind()))
}
