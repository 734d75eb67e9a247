//! TensorBoard's event files, as far as scalars and pictures need them.
//!
//! A file is a series of records (`frame.rs`), each a protocol buffer (`event.rs`). Every run writes a file of its own.
//! A resume begins its file with the mark that makes TensorBoard forget what earlier files have of later steps, so
//! nothing ever written is changed.
//!
//! The crates that write such files were looked at: `tensorboard-rs` rests since 2022 and panics in its own thread when
//! a disk is full; `tboard` needs a protocol buffer compiler to be installed; `tfrecord` brings a dozen crates of old
//! versions.

mod event;
mod frame;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use derain_metrics::Scores;
use image::RgbImage;
use prost::Message;

use super::json_lines::now;
use crate::observer::{Losses, StepRecord, ValidationRecord};
use crate::{Error, Result};
use event::{COLORSPACE_RGB, Event, Image, SESSION_START, SessionLog, Shown, Summary, VERSION, Value, What};

/// TensorBoard reads files with `tfevents` in their names, in the names' order.
const NAME: &str = "events.out.tfevents.";

/// Digits of a file's number: zeros in front keep the order.
const DIGITS: usize = 10;

#[derive(Debug)]
pub(super) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new file in `folder` for what comes after `step`.
    pub(super) fn open(folder: &Path, step: u64) -> Result<Self> {
        let (path, file) = create(folder)?;
        let mut board = Self { path, file };
        board.write(0, What::FileVersion(VERSION.into()))?;
        // Of a step and all after it, what was written before is forgotten.
        board.write(step + u64::from(step > 0), What::SessionLog(SessionLog { status: SESSION_START }))?;
        Ok(board)
    }

    pub(super) fn step(&mut self, record: &StepRecord) -> Result<()> {
        let StepRecord { step, losses, learning_rate, gradient_norm, seconds, waited, .. } = *record;
        let Losses { total, l1, ssim, attention } = losses;
        let terms = [("loss/l1", l1), ("loss/ssim", ssim), ("loss/attention", attention)];
        let mut values = vec![
            scalar("loss/total", total),
            scalar("learning_rate", learning_rate),
            scalar("gradient_norm", gradient_norm),
            scalar("seconds/step", seconds),
            scalar("seconds/waited", waited),
        ];
        values.extend(terms.into_iter().filter_map(|(tag, term)| Some(scalar(tag, term?))));
        self.write(step, What::Summary(Summary { values }))
    }

    pub(super) fn validation(&mut self, record: &ValidationRecord) -> Result<()> {
        let Scores { psnr, ssim, .. } = record.output;
        let values = vec![
            scalar("validation/psnr", psnr),
            scalar("validation/ssim", ssim),
            scalar("validation/psnr_of_input", record.input.psnr),
            scalar("validation/ssim_of_input", record.input.ssim),
            scalar("seconds/validation", record.seconds),
        ];
        self.write(record.step, What::Summary(Summary { values }))
    }

    /// A sample picture, whose bytes as a PNG file are `png`.
    pub(super) fn sample(&mut self, step: u64, pair: usize, picture: &RgbImage, png: Vec<u8>) -> Result<()> {
        let (width, height) = (picture.width() as i32, picture.height() as i32);
        let image = Image { height, width, colorspace: COLORSPACE_RGB, png };
        let value = Value { tag: format!("samples/pair-{pair}"), shown: Some(Shown::Image(image)) };
        self.write(step, What::Summary(Summary { values: vec![value] }))
    }

    /// Makes what was written survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        // One write for a record: a kill tears the last one at most, which readers leave out.
        self.file.write_all(&frame::frame(&event.encode_to_vec())).map_err(Error::io("write", &self.path))
    }
}

fn scalar(tag: &str, value: f64) -> Value {
    Value { tag: tag.into(), shown: Some(Shown::Scalar(value as f32)) }
}

/// The first number behind all that are there.
fn create(folder: &Path) -> Result<(PathBuf, File)> {
    let mut number = 1;
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let taken = name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u64>().ok());
        number = number.max(taken.map_or(0, |taken| taken.saturating_add(1)));
    }
    loop {
        let path = folder.join(format!("{NAME}{number:0DIGITS$}"));
        match File::options().append(true).create_new(true).open(&path) {
            // Not ours: names that sort alike but are longer or padded otherwise.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            result => return result.map(|file| (path.clone(), file)).map_err(Error::io("make", &path)),
        }
    }
}
