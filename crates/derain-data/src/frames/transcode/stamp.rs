//! What a finished video says of what it was made from, so that another is not taken for it.
//!
//! The last bytes of the file are a box (MP4, MOV) or an element (Matroska) that readers pass over: a fixed identifier,
//! the SHA-256 of its [`Origin`], the number of frames (8 bytes, the highest first) and whether these are all (1 byte).
//! Tags would not do: FFmpeg writes into MP4 only those that it knows, and they are the user's.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::Origin;
use crate::Error;

/// Random, and the same for ever.
const IDENTIFIER: [u8; 16] = *b"\x8d\x1e\x5c\x02\x97\xb4\x4f\x3a\xa6\x70\xd3\x19\xe8\x2b\x64\xfb";
const HASH: usize = 32;
/// The identifier, the hash, the number of frames and whether these are all.
const CONTENT: usize = IDENTIFIER.len() + HASH + 8 + 1;
/// The EBML element of no meaning, RFC 8794, 11.3.2, and its size, in one byte that begins with a 1.
const VOID: [u8; 2] = [0xEC, 0x80 | CONTENT as u8];

/// What [`write_video`](super::write_video) made a video from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MadeFrom {
    origin: [u8; HASH],
    /// Its frames.
    pub frames: usize,
    /// Whether it ends where the input does ([`Ending::Input`](super::Ending::Input)).
    pub whole: bool,
}

impl MadeFrom {
    pub(super) fn new(origin: &Origin, frames: usize, whole: bool) -> Self {
        Self { origin: origin.hash(), frames, whole }
    }

    /// What a video says of itself; `None` if it says nothing, as when another program wrote it, or wrote it again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(output: &Path) -> Result<Option<Self>, Error> {
        Self::read(output).map_err(Error::io("read", output))
    }

    /// Whether that was an input of this content, wherever it lay, with the same settings.
    pub fn is_of(&self, origin: &Origin) -> bool {
        self.origin == origin.hash()
    }

    /// Whether it has the frames that are wanted: `length`, or as many as there are if that is fewer, or all.
    pub fn has_length(&self, length: Option<usize>) -> bool {
        match length {
            Some(length) => self.frames == length || (self.whole && self.frames < length),
            None => self.whole,
        }
    }

    /// Puts the stamp after all that the muxer wrote.
    pub(super) fn append(&self, file: &mut File, muxer: &str) -> io::Result<()> {
        let mut stamp = Vec::new();
        match muxer {
            "matroska" => stamp.extend(VOID),
            _ => {
                stamp.extend((8 + CONTENT as u32).to_be_bytes());
                stamp.extend(b"uuid");
            }
        }
        stamp.extend(IDENTIFIER);
        stamp.extend(self.origin);
        stamp.extend((self.frames as u64).to_be_bytes());
        stamp.push(self.whole.into());
        file.seek(SeekFrom::End(0))?;
        file.write_all(&stamp)
    }

    fn read(output: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(output)?;
        let Some(start) = file.metadata()?.len().checked_sub(CONTENT as u64) else { return Ok(None) };
        file.seek(SeekFrom::Start(start))?;
        let (mut identifier, mut origin, mut frames, mut whole) = ([0; IDENTIFIER.len()], [0; HASH], [0; 8], [0]);
        for part in [&mut identifier[..], &mut origin, &mut frames, &mut whole] {
            file.read_exact(part)?;
        }
        let frames = usize::try_from(u64::from_be_bytes(frames)).unwrap_or(usize::MAX);
        Ok((identifier == IDENTIFIER).then_some(Self { origin, frames, whole: whole == [1] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.mkv");
        for (muxer, whole) in [("matroska", true), ("mp4", false)] {
            let made = MadeFrom { origin: [7; HASH], frames: 70_000, whole };
            let mut file = File::create(&path).expect("made");
            file.write_all(b"a video").expect("written");
            made.append(&mut file, muxer).expect("written");
            assert_eq!(MadeFrom::of(&path).expect("read"), Some(made));
            // One box or element, which ends where the file does.
            let bytes = std::fs::read(&path).expect("read");
            let (head, length) = match (muxer, &bytes[7..]) {
                ("matroska", [0xEC, size, rest @ ..]) => (usize::from(size & 0x7F), rest.len()),
                (_, [a, b, c, d, b'u', b'u', b'i', b'd', rest @ ..]) => {
                    (u32::from_be_bytes([*a, *b, *c, *d]) as usize - 8, rest.len())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(head, length);
        }
        for bytes in [&b"short"[..], &[9; 500]] {
            std::fs::write(&path, bytes).expect("written");
            assert_eq!(MadeFrom::of(&path).expect("read"), None);
        }
    }

    #[test]
    fn lengths_that_were_made() {
        let made = |frames, whole| MadeFrom { origin: [0; HASH], frames, whole };
        assert!(made(50, true).has_length(None) && made(50, true).has_length(Some(50)));
        assert!(made(50, true).has_length(Some(60)) && !made(50, true).has_length(Some(40)));
        assert!(made(40, false).has_length(Some(40)) && !made(40, false).has_length(None));
        assert!(!made(40, false).has_length(Some(41)));
    }
}
