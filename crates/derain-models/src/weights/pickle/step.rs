//! What each opcode does.

use super::global::Global;
use super::machine::{Machine, underflow, wrong_container};
use super::{Chain, Value, opcode, torch};
use crate::weights::error::{WeightError, malformed, printable};
use crate::weights::reader::Reader;

impl<'a> Machine<'a> {
    /// Runs one opcode; `offset` is where it stands in the file.
    pub(super) fn step(&mut self, code: u8, offset: usize, reader: &mut Reader<'a>) -> Result<(), WeightError> {
        match code {
            opcode::FRAME => reader.u64("a pickle frame").map(drop),
            opcode::MARK => self.mark(),
            opcode::POP if self.stack.len() == self.floor() => self.pop_mark(offset).map(drop),
            opcode::POP => self.pop(offset).map(drop),
            opcode::POP_MARK => {
                let start = self.pop_mark(offset)?;
                self.stack.truncate(start);
                Ok(())
            }

            opcode::NONE => self.push(Value::None),
            opcode::NEWTRUE => self.push(Value::Bool(true)),
            opcode::NEWFALSE => self.push(Value::Bool(false)),
            opcode::BININT => {
                let value = reader.i32("an integer")?;
                self.push(Value::Int(value.into()))
            }
            opcode::BININT1 => {
                let value = reader.u8("an integer")?;
                self.push(Value::Int(value.into()))
            }
            opcode::BININT2 => {
                let value = reader.u16("an integer")?;
                self.push(Value::Int(value.into()))
            }
            opcode::LONG1 => {
                let length = reader.u8("an integer's length")?;
                self.push(integer(reader.take(length.into(), "an integer")?))
            }
            opcode::LONG4 => {
                let length = reader.i32("an integer's length")?;
                let length =
                    u64::try_from(length).map_err(|_| malformed(offset, format!("an integer of {length} bytes")))?;
                self.push(integer(reader.take(length, "an integer")?))
            }
            opcode::BINFLOAT => {
                reader.take(8, "a float")?;
                self.push(Value::Opaque)
            }

            opcode::SHORT_BINSTRING | opcode::SHORT_BINUNICODE => {
                let length = reader.u8("a string's length")?;
                self.push_text(length.into(), reader)
            }
            opcode::BINSTRING | opcode::BINUNICODE => {
                let length = reader.u32("a string's length")?;
                self.push_text(length.into(), reader)
            }
            opcode::BINUNICODE8 => {
                let length = reader.u64("a string's length")?;
                self.push_text(length, reader)
            }
            opcode::SHORT_BINBYTES => {
                let length = reader.u8("the length of bytes")?;
                self.push_bytes(length.into(), reader)
            }
            opcode::BINBYTES => {
                let length = reader.u32("the length of bytes")?;
                self.push_bytes(length.into(), reader)
            }
            opcode::BINBYTES8 | opcode::BYTEARRAY8 => {
                let length = reader.u64("the length of bytes")?;
                self.push_bytes(length, reader)
            }

            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Chain::EMPTY)),
            opcode::EMPTY_LIST => self.push(Value::List(Chain::EMPTY)),
            opcode::EMPTY_DICT => self.push(Value::Dict(Chain::EMPTY)),
            opcode::EMPTY_SET => self.push(Value::Opaque),
            opcode::TUPLE1 | opcode::TUPLE2 | opcode::TUPLE3 => {
                let count = usize::from(code - opcode::TUPLE1) + 1;
                let start = self.stack.len().checked_sub(count);
                let start = start.filter(|&start| start >= self.floor()).ok_or_else(|| underflow(offset))?;
                self.collect(Value::Tuple(Chain::EMPTY), start)
            }
            opcode::TUPLE => {
                let start = self.pop_mark(offset)?;
                self.collect(Value::Tuple(Chain::EMPTY), start)
            }
            opcode::LIST => {
                let start = self.pop_mark(offset)?;
                self.collect(Value::List(Chain::EMPTY), start)
            }
            opcode::DICT => {
                let start = self.pop_mark(offset)?;
                self.check_pairs(start, offset)?;
                self.collect(Value::Dict(Chain::EMPTY), start)
            }
            opcode::FROZENSET => {
                let start = self.pop_mark(offset)?;
                self.stack.truncate(start);
                self.push(Value::Opaque)
            }
            opcode::APPEND => {
                let start = self.stack.len().saturating_sub(1);
                self.extend(start, offset)
            }
            opcode::APPENDS => {
                let start = self.pop_mark(offset)?;
                self.extend(start, offset)
            }
            opcode::SETITEM => {
                let start = self.stack.len().saturating_sub(2);
                self.set_items(start, offset)
            }
            opcode::SETITEMS => {
                let start = self.pop_mark(offset)?;
                self.set_items(start, offset)
            }
            opcode::ADDITEMS => {
                let start = self.pop_mark(offset)?;
                match self.container(start, offset)?.1 {
                    Value::Opaque => self.stack.truncate(start),
                    other => return Err(wrong_container(offset, "set", &other)),
                }
                Ok(())
            }

            opcode::BINGET => {
                let slot = reader.u8("a memo slot")?;
                self.recall(slot.into(), offset)
            }
            opcode::LONG_BINGET => {
                let slot = reader.u32("a memo slot")?;
                self.recall(slot, offset)
            }
            opcode::BINPUT => {
                let slot = reader.u8("a memo slot")?;
                self.remember(slot.into(), offset)
            }
            opcode::LONG_BINPUT => {
                let slot = reader.u32("a memo slot")?;
                self.remember(slot, offset)
            }
            // The memo is far smaller than 2^32, so its length fits.
            opcode::MEMOIZE => self.remember(self.memo.len() as u32, offset),

            opcode::BINPERSID => {
                let id = self.pop(offset)?;
                let storage = torch::storage(&mut self.arena, id, offset)?;
                self.push_id(storage)
            }
            opcode::GLOBAL => {
                let module = reader.line("a module name")?;
                let name = reader.line("a global's name")?;
                self.push(Value::Global(Global::named(module, name)?))
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop(offset)?;
                let module = self.pop(offset)?;
                let (Value::Str(module), Value::Str(name)) = (self.arena.get(module), self.arena.get(name)) else {
                    return Err(malformed(offset, "a global whose name is not a string"));
                };
                self.push(Value::Global(Global::named(module, name)?))
            }
            opcode::REDUCE => {
                let arguments = self.pop(offset)?;
                let callee = self.pop(offset)?;
                match (self.arena.get(callee), self.arena.get(arguments)) {
                    (Value::Global(callee), Value::Tuple(arguments)) => {
                        let built = torch::reduce(&mut self.arena, callee, arguments, offset)?;
                        self.push_id(built)
                    }
                    (callee, arguments) => {
                        Err(malformed(offset, format!("a call of {} with {}", callee.kind(), arguments.kind())))
                    }
                }
            }
            opcode::BUILD => self.build(offset),
            opcode::INST => {
                let module = reader.line("a module name")?;
                let name = reader.line("a class name")?;
                Err(WeightError::Refused { global: printable(&format!("{module}.{name}")) })
            }
            // Their class was allowed when it was named, but torch builds none of them this way.
            opcode::OBJ => Err(refused_construction("OBJ")),
            opcode::NEWOBJ => Err(refused_construction("NEWOBJ")),
            opcode::NEWOBJ_EX => Err(refused_construction("NEWOBJ_EX")),
            _ => Err(WeightError::UnsupportedOpcode { opcode: code, offset }),
        }
    }
}

/// An integer of any length, little-endian two's complement.
fn integer(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::BigInt(bytes);
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

fn refused_construction(opcode: &str) -> WeightError {
    WeightError::Refused { global: format!("a class's constructor ({opcode})") }
}
