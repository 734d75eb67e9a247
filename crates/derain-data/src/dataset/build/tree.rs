//! The folders and files of a data set.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::Resume;
use super::plan::{Plan, PlannedVideo};
use super::split::Split;
use crate::dataset::DatasetError;
use crate::lock::is_held_elsewhere;
use crate::{Error, Shard, remove_orphans, temporary, write_durably};

/// The manifest's file name.
pub(in crate::dataset) const MANIFEST: &str = "manifest.json";

const RAIN: &str = "rain";
const NORAIN: &str = "norain";
const CLEAN: &str = "clean";
const BUILD: &str = "build";
const RECORDS: &str = "build/videos";
const PLAN: &str = "build/plan.json";
/// Locked as long as somebody builds: by one process alone, or by any number of shards together.
const LOCK: &str = "build/lock";
/// A file for each video that a shard is at work on, locked by it. Gone when the data set is complete.
const CLAIMS: &str = "build/claims";
/// More often than shards end together.
const CLAIM_TRIES: usize = 100;

/// Where everything is.
pub(super) struct Tree {
    root: PathBuf,
    /// Names of the patches that were there when the first video had been judged, by video: to list the folders anew
    /// for every video would take hours of a large set.
    earlier: Mutex<Option<HashMap<String, BTreeSet<String>>>>,
}

/// Folders of the rainy and of the clean patches, relative to the root, with `/` as in lists.
pub(super) fn relative_folders(split: Split) -> [String; 2] {
    [RAIN, NORAIN].map(|kind| format!("{}/{kind}", split.name()))
}

/// A file that exists for its lock alone.
fn open_lock(path: &Path) -> io::Result<File> {
    // Network file systems lock only what is open for reading and writing.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Removes all temporary files: who holds the lock knows that nobody else is at work, whatever machine or container
/// left them.
fn remove_temporaries(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if temporary::is_ours(&path) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), earlier: Mutex::default() }
    }

    /// Of the rainy and of the clean patches.
    pub(super) fn patch_folders(&self, split: Split) -> [PathBuf; 2] {
        relative_folders(split).map(|folder| self.root.join(folder))
    }

    pub(super) fn clean_image(&self, video: &str) -> PathBuf {
        self.root.join(CLEAN).join(format!("{video}.png"))
    }

    pub(super) fn record(&self, video: &str) -> PathBuf {
        self.root.join(RECORDS).join(format!("{video}.json"))
    }

    pub(super) fn list(&self, split: Split) -> PathBuf {
        self.root.join(format!("{}.txt", split.name()))
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    /// Every folder, each after the one that it is in.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.root.clone()];
        folders.extend([BUILD, RECORDS, CLEAN].map(|name| self.root.join(name)));
        for split in Split::ALL {
            folders.push(self.root.join(split.name()));
            folders.extend(self.patch_folders(split));
        }
        folders
    }

    /// Fails if there is something in the folder that must not be touched, before much time has been spent.
    pub(super) fn check_free(&self, resume: Resume) -> Result<(), Error> {
        if !self.root.exists() {
            return Ok(());
        }
        let not_empty = |hint| -> Error { DatasetError::NotEmpty { path: self.root.clone(), hint }.into() };
        if self.root.join(PLAN).exists() {
            return match resume {
                Resume::Continue => Ok(()),
                Resume::Refuse => Err(not_empty("a build was begun there: resume it, or choose another folder")),
            };
        }
        let not_empty = not_empty("it holds no build that could be resumed: choose another folder");
        // A build that was killed before its plan was there has made empty folders and temporaries.
        let ours = self.folders();
        let lock = self.root.join(LOCK);
        let is_ours =
            |path: &Path| path == lock || ours.iter().any(|folder| folder == path) || temporary::is_ours(path);
        for folder in ours.iter().filter(|folder| folder.exists()) {
            for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
                if !is_ours(&entry.map_err(Error::io("list", folder))?.path()) {
                    return Err(not_empty);
                }
            }
        }
        Ok(())
    }

    /// Makes the folders, writes the plan or compares it with the one that is there, and clears away what a killed
    /// build left. The build is locked while the result lives: for others altogether, or, by a shard, for those that
    /// are none.
    pub(super) fn begin(&self, plan: &Plan, shard: Shard) -> Result<File, Error> {
        for folder in self.folders() {
            fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        }
        let lock = self.root.join(LOCK);
        let file = open_lock(&lock).map_err(Error::io("open", &lock))?;
        let asked = if shard.is_part() { file.try_lock_shared() } else { file.try_lock() };
        let locked = asked.is_ok();
        if is_held_elsewhere(asked) {
            return Err(DatasetError::Busy { path: self.root.clone() }.into());
        }
        let path = self.root.join(PLAN);
        // Shards that begin at once may all write it: the same one, or they notice before their next video that it is
        // another. So they do where the judge is changed, which those that work for the former one notice.
        if self.read_json::<Plan>(&path)?.is_none_or(|begun| plan.changes_judge_alone(&begun)) {
            self.write_json(&path, plan)?;
        }
        self.check_plan(plan)?;
        if locked && !shard.is_part() {
            self.remove_traces()?;
        } else {
            self.folders().iter().try_for_each(|folder| remove_orphans(folder).map(drop))?;
        }
        Ok(file)
    }

    /// Fails if the build is of something else.
    pub(super) fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        match self.read_json::<Plan>(&self.root.join(PLAN))?.and_then(|begun| plan.difference(&begun)) {
            Some(what) => Err(DatasetError::OtherPlan { path: self.root.clone(), what }.into()),
            None => Ok(()),
        }
    }

    /// Removes what was left by whoever was at work, now that nobody is.
    fn remove_traces(&self) -> Result<(), Error> {
        self.folders().iter().try_for_each(|folder| remove_temporaries(folder))?;
        self.remove_claims()
    }

    /// Keeps a video for one shard while the result lives; `None` if another has it.
    pub(super) fn claim(&self, video: &str) -> Result<Option<File>, Error> {
        let folder = self.root.join(CLAIMS);
        let path = folder.join(video);
        let open = || fs::create_dir_all(&folder).and_then(|()| open_lock(&path));
        // Another shard that finds the data set complete may remove the folder at any moment.
        let is_removed = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists);
        let mut opened = open();
        for _ in 0..CLAIM_TRIES {
            if !opened.as_ref().is_err_and(is_removed) {
                break;
            }
            opened = open();
        }
        let file = opened.map_err(Error::io("open", &path))?;
        Ok(if is_held_elsewhere(file.try_lock()) { None } else { Some(file) })
    }

    /// Removes the claims. For a complete data set even while other shards run: whoever gets a claim looks first
    /// whether the video is done.
    pub(super) fn remove_claims(&self) -> Result<(), Error> {
        let folder = self.root.join(CLAIMS);
        match fs::remove_dir_all(&folder) {
            // Another shard found the data set complete, too, or claims a video just now and will find it so.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
            result => result.map_err(Error::io("remove", &folder)),
        }
    }

    /// Clears away what killed shards left, if the last one at work holds `lock`.
    pub(super) fn clear(&self, lock: &File) -> Result<(), Error> {
        self.remove_claims()?;
        match lock.try_lock() {
            Ok(()) => self.remove_traces(),
            // The others may be writing the same lists.
            Err(_) => Ok(()),
        }
    }

    /// Removes the patches of a video, which were cut for a verdict that is no more.
    pub(super) fn remove_patches(&self, video: &PlannedVideo) -> Result<(), Error> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if earlier.is_none() {
            *earlier = Some(self.patches()?);
        }
        for name in earlier.as_mut().and_then(|earlier| earlier.remove(&video.name)).unwrap_or_default() {
            for path in self.patch_folders(video.split).map(|folder| folder.join(&name)) {
                match fs::remove_file(&path) {
                    // A kill leaves one of a pair.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    result => result.map_err(Error::io("remove", &path))?,
                }
            }
        }
        Ok(())
    }

    /// The names of all patches by video.
    fn patches(&self) -> Result<HashMap<String, BTreeSet<String>>, Error> {
        let mut found: HashMap<String, BTreeSet<String>> = HashMap::new();
        for folder in Split::ALL.into_iter().flat_map(|split| self.patch_folders(split)) {
            for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
                let name = entry.map_err(Error::io("list", &folder))?.file_name();
                if let Some((name, (video, _))) = name.to_str().and_then(|name| Some((name, name.rsplit_once('-')?))) {
                    found.entry(video.to_owned()).or_default().insert(name.to_owned());
                }
            }
        }
        Ok(found)
    }

    pub(super) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(value);
        let mut json = json.map_err(|source| Error::Json { path: path.to_owned(), source })?;
        json.push(b'\n');
        write_durably(path, &json)
    }

    /// What a file holds, if it is there.
    pub(super) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, Error> {
        match fs::read(path) {
            Ok(bytes) => {
                let value = serde_json::from_slice(&bytes);
                Ok(Some(value.map_err(|source| Error::Json { path: path.to_owned(), source })?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }
}
