//! Encoded frames that can be decoded by themselves, and their form on disk.
//!
//! All numbers little-endian: `MAGIC`, the number of frames (u32), then for each frame start and duration (i64),
//! whether it is a key frame (u8), the number of bytes (u32) and these; at the end the SHA-256 of all before it.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::FrameTime;
use crate::Error;

const MAGIC: &[u8] = b"derain group 1\n";
const HASH_BYTES: usize = 32;

/// Frames that were encoded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedGroup {
    pub(super) frames: Vec<EncodedFrame>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedFrame {
    pub(super) time: FrameTime,
    pub(super) key: bool,
    pub(super) bytes: Vec<u8>,
}

impl EncodedGroup {
    /// When its frames are shown.
    pub fn times(&self) -> impl ExactSizeIterator<Item = FrameTime> {
        self.frames.iter().map(|frame| frame.time)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((self.frames.len() as u32).to_le_bytes());
        for frame in &self.frames {
            bytes.extend(frame.time.start.to_le_bytes());
            bytes.extend(frame.time.duration.to_le_bytes());
            bytes.push(u8::from(frame.key));
            bytes.extend((frame.bytes.len() as u32).to_le_bytes());
            bytes.extend(&frame.bytes);
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    /// `None` unless they are the bytes of a whole group.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
        if Sha256::digest(content)[..] != *hash {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?;
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut frames = Vec::new();
        for _ in 0..count {
            let time = FrameTime {
                start: i64::from_le_bytes(take(&mut rest)?),
                duration: i64::from_le_bytes(take(&mut rest)?),
            };
            let [key] = take(&mut rest)?;
            let length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (bytes, after) = rest.split_at_checked(length)?;
            rest = after;
            frames.push(EncodedFrame { time, key: key == 1, bytes: bytes.to_vec() });
        }
        (rest.is_empty() && !frames.is_empty()).then_some(Self { frames })
    }

    /// `None` if there is no whole group.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self::from_bytes(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::{EncodedFrame, EncodedGroup, FrameTime};

    #[test]
    fn whole_groups_come_back_and_others_do_not() {
        let frame = |start: i64| EncodedFrame {
            time: FrameTime { start, duration: 7 },
            key: start == -3,
            bytes: vec![start as u8; (start + 4) as usize],
        };
        let group = EncodedGroup { frames: [-3, 0, 12].map(frame).to_vec() };
        let bytes = group.to_bytes();
        assert_eq!(EncodedGroup::from_bytes(&bytes), Some(group));
        for length in 0..bytes.len() {
            assert_eq!(EncodedGroup::from_bytes(&bytes[..length]), None, "{length}");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            assert_eq!(EncodedGroup::from_bytes(&damaged), None, "{place}");
        }
    }
}
