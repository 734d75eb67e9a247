//! Verdicts on disk: one line of JSON each, in the order in which they were given.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::durable::sync_folder;
use crate::hex::hex;
use crate::judge::{Candidate, Verdict};
use crate::lock::is_held_elsewhere;
use crate::pixels::pixels;

/// Every line begins so; what a kill leaves of the last one begins so or is part of it.
const START: &[u8] = b"{\"video\":";

/// What a verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Subject {
    video: String,
    frames: usize,
    sha256: String,
}

impl Subject {
    /// The candidate's name, frames and the hash of its size and pixels.
    pub(super) fn of(candidate: &Candidate<'_>) -> Self {
        Self { video: candidate.video.to_owned(), frames: candidate.frames, sha256: hash(candidate.image) }
    }
}

fn hash(image: &RgbImage) -> String {
    let mut hash = Sha256::new();
    hash.update(image.width().to_le_bytes());
    hash.update(image.height().to_le_bytes());
    hash.update(pixels(image));
    hex(&hash.finalize())
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    subject: Subject,
    #[serde(with = "Word")]
    verdict: Verdict,
}

/// `"accept"`, `"more_frames"` or `{"reject": {"reason": …}}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Verdict", rename_all = "snake_case")]
enum Word {
    Accept,
    MoreFrames,
    Reject { reason: String },
}

/// The file and what it holds.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Locked, so that two programs do not write over each other.
    file: File,
    /// Bytes of whole lines.
    length: u64,
    verdicts: HashMap<Subject, Verdict>,
}

impl Log {
    /// Opens or makes the file. The part of a line that a kill may have left at the end is cut off; nothing else is
    /// changed.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(Error::NotAFile { path: path.to_owned() }),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(Error::io("open", path))?;
        if is_held_elsewhere(file.try_lock()) {
            return Err(Error::ReviewInUse { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let (length, verdicts) = parse(path, &bytes)?;
        if length < bytes.len() {
            file.set_len(length as u64).map_err(Error::io("repair", path))?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder).map_err(Error::io("sync", folder))?;
        Ok(Self { path: path.to_owned(), file, length: length as u64, verdicts })
    }

    /// The last verdict on the subject.
    pub(super) fn find(&self, subject: &Subject) -> Option<&Verdict> {
        self.verdicts.get(subject)
    }

    /// Adds a verdict; when this returns without an error it is on disk.
    pub(super) fn append(&mut self, subject: Subject, verdict: Verdict) -> Result<(), Error> {
        let line = Line { subject, verdict };
        let mut bytes = serde_json::to_vec(&line).map_err(|source| Error::Json { path: self.path.clone(), source })?;
        bytes.push(b'\n');
        self.write(&bytes).map_err(Error::io("write", &self.path))?;
        self.length += bytes.len() as u64;
        self.verdicts.insert(line.subject, line.verdict);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What an earlier failure left behind the whole lines goes.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.file.sync_all()
    }
}

/// The length of the whole lines, and what they say.
fn parse(path: &Path, bytes: &[u8]) -> Result<(usize, HashMap<Subject, Verdict>), Error> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let damaged = |line, reason| Error::ListLine { path: path.to_owned(), line, reason };
    let mut verdicts = HashMap::new();
    let mut count = 0;
    for text in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
        count += 1;
        let line: Line = serde_json::from_slice(text).map_err(|_| damaged(count, "is no verdict of a review"))?;
        verdicts.insert(line.subject, line.verdict);
    }
    let rest = &bytes[whole..];
    // A power cut may leave zeros where the line was to be.
    let rest = &rest[..rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)];
    match rest.starts_with(START) || START.starts_with(rest) {
        true => Ok((whole, verdicts)),
        // Not ours: not to be cut off.
        false => Err(damaged(count + 1, "is no verdict of a review")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(video: &str, frames: usize) -> Subject {
        Subject { video: video.into(), frames, sha256: "00".into() }
    }

    #[test]
    fn verdicts_are_read_back_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verdicts");
        let reason = "Straße \"nass\"\nund {zwei}".to_owned();
        let mut log = Log::open(&path).unwrap();
        log.append(subject("a", 20), Verdict::MoreFrames).unwrap();
        log.append(subject("a", 30), Verdict::Accept).unwrap();
        log.append(subject("a", 30), Verdict::Reject { reason: reason.clone() }).unwrap();
        assert!(matches!(Log::open(&path), Err(Error::ReviewInUse { .. })));
        drop(log);
        let log = Log::open(&path).unwrap();
        assert_eq!(log.find(&subject("a", 20)), Some(&Verdict::MoreFrames));
        assert_eq!(log.find(&subject("a", 30)), Some(&Verdict::Reject { reason }));
        assert_eq!(log.find(&subject("b", 30)), None);
        let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first, r#"{"video":"a","frames":20,"sha256":"00","verdict":"more_frames"}"#);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verdicts");
        let mut log = Log::open(&path).unwrap();
        log.append(subject("a", 20), Verdict::MoreFrames).unwrap();
        let whole = fs::read(&path).unwrap();
        log.append(subject("b", 30), Verdict::Accept).unwrap();
        drop(log);
        let both = fs::read(&path).unwrap();
        for zeros in [0, 7] {
            for cut in whole.len()..both.len() {
                fs::write(&path, [&both[..cut], &vec![0; zeros]].concat()).unwrap();
                let mut log = Log::open(&path).unwrap();
                assert_eq!(fs::read(&path).unwrap(), whole);
                assert_eq!(log.find(&subject("b", 30)), None);
                log.append(subject("b", 30), Verdict::Accept).unwrap();
                assert_eq!(fs::read(&path).unwrap(), both);
            }
        }
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verdicts");
        for text in [
            "notes",
            "{\"video\":\"a\"}\n",
            "\n",
            "{\"video\":\"a\",\"frames\":1,\"sha256\":\"\",\"verdict\":\"no\"}\n",
        ] {
            fs::write(&path, text).unwrap();
            let error = Log::open(&path).unwrap_err();
            assert!(matches!(error, Error::ListLine { line: 1, .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(matches!(Log::open(folder.path()), Err(Error::NotAFile { .. })));
        assert!(matches!(Log::open(&folder.path().join("none/verdicts")), Err(Error::Io { .. })));
    }

    #[test]
    fn the_hash_tells_shapes_and_pixels_apart() {
        let wide = RgbImage::new(2, 1);
        let mut other = wide.clone();
        other.put_pixel(1, 0, image::Rgb([0, 0, 1]));
        assert_ne!(hash(&wide), hash(&RgbImage::new(1, 2)));
        assert_ne!(hash(&wide), hash(&other));
        assert_eq!(hash(&wide).len(), 64);
    }
}
