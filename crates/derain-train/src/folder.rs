//! The folder that a training writes to.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use derain_data::paths::resolve;
use derain_data::{remove_orphans, write_durably};

use crate::log::{LOG, tells_of_a_checkpoint};
use crate::{Error, Result};

/// All that a resume needs.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Weights of the checkpoint.
pub(crate) const LAST: &str = "last.safetensors";

/// Weights of the best validation.
const BEST: &str = "best.safetensors";

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
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { folder: root.to_owned() }),
            // Where a file system has no locks, the user takes care: some network file systems say so by errors of
            // their own.
            Ok(()) | Err(TryLockError::Error(_)) => {}
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
        self.root.join(BEST)
    }

    /// What an earlier training has left in a folder without a checkpoint.
    pub(crate) fn left_behind(&self) -> Option<&'static str> {
        [LAST, BEST, LOG].into_iter().find(|name| self.root.join(name).exists())
    }

    /// What shows that there was a checkpoint, in a folder that has none. The best weights and a log may be those of a
    /// training that was killed before its first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn lost_checkpoint(&self) -> Result<Option<&'static str>> {
        if self.last().exists() {
            return Ok(Some(LAST));
        }
        let log = self.root.join(LOG);
        Ok((log.exists() && tells_of_a_checkpoint(&log)?).then_some(LOG))
    }

    /// Writes unless the file has this content already.
    pub(crate) fn ensure(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if fs::read(path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        Ok(write_durably(path, bytes)?)
    }
}

/// Refuses an output folder in one of the folders that pictures are listed from.
///
/// # Errors
/// [`Error::OutputInData`].
pub(crate) fn check_apart<'a>(output: &Path, data: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    // The empty path is the current folder.
    let output_or_here = if output.as_os_str().is_empty() { Path::new(".") } else { output };
    let Ok(resolved) = resolve(output_or_here) else { return Ok(()) };
    let is_around = |folder: &Path| resolve(folder).is_ok_and(|folder| resolved.starts_with(folder));
    let around = data.into_iter().find(|folder| folder.is_dir() && is_around(folder));
    match around {
        Some(data) => Err(Error::OutputInData { output: output.to_owned(), data: data.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_folder_in_the_data_is_refused() {
        let bench = tempfile::tempdir().unwrap();
        let data = bench.path().join("data");
        fs::create_dir_all(data.join("below")).unwrap();
        let refused =
            |output: &Path| check_apart(output, [bench.path().join("none").as_path(), data.as_path()]).is_err();
        for inside in ["data", "data/below/run", "data/run/1", "data/../data/run"] {
            assert!(refused(&bench.path().join(inside)), "{inside}");
        }
        for apart in ["", "run", "data2/run", "data/../run", "none/run"] {
            assert!(!refused(&bench.path().join(apart)), "{apart}");
        }
        let error = check_apart(&data.join("run"), [data.as_path()]).unwrap_err().to_string();
        for named in [data.join("run"), data.clone()] {
            assert!(
                error.contains(&format!("{} ", named.display())) || error.contains(&format!("{},", named.display())),
                "{error}"
            );
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&data, bench.path().join("link")).unwrap();
            assert!(refused(&bench.path().join("link/run")));
        }
    }
}
