//! What a finished video says of the one that it was made from, so that another's is not taken for it.
//!
//! The last bytes of the file are a box (MP4, MOV) or an element (Matroska) that readers pass over: a fixed identifier and the SHA-256 of
//! the input. Tags would not do: FFmpeg writes into MP4 only those that it knows, and they are the user's.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Error;
use crate::hash::hash_file;

/// Random, and the same for ever.
const IDENTIFIER: [u8; 16] = *b"\x8d\x1e\x5c\x02\x97\xb4\x4f\x3a\xa6\x70\xd3\x19\xe8\x2b\x64\xfb";
const HASH: usize = 32;
/// The identifier and the hash.
const CONTENT: usize = IDENTIFIER.len() + HASH;
/// The EBML element of no meaning, RFC 8794, 11.3.4, and its size, in one byte that begins with a 1.
const VOID: [u8; 2] = [0xEC, 0x80 | CONTENT as u8];

/// Of a file's content.
pub(super) fn hash_of(input: &Path) -> Result<[u8; HASH], Error> {
    let mut hash = Sha256::new();
    hash_file(input, &mut hash)?;
    Ok(hash.finalize().into())
}

/// Puts the stamp after all that the muxer wrote.
pub(super) fn append(file: &mut File, muxer: &str, input: [u8; HASH]) -> io::Result<()> {
    file.seek(SeekFrom::End(0))?;
    match muxer {
        "matroska" => file.write_all(&VOID)?,
        _ => {
            file.write_all(&(8 + CONTENT as u32).to_be_bytes())?;
            file.write_all(b"uuid")?;
        }
    }
    file.write_all(&IDENTIFIER)?;
    file.write_all(&input)
}

/// Whether [`write_video`](super::write_video) made `output` from a file with the content of `input`; `None` if the file does not say, as
/// when another program wrote it, or wrote it again.
///
/// # Errors
/// When a file cannot be read.
pub fn is_made_from(output: &Path, input: &Path) -> Result<Option<bool>, Error> {
    match stamp_of(output).map_err(Error::io("read", output))? {
        Some(stamp) => Ok(Some(stamp == hash_of(input)?)),
        None => Ok(None),
    }
}

fn stamp_of(output: &Path) -> io::Result<Option<[u8; HASH]>> {
    let mut file = File::open(output)?;
    let Some(start) = file.metadata()?.len().checked_sub(CONTENT as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let (mut identifier, mut hash) = ([0; IDENTIFIER.len()], [0; HASH]);
    file.read_exact(&mut identifier)?;
    file.read_exact(&mut hash)?;
    Ok((identifier == IDENTIFIER).then_some(hash))
}
