//! Writing files so that a crash leaves the old content or the new, never a part.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Error, temporary};

/// As many links in a row as Linux follows.
const MAX_LINKS: usize = 40;

/// Writes `bytes` to `path`: to a temporary file beside it, synced, renamed over it, the folder synced.
///
/// When this returns, the file survives a power cut; a kill before that leaves the old file, and at
/// most a temporary one for [`remove_orphans`](crate::remove_orphans). On an error the temporary is
/// removed. A new file gets the mode of any new file, a replaced one keeps its mode. A symbolic link
/// stays and the file that it leads to is replaced; other hard links keep the old content.
///
/// # Errors
/// [`Error::NotAFile`] if `path` is a folder, device or pipe, [`Error::ReadOnly`] if it is a file
/// marked so, [`Error::Io`] if its folder is missing or the disk refuses.
pub fn write_durably(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    write_durably_with(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))
}

/// [`write_durably`] with content that `write` puts into the file, and what it returns.
///
/// # Errors
/// Those of [`write_durably`] and of `write`.
pub fn write_durably_with<T, E: From<Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let path = path.as_ref();
    let target = follow_links(path)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => return Err(Error::NotAFile { path: target }.into()),
    };
    let replaced = metadata_to_keep(&target)?;
    let temporary = folder.join(temporary::temporary_name());
    let written = write_synced(&temporary, &target, write, replaced.as_ref())
        .and_then(|written| {
            fs::rename(&temporary, &target).map_err(Error::io("write", &target))?;
            Ok(written)
        })
        .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    sync_folder(folder).map_err(Error::io("sync", folder))?;
    Ok(written)
}

/// A file that is whole and synced, but not yet under its name. Dropped, it is removed.
///
/// For files that belong together: all are staged before the first gets its name, and the folders are synced once for
/// all.
pub(crate) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Writes a temporary file beside `target`, which must be a new name or a file that may be replaced; links are not
    /// followed.
    pub(crate) fn new(target: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let staged = Self { temporary: target.with_file_name(temporary::temporary_name()), target: target.to_owned() };
        let write = |file: &mut File| file.write_all(bytes).map_err(Error::io("write", target));
        write_synced(&staged.temporary, target, write, None)?;
        Ok(staged)
    }

    /// Gives the file its name. It survives a power cut once [`sync`] is done.
    pub(crate) fn commit(self) -> Result<(), Error> {
        fs::rename(&self.temporary, &self.target).map_err(Error::io("write", &self.target))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone if committed.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Makes the names in a folder survive a power cut.
pub(crate) fn sync(folder: &Path) -> Result<(), Error> {
    sync_folder(folder).map_err(Error::io("sync", folder))
}

/// The path behind a chain of symbolic links, the last of which may lead to no file yet.
fn follow_links(path: &Path) -> Result<PathBuf, Error> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            // Not a link, or nothing there: what follows will tell.
            Err(_) => return Ok(target),
        }
    }
    Err(Error::io("follow the links of", path)(io::Error::other("too many levels of symbolic links")))
}

fn metadata_to_keep(target: &Path) -> Result<Option<Metadata>, Error> {
    match target.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => Err(Error::NotAFile { path: target.to_owned() }),
        Ok(metadata) if metadata.permissions().readonly() => Err(Error::ReadOnly { path: target.to_owned() }),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("write", target)(error)),
    }
}

/// Errors name `target`, for which the temporary file stands.
fn write_synced<T, E: From<Error>>(
    temporary: &Path,
    target: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
    replaced: Option<&Metadata>,
) -> Result<T, E> {
    let failed = || Error::io("write", target);
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary).map_err(failed())?;
    let written = write(&mut file)?;
    if let Some(replaced) = replaced {
        file.set_permissions(replaced.permissions()).map_err(failed())?;
    }
    file.sync_all().map_err(failed())?;
    Ok(written)
}

/// Makes the new name itself survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix opens folders as files; elsewhere the rename is all there is.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot sync folders.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}
