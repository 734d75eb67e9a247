//! The folder that a training writes to.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use derain_data::{remove_orphans, write_durably};

use crate::{Error, Result};

/// All that a resume needs.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Weights of the checkpoint.
pub(crate) const LAST: &str = "last.safetensors";

/// A training's folder, locked against other processes.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Released when it is closed, by a kill too. None where another rank writes.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder if it is missing, locks it and removes what a kill left.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Io`] or what the removal says.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("make", root))?;
        let path = root.join("lock");
        let lock =
            File::options().write(true).create(true).truncate(false).open(&path).map_err(Error::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { folder: root.to_owned() }),
            // Where a file system has no locks, the user takes care.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        remove_orphans(root)?;
        Ok(Self { root: root.to_owned(), _lock: Some(lock) })
    }

    /// The folder of another rank, which alone looks into it.
    pub(crate) fn elsewhere(root: &Path) -> Self {
        Self { root: root.to_owned(), _lock: None }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All that a resume needs.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINT)
    }

    /// Weights of the checkpoint.
    pub(crate) fn last(&self) -> PathBuf {
        self.root.join(LAST)
    }

    /// Weights of the best validation.
    pub(crate) fn best(&self) -> PathBuf {
        self.root.join("best.safetensors")
    }

    /// Writes unless the file has this content already.
    pub(crate) fn ensure(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if fs::read(path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        Ok(write_durably(path, bytes)?)
    }
}
