//! Videos in a folder: names and hashes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BuildEvent;
use crate::dataset::DatasetError;
use crate::find::natural_order;
use crate::frames::folder::pictures_of;
use crate::hash::hash_file;
use crate::hex::hex;
use crate::paths::resolve;
use crate::{Error, is_picture_name};

/// What files of video end in; with other endings they are passed over, like any other file, and named.
const EXTENSIONS: [&str; 16] =
    ["3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "webm", "wmv", "y4m"];

/// A video to build from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Video {
    /// What it is called in the data set.
    pub(super) name: String,
    /// A file, or a folder of frames.
    pub(super) path: PathBuf,
}

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) videos: Vec<Video>,
    /// Files that are no videos by their names.
    pub(super) others: Vec<PathBuf>,
}

/// The videos in `folder`, in natural order. Neither `output` nor a folder in which it lies is one, nor what begins
/// with a dot.
pub(super) fn find(folder: &Path, output: &Path) -> Result<Found, Error> {
    let output = resolve(output).ok();
    let (mut paths, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") || is_for_output(&path, output.as_deref())? {
            continue;
        }
        if is_video(&path)? { &mut paths } else { &mut others }.push(path);
    }
    paths.sort_by(|a, b| natural_order(a, b));
    others.sort_by(|a, b| natural_order(a, b));
    let mut names: HashMap<String, PathBuf> = HashMap::new();
    let mut videos = Vec::new();
    for path in paths {
        let name = name(&path);
        if let Some(first) = names.insert(name.clone(), path.clone()) {
            return Err(DatasetError::SameName { name, first, second: path }.into());
        }
        videos.push(Video { name, path });
    }
    match videos.is_empty() {
        true => Err(DatasetError::NoVideos { path: folder.to_owned() }.into()),
        false => Ok(Found { videos, others }),
    }
}

/// Whether a path is the output or a folder in which it lies, unless that is a video itself.
fn is_for_output(path: &Path, output: Option<&Path>) -> Result<bool, Error> {
    let (Some(output), Ok(path)) = (output, path.canonicalize()) else { return Ok(false) };
    Ok(output == path || (output.starts_with(&path) && pictures_of(&path)?.is_empty()))
}

fn is_video(path: &Path) -> Result<bool, Error> {
    let not_a_video = |reason| Err(DatasetError::NotAVideo { path: path.to_owned(), reason }.into());
    if path.is_dir() {
        return match pictures_of(path)?.is_empty() {
            true => not_a_video("this folder holds no pictures: take it out of the folder of videos"),
            false => Ok(true),
        };
    }
    if is_picture_name(path) {
        return not_a_video("this is a single picture: put the frames of each video into a folder of their own");
    }
    let extension = path.extension().unwrap_or_default();
    Ok(EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// The file's name without extension, the folder's name; what would break a list of pairs or a file name becomes `_`.
fn name(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let safe = |c: char| {
        if c.is_whitespace() || c.is_control() || r#"/\:*?"<>|"#.contains(c) || c == '\u{fffd}' { '_' } else { c }
    };
    name.unwrap_or_default().to_string_lossy().chars().map(safe).collect()
}

/// The hashes of the videos' content, in hexadecimal.
pub(super) fn hash_all(videos: &[Video], observer: &mut dyn FnMut(BuildEvent<'_>)) -> Result<Vec<String>, Error> {
    let hash = |(done, video): (usize, &Video)| {
        observer(BuildEvent::Hashing { video: &video.name, done, of: videos.len() });
        hash(&video.path)
    };
    videos.iter().enumerate().map(hash).collect()
}

/// SHA-256 of a file; of a folder's pictures in natural order, each as the lengths of name and content and these
/// themselves.
fn hash(path: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    if path.is_dir() {
        for frame in pictures_of(path)? {
            let name = frame.file_name().unwrap_or_default().as_encoded_bytes();
            let bytes = frame.metadata().map_err(Error::io("read", &frame))?.len();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(bytes.to_le_bytes());
            hash_file(&frame, &mut hash)?;
        }
    } else {
        hash_file(path, &mut hash)?;
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Result<Vec<String>, String> {
        find(folder, &folder.join("out"))
            .map(|found| found.videos.into_iter().map(|video| video.name).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn files_and_folders_of_frames_are_videos() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(names(folder.path()).unwrap_err().contains("there are no videos"));
        for name in ["street 10.y4m", "street 2.MP4", "notes.txt", ".hidden.mp4"] {
            fs::write(path(name), name).unwrap();
        }
        fs::create_dir_all(path("frames.v1/below")).unwrap();
        fs::write(path("frames.v1/1.png"), "x").unwrap();
        fs::create_dir_all(path("out/clean")).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["frames.v1", "street_2", "street_10"]);
        fs::write(path("street.insv"), "x").unwrap();
        let found = find(folder.path(), &path("out")).unwrap();
        assert_eq!(found.others, [path("notes.txt"), path("street.insv")]);
        fs::write(path("street_2.avi"), "x").unwrap();
        assert!(names(folder.path()).unwrap_err().contains("would both be called street_2"));
        fs::remove_file(path("street_2.avi")).unwrap();
        fs::write(path("1.png"), "x").unwrap();
        assert!(names(folder.path()).unwrap_err().contains("a single picture"));
        fs::remove_file(path("1.png")).unwrap();
        fs::create_dir(path("empty")).unwrap();
        assert!(names(folder.path()).unwrap_err().contains("holds no pictures"));
        assert!(names(&path("nowhere")).unwrap_err().contains("nowhere"));
    }

    #[test]
    fn the_output_is_no_video_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("street.y4m"), "x").unwrap();
        fs::create_dir(path("frames")).unwrap();
        fs::write(path("frames/1.png"), "x").unwrap();
        let found = |output: &str| find(folder.path(), &path(output)).unwrap().videos.len();
        // In folders that are there, before and after the build, and in a video.
        fs::create_dir_all(path("out/below")).unwrap();
        for output in ["out", "out/below", "out/below/set", "out/new/set"] {
            assert_eq!(found(output), 2, "{output}");
        }
        fs::remove_dir_all(path("out")).unwrap();
        for output in ["out/set", "frames/set"] {
            assert_eq!(found(output), 2, "{output}");
        }
    }

    #[test]
    fn hashes_are_of_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("abc.y4m"), "abc").unwrap();
        // FIPS 180-2's example.
        assert_eq!(hash(&path("abc.y4m")).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let frames = |name: &str, content: [&str; 2]| {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("1.png"), content[0]).unwrap();
            fs::write(path(name).join("2.png"), content[1]).unwrap();
            fs::write(path(name).join("notes.txt"), name).unwrap();
            hash(&path(name)).unwrap()
        };
        let first = frames("first", ["ab", "c"]);
        assert_eq!(first, frames("copy", ["ab", "c"]));
        assert_ne!(first, frames("cut elsewhere", ["a", "bc"]));
    }
}
