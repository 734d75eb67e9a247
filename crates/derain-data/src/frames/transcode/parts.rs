//! Finished groups in a folder, so that a killed run can be gone on with.
//!
//! The folder holds `manifest.json`, which says what the groups were made from, `checked.json`, which says how far the
//! input is known to be sound, groups by number, and a file that is locked while a run works there. Everything is
//! written beside its name, synced and renamed. When the video is whole, the folder gets another name before anything
//! in it goes.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoder::GROUP_FRAMES;
use super::moment::length_of_last;
use super::{Checked, EncodedGroup, FrameTime, Origin, TranscodeError};
use crate::durable::{sync, write_durably};
use crate::lock::is_held_elsewhere;
use crate::{Error, temporary};

const MANIFEST: &str = "manifest.json";
const CHECKED: &str = "checked.json";
const LOCK: &str = "lock";
const ENDING: &str = ".group";

/// The folder with a video's finished groups, locked against other runs.
pub struct Parts {
    folder: PathBuf,
    origin: Origin,
    lock: File,
    /// Frames of each finished group.
    groups: Vec<Vec<FrameTime>>,
    checked: Option<Checked>,
    /// Whether it was not there before.
    is_new: bool,
}

impl fmt::Debug for Parts {
    /// With the number of groups, not the times of their frames.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Parts");
        shown.field("folder", &self.folder).field("groups", &self.groups.len());
        shown.field("checked", &self.checked).finish_non_exhaustive()
    }
}

impl Parts {
    /// Where the parts of an output are: beside it, with `.parts` after its name.
    pub fn folder_of(output: &Path) -> PathBuf {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".parts");
        output.with_file_name(name)
    }

    /// Makes the folder, in which no groups may be: they may stand for hours of work.
    ///
    /// # Errors
    /// When the folder holds groups or other files, another run uses it, or the disk refuses.
    pub fn begin(folder: &Path, origin: &Origin) -> Result<Self, Error> {
        let parts = Self::lock(folder, origin)?;
        let groups = parts.names()?.iter().filter(|name| is_group(name)).count();
        if groups > 0 {
            return Err(TranscodeError::PartsThere { folder: folder.to_owned(), groups }.into());
        }
        parts.start()
    }

    /// Makes the folder, or removes the groups that are in it.
    ///
    /// # Errors
    /// When another run uses the folder, it holds other files, or the disk refuses.
    pub fn restart(folder: &Path, origin: &Origin) -> Result<Self, Error> {
        Self::lock(folder, origin)?.start()
    }

    /// Goes on with the groups that are in the folder, which must have been made from the same.
    ///
    /// # Errors
    /// When they were not, and as [`restart`](Self::restart).
    pub fn resume(folder: &Path, origin: &Origin) -> Result<Self, Error> {
        let mut parts = Self::lock(folder, origin)?;
        let earlier: Option<Origin> = read_json(&folder.join(MANIFEST))?;
        let change = match &earlier {
            Some(earlier) => origin.changes_since(earlier),
            None => Some("as the manifest is missing or damaged".into()),
        };
        if let Some(change) = change {
            let groups = parts.names()?.iter().filter(|name| is_group(name)).count();
            return match groups {
                0 => parts.start(),
                _ => Err(TranscodeError::PartsDiffer { folder: folder.to_owned(), groups, change }.into()),
            };
        }
        parts.checked = read_json(&folder.join(CHECKED))?;
        while let Some(group) = EncodedGroup::read(&parts.path(parts.groups.len()))? {
            parts.groups.push(group.times().collect());
        }
        // After a damaged one, which is made again.
        let kept: HashSet<OsString> = (0..parts.groups.len()).map(|index| group_name(index).into()).collect();
        for name in parts.names()? {
            if (is_group(&name) && !kept.contains(&name)) || temporary::is_ours(Path::new(&name)) {
                parts.remove_file(&name)?;
            }
        }
        Ok(parts)
    }

    /// When the frames of the finished groups are shown.
    pub fn times(&self) -> impl Iterator<Item = FrameTime> {
        self.groups.iter().flatten().copied()
    }

    /// How far the input has been decoded without a fault, by this run or an earlier one.
    pub fn checked(&self) -> Option<Checked> {
        self.checked
    }

    /// Keeps in mind how far the input is sound.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_checked(&mut self, checked: Checked) -> Result<(), Error> {
        write_json(&self.folder.join(CHECKED), &checked)?;
        self.checked = Some(checked);
        Ok(())
    }

    /// Prepares for a video of `frames` frames: a partial last group left by another length is removed, to be made
    /// again.
    ///
    /// # Errors
    /// When full groups hold more frames, or the disk refuses.
    pub fn fit(&mut self, frames: usize) -> Result<(), Error> {
        let done = self.times().count();
        if done == frames {
            return Ok(());
        }
        let partial = self.groups.last().map_or(0, Vec::len) % GROUP_FRAMES;
        if done - partial > frames {
            let folder = self.folder.clone();
            return Err(TranscodeError::PartsPastEnd { folder, done: done - partial, frames }.into());
        }
        if partial > 0 {
            self.groups.pop();
            self.remove_file(OsStr::new(&group_name(self.groups.len())))?;
        }
        Ok(())
    }

    /// Writes the next group; it survives a kill once this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&mut self, group: &EncodedGroup) -> Result<(), Error> {
        write_durably(self.path(self.groups.len()), &group.to_bytes())?;
        self.groups.push(group.times().collect());
        Ok(())
    }

    /// For an input that is refused: removes the folder if it was not there before and holds no groups.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn give_up(self) -> Result<(), Error> {
        // Where there are no locks, another run may have begun here.
        let holds_groups = self.names()?.iter().any(|name| is_group(name));
        if self.is_new && !holds_groups { self.remove() } else { Ok(()) }
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(self) -> Result<(), Error> {
        let Self { folder, lock, .. } = self;
        Self::clear_away(&folder)?;
        // All groups in one step, as there may be thousands: a kill leaves all that a later run goes on with, or
        // nothing. Windows renames no folder in which a file is open.
        let lock = Some(lock).filter(|_| !cfg!(windows));
        fs::rename(&folder, removed_of(&folder)).map_err(Error::io("remove", &folder))?;
        sync(parent_of(&folder))?;
        drop(lock);
        Self::clear_away(&folder)
    }

    /// Removes what a kill left of a folder that was being removed; [`begin`](Self::begin), [`restart`](Self::restart)
    /// and [`resume`](Self::resume) do so, too.
    ///
    /// # Errors
    /// When it holds other files, or the disk refuses.
    pub fn clear_away(folder: &Path) -> Result<(), Error> {
        let removed = removed_of(folder);
        let names = match parts_in(&removed) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        for name in names {
            let path = removed.join(name);
            gone(fs::remove_file(&path)).map_err(Error::io("remove", &path))?;
        }
        gone(fs::remove_dir(&removed)).map_err(Error::io("remove", &removed))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// When the last frame is shown, and how long, stated by the container or not.
    pub(super) fn last(&self) -> Option<FrameTime> {
        let times: Vec<FrameTime> = self.times().collect();
        let (last, others) = times.split_last()?;
        let duration = length_of_last(*last, others.last().map(|before| before.start));
        Some(FrameTime { start: last.start, duration })
    }

    pub(super) fn load(&self, index: usize) -> Result<EncodedGroup, Error> {
        let path = self.path(index);
        EncodedGroup::read(&path)?.ok_or_else(|| TranscodeError::PartLost { path }.into())
    }

    fn lock(folder: &Path, origin: &Origin) -> Result<Self, Error> {
        Self::clear_away(folder)?;
        let is_new = !folder.exists();
        fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        let path = folder.join(LOCK);
        parts_in(folder)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(Error::io("open", &path))?;
        if is_held_elsewhere(lock.try_lock()) {
            return Err(TranscodeError::PartsInUse { folder: folder.to_owned() }.into());
        }
        Ok(Self { folder: folder.to_owned(), origin: origin.clone(), lock, groups: Vec::new(), checked: None, is_new })
    }

    /// From nothing.
    fn start(self) -> Result<Self, Error> {
        self.clear()?;
        write_json(&self.folder.join(MANIFEST), &self.origin)?;
        Ok(self)
    }

    /// Removes all but the lock, the manifest first.
    fn clear(&self) -> Result<(), Error> {
        let mut names = self.names()?;
        names.retain(|name| name != LOCK);
        names.sort_by_key(|name| name != MANIFEST);
        for name in names {
            self.remove_file(&name)?;
            if name == MANIFEST {
                sync(&self.folder)?;
            }
        }
        Ok(())
    }

    fn remove_file(&self, name: &OsStr) -> Result<(), Error> {
        let path = self.folder.join(name);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    fn names(&self) -> Result<Vec<OsString>, Error> {
        names_in(&self.folder)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(group_name(index))
    }
}

/// `None` if it is missing or damaged.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    write_durably(path, &json)
}

/// What a folder of parts is called while it is removed.
fn removed_of(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".removed");
    folder.with_file_name(name)
}

fn parent_of(folder: &Path) -> &Path {
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Success also if another run was faster to remove it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The names in a folder, in which nothing else may be.
fn parts_in(folder: &Path) -> Result<Vec<OsString>, Error> {
    let is_part = |name: &OsString| {
        [MANIFEST, CHECKED, LOCK].iter().any(|ours| name == *ours)
            || is_group(name)
            || temporary::is_ours(Path::new(name))
    };
    let names = names_in(folder)?;
    match names.iter().find(|name| !is_part(name)) {
        Some(name) => Err(TranscodeError::NotParts { folder: folder.to_owned(), name: name.clone() }.into()),
        None => Ok(names),
    }
}

fn names_in(folder: &Path) -> Result<Vec<OsString>, Error> {
    let names = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.map_err(Error::io("list", folder))
}

fn group_name(index: usize) -> String {
    format!("{index:06}{ENDING}")
}

fn is_group(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_suffix(ENDING));
    digits.is_some_and(|digits| digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
