//! Whole lines of a log, and where they end.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::{Error, Result};

/// A line that was written whole.
pub(super) struct Line {
    pub record: Record,
    /// Where it begins in the file.
    pub start: u64,
}

/// The whole lines of a log, in order. What a kill or a power cut has torn at its end is no line; whole lines after a
/// damaged one are an error.
pub(super) struct Lines<R> {
    path: PathBuf,
    reader: R,
    /// Where the next line begins.
    at: u64,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(path: &Path, reader: R) -> Self {
        Self { path: path.to_owned(), reader, at: 0, number: 0 }
    }

    /// Where the last whole line ends that was read.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// The next line's bytes, none at the file's end.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let count = self.reader.read_until(b'\n', &mut bytes).map_err(Error::io("read", &self.path))?;
        self.number += 1;
        Ok((count > 0).then_some(bytes))
    }

    fn read(&mut self) -> Result<Option<Line>> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        match parse(&bytes) {
            Ok(record) => {
                let start = self.at;
                self.at += bytes.len() as u64;
                Ok(Some(Line { record, start }))
            }
            Err(reason) => {
                let number = self.number;
                while let Some(later) = self.bytes()? {
                    if parse(&later).is_ok() {
                        return Err(Error::Log { path: self.path.clone(), line: number, reason });
                    }
                }
                Ok(None)
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn parse(line: &[u8]) -> std::result::Result<Record, String> {
    let whole = line.strip_suffix(b"\n").ok_or("it has no end")?;
    serde_json::from_slice(whole).map_err(|error| error.to_string())
}
