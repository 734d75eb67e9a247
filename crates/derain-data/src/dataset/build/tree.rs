//! The folders and files of a data set.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::Resume;
use super::plan::{Plan, PlannedVideo};
use super::split::Split;
use crate::dataset::DatasetError;
use crate::{Error, remove_orphans, temporary, write_durably};

/// The manifest's file name.
pub(in crate::dataset) const MANIFEST: &str = "manifest.json";

const RAIN: &str = "rain";
const NORAIN: &str = "norain";
const CLEAN: &str = "clean";
const BUILD: &str = "build";
const RECORDS: &str = "build/videos";
const PLAN: &str = "build/plan.json";

/// Where everything is.
pub(super) struct Tree {
    root: PathBuf,
}

/// Folders of the rainy and of the clean patches, relative to the root, with `/` as in lists.
pub(super) fn relative_folders(split: Split) -> [String; 2] {
    [RAIN, NORAIN].map(|kind| format!("{}/{kind}", split.name()))
}

/// Removes all temporary files: who holds the lock knows that nobody else is at work, whatever machine or container left them.
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
        Self { root: root.to_owned() }
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
        let is_ours = |path: &Path| ours.iter().any(|folder| folder == path) || temporary::is_ours(path);
        for folder in [self.root.clone(), self.root.join(BUILD)] {
            if !folder.exists() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
                if !is_ours(&entry.map_err(Error::io("list", &folder))?.path()) {
                    return Err(not_empty);
                }
            }
        }
        Ok(())
    }

    /// Makes the folders, writes the plan or compares it with the one that is there, and clears away what a killed build left.
    /// The build is locked while the result lives.
    pub(super) fn begin(&self, plan: &Plan) -> Result<File, Error> {
        for folder in self.folders() {
            fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        }
        let path = self.root.join(PLAN);
        if !path.exists() {
            self.write_json(&path, plan)?;
        }
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(DatasetError::Busy { path: self.root.clone() }.into()),
            // Where a file system has no locks, the user takes care.
            Err(TryLockError::Error(_)) => false,
        };
        if let Some(what) = self.read_json::<Plan>(&path)?.and_then(|begun| plan.difference(&begun)) {
            return Err(DatasetError::OtherPlan { path: self.root.clone(), what }.into());
        }
        for folder in self.folders() {
            match locked {
                true => remove_temporaries(&folder)?,
                false => drop(remove_orphans(&folder)?),
            }
        }
        Ok(file)
    }

    /// Removes the patches of a video, which were cut for a verdict that is no more.
    pub(super) fn remove_patches(&self, video: &PlannedVideo) -> Result<(), Error> {
        for folder in self.patch_folders(video.split) {
            for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
                let path = entry.map_err(Error::io("list", &folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.rsplit_once('-').is_some_and(|(of, _)| of == video.name) {
                    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                }
            }
        }
        Ok(())
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }
}
