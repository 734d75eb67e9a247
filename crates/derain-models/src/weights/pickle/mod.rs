//! A pickle machine that cannot run anything.
//!
//! A pickle is a program for a small stack machine. This one knows the opcodes that torch writes
//! (protocols 2 to 5) and an allow-list of [globals](global::Global); a file that names any other
//! function or class is refused with [`WeightError::Refused`] the moment it does so, and calls of
//! the allowed ones become plain values.
//!
//! Work and memory are bounded by [`limits`](super::limits), and nothing recurses.

mod arena;
mod global;
mod machine;
mod opcode;
mod step;
mod torch;

pub(crate) use self::arena::{Arena, Chain, Id, StorageRef, TensorRef, Value};
use self::machine::Machine;
use super::error::{WeightError, malformed};
use super::limits::MAX_OPCODES;
use super::reader::Reader;

/// A finished pickle.
pub(crate) struct Pickle<'a> {
    pub(crate) arena: Arena<'a>,
    pub(crate) root: Id,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle stands for.
    pub(crate) fn value(&self) -> Value<'a> {
        self.arena.get(self.root)
    }
}

/// Runs one pickle and leaves `reader` behind its STOP.
pub(crate) fn load<'a>(reader: &mut Reader<'a>) -> Result<Pickle<'a>, WeightError> {
    let start = reader.position();
    if reader.u8("a pickle")? != opcode::PROTO {
        return Err(malformed(start, "expected a pickle of protocol 2 or later here"));
    }
    let protocol = reader.u8("the pickle protocol")?;
    if !(2..=5).contains(&protocol) {
        return Err(malformed(start, format!("pickle protocol {protocol}; 2 to 5 are known")));
    }
    let mut machine = Machine::default();
    for _ in 0..MAX_OPCODES {
        let offset = reader.position();
        let code = reader.u8("the next pickle opcode")?;
        if code == opcode::STOP {
            return machine.finish(offset);
        }
        machine.step(code, offset, reader)?;
    }
    Err(WeightError::LimitExceeded { what: "opcodes in the pickle", limit: MAX_OPCODES as u64 })
}
