//! A position in bytes that knows when they end.

use super::error::{WeightError, malformed};
use super::limits::MAX_LINE_BYTES;

/// Reads little-endian numbers and slices in order; every read past the end is
/// [`WeightError::Truncated`].
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// A reader that starts at `position`; a position past the end reads nothing.
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position: position.min(bytes.len()) }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `wanted` bytes. The length is a `u64` as files declare it, so that no caller has
    /// to narrow a hostile one first.
    pub(crate) fn take(&mut self, wanted: u64, what: &'static str) -> Result<&'a [u8], WeightError> {
        let left = &self.bytes[self.position..];
        let taken = usize::try_from(wanted).ok().and_then(|wanted| left.get(..wanted));
        let Some(taken) = taken else {
            return Err(WeightError::Truncated { what, offset: self.position, wanted, left: left.len() });
        };
        self.position += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WeightError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WeightError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WeightError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WeightError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WeightError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, WeightError> {
        Ok(i32::from_le_bytes(self.array(what)?))
    }

    /// The text up to the next line feed, which is consumed.
    pub(crate) fn line(&mut self, what: &'static str) -> Result<&'a str, WeightError> {
        let left = &self.bytes[self.position..];
        let window = &left[..left.len().min(MAX_LINE_BYTES)];
        let Some(length) = window.iter().position(|&byte| byte == b'\n') else {
            if left.len() > MAX_LINE_BYTES {
                return Err(WeightError::LimitExceeded {
                    what: "bytes in a line of a pickle",
                    limit: MAX_LINE_BYTES as u64,
                });
            }
            return Err(WeightError::Truncated {
                what,
                offset: self.position,
                wanted: left.len() as u64 + 1,
                left: left.len(),
            });
        };
        let text = std::str::from_utf8(&left[..length])
            .map_err(|_| malformed(self.position, format!("{what} is not UTF-8")))?;
        self.position += length + 1;
        Ok(text)
    }
}
