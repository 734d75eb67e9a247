//! Hashes of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Error;

/// Read at once when hashing.
const BLOCK: usize = 1 << 20;

/// Feeds a file's content to `hash`, piece by piece.
pub(crate) fn hash_file(path: &Path, hash: &mut Sha256) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    if !file.metadata().map_err(Error::io("read", path))?.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).map_err(Error::io("read", path))? {
            0 => return Ok(()),
            read => hash.update(&block[..read]),
        }
    }
}
