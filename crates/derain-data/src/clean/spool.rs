//! A file without a name that holds frames, one after the other.
//!
//! Written and read by position, never mapped: mapped pages would count as the process's memory. The system removes the
//! file with the process, however that ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

pub(super) const WRITE: &str = "spool frames to";
const READ: &str = "read frames spooled to";

/// Whether what refused is the disk that frames are spooled to, rather than the frames.
pub(crate) fn is_of_spool(error: &Error) -> bool {
    match error {
        Error::SpoolSpace { .. } => true,
        Error::Io { action, .. } => [WRITE, READ].contains(action),
        _ => false,
    }
}

#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    /// Of one frame.
    bytes: usize,
    frames: usize,
}

impl Spool {
    /// An empty one in a folder, for frames of `bytes` bytes.
    pub(super) fn new(folder: PathBuf, bytes: usize) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(&folder).map_err(Error::io(WRITE, &folder))?;
        Ok(Self { file, folder, bytes, frames: 0 })
    }

    /// Fails if a folder's disk has less than `needed` bytes left.
    pub(super) fn check_space(folder: &Path, needed: u64) -> Result<(), Error> {
        let available = fs4::available_space(folder).map_err(Error::io(WRITE, folder))?;
        match available < needed {
            true => Err(Error::SpoolSpace { folder: folder.to_owned(), needed, available }),
            false => Ok(()),
        }
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Appends a frame. One that fails part of the way is overwritten by the next.
    pub(super) fn push(&mut self, frame: &[u8]) -> Result<(), Error> {
        Self::check_space(&self.folder, frame.len() as u64)?;
        write_at(&self.file, frame, self.position(self.frames, 0)).map_err(Error::io(WRITE, &self.folder))?;
        self.frames += 1;
        Ok(())
    }

    /// Reads a frame's bytes from `start` on.
    pub(super) fn read(&self, frame: usize, start: usize, bytes: &mut [u8]) -> Result<(), Error> {
        read_at(&self.file, bytes, self.position(frame, start)).map_err(Error::io(READ, &self.folder))
    }

    fn position(&self, frame: usize, start: usize) -> u64 {
        frame as u64 * self.bytes as u64 + start as u64
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, start)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        start += count as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut start: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, start)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        start += count as u64;
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(unix, windows)))]
fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
