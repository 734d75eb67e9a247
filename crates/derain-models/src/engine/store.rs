//! A picture's features, rows one after the other, in memory or in a file.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use derain_ops::buffer::Aligned;

use super::temporary;
use crate::{Error, Result};

/// Where a store keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage<'a> {
    Memory,
    /// A file without a name in this folder, or in one of the system's for temporary files that is on a disk. Reads and
    /// writes go by position: mapped pages would count as the process's memory.
    File(Option<&'a Path>),
}

/// Rows of f32 values, all of the same length.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(Aligned<f32>),
    Spool(Spool),
}

/// Memory of stores that are gone, for the next picture: the system would clear its pages anew, which takes a tenth of
/// a small picture's time.
static IDLE: Mutex<Vec<Aligned<f32>>> = Mutex::new(Vec::new());
/// Values of the largest store that is kept, 64 MB, and how many are: enough for a network's two.
const LARGEST_KEPT: usize = 16 << 20;
const MOST_KEPT: usize = 2;

/// A temporary file that holds f32 values.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
}

impl Default for Store {
    fn default() -> Self {
        Self::Memory(Aligned::default())
    }
}

impl Store {
    /// Two with room for `length` values each, whose contents are not defined.
    pub(crate) fn pair(storage: Storage<'_>, length: usize) -> Result<[Self; 2]> {
        match storage {
            Storage::Memory => Ok([Self::in_memory(length), Self::in_memory(length)]),
            Storage::File(folder) => {
                IDLE.lock().unwrap_or_else(PoisonError::into_inner).clear();
                let bytes = 4 * length as u64;
                // For both at once: blocks are taken as rows are written, so the first one does not lessen what seems
                // free for the second.
                let folder = temporary::folder_with_room(folder, bytes.saturating_mul(2)).map_err(Error::Spool)?;
                let spool = || -> Result<Self> {
                    let file = tempfile::tempfile_in(&folder).map_err(Error::Spool)?;
                    // Says at once when the disk cannot address so much.
                    file.set_len(bytes).map_err(Error::Spool)?;
                    Ok(Self::Spool(Spool { file }))
                };
                Ok([spool()?, spool()?])
            }
        }
    }

    fn in_memory(length: usize) -> Self {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|values| values.len() == length).map(|at| idle.swap_remove(at));
        if found.is_none() {
            // Memory for pictures of another size must not stand beside this one's.
            idle.clear();
        }
        drop(idle);
        Self::Memory(found.unwrap_or_else(|| Aligned::zeroed(length)))
    }

    /// Gives the memory of a store to the next one of its size.
    pub(crate) fn recycle(self) {
        if let Self::Memory(values) = self
            && values.len() <= LARGEST_KEPT
        {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() >= MOST_KEPT {
                idle.remove(0);
            }
            idle.push(values);
        }
    }

    /// Makes room for `length` values in memory.
    pub(crate) fn resize(&mut self, length: usize) {
        if self.values().len() != length {
            *self = Self::Memory(Aligned::zeroed(length));
        }
    }

    /// The values of a store that is in memory; none of one that is not.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Memory(values) => values,
            Self::Spool(_) => &[],
        }
    }

    /// The values of a store that is in memory; none of one that is not.
    pub(crate) fn into_memory(self) -> Vec<f32> {
        match self {
            Self::Memory(values) => values.into_vec(),
            Self::Spool(_) => Vec::new(),
        }
    }
}

impl Spool {
    /// Fills `values` with those from `start` on.
    pub(crate) fn read(&self, start: usize, values: &mut [f32]) -> Result<()> {
        read_at(&self.file, bytemuck::cast_slice_mut(values), 4 * start as u64).map_err(Error::Spool)
    }

    /// Writes `values` from `start` on.
    pub(crate) fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        write_at(&self.file, bytemuck::cast_slice(values), 4 * start as u64).map_err(Error::Spool)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, start)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, start)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        start += count as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut start: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, start)?;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        start += count as u64;
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(unix, windows)))]
fn write_at(_: &File, _: &[u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_gives_back_what_was_written_and_zeros_elsewhere() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let [Store::Spool(spool), _] = Store::pair(Storage::File(Some(folder.path())), 10)? else {
            panic!("asked for a spool");
        };
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "the file has a name");
        spool.write(3, &[1.0, f32::NAN, -0.0])?;
        let mut values = [7.0; 5];
        spool.read(2, &mut values)?;
        assert_eq!(values.map(f32::to_bits), [0.0, 1.0, f32::NAN, -0.0, 0.0].map(f32::to_bits));
        assert!(matches!(spool.read(8, &mut values), Err(Error::Spool(_))), "reading beyond the end");
        Ok(())
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let result = Store::pair(Storage::File(Some(Path::new("/no/such/folder"))), 1);
        assert!(matches!(result, Err(Error::Spool(_))), "{result:?}");
    }

    /// A little more than there is, of which a file system would say only when it is full.
    #[test]
    fn a_disk_without_room_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let room = fs4::available_space(folder.path()).expect("free space");
        let result = Store::pair(Storage::File(Some(folder.path())), (room / 4) as usize);
        assert!(matches!(&result, Err(Error::Spool(error)) if error.to_string().contains("are needed")), "{result:?}");
    }
}
