//! `log.jsonl`, which only grows at its end, but for a resume.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::lines_on_disk::Lines;
use super::record::{Event, Record};
use crate::folder;
use crate::observer::{Started, WrittenKind};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct JsonLines {
    path: PathBuf,
    file: File,
    /// The last step written.
    step: u64,
}

impl JsonLines {
    /// Opens the log for what comes after [`Started::step`], without what it has of later steps.
    pub(super) fn open(path: &Path, started: &Started<'_>) -> Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(started.step == 0);
        let file = options.open(path).map_err(Error::io("open", path))?;
        let mut log = Self { path: path.to_owned(), file, step: started.step };
        let kept = if started.step == 0 { None } else { log.cut(started)? };
        if let Some(after) = kept {
            if after < started.step {
                log.append(Event::Gap { step: started.step, after })?;
            }
            log.repeat_checkpoint(started)?;
        } else {
            log.append(Event::Start {
                step: started.step,
                steps: started.steps,
                parameters: started.parameters,
                pairs: started.pairs,
                steps_per_epoch: started.steps_per_epoch,
                validation_pairs: started.validation_pairs,
            })?;
        }
        Ok(log)
    }

    /// Cuts off what came after the checkpoint of `step`, and the lines about the checkpoint itself. The last step that
    /// is left, none if no line is.
    fn cut(&mut self, started: &Started<'_>) -> Result<Option<u64>> {
        let step = started.step;
        let mut lines = Lines::new(&self.path, BufReader::new(&self.file));
        let (mut end, mut last) = (None, None);
        for line in &mut lines {
            let line = line?;
            let event = &line.record.event;
            let of_checkpoint =
                matches!(event, Event::Written { kind: WrittenKind::Checkpoint | WrittenKind::LastWeights, .. });
            // Of a validation that is still due, a run that was killed after it has left its lines.
            let of_due_validation = started.validation_due
                && matches!(
                    event,
                    Event::Validation { .. }
                        | Event::Samples { .. }
                        | Event::Written { kind: WrittenKind::BestWeights, .. }
                );
            if event.step() > step || (event.step() == step && (of_checkpoint || of_due_validation)) {
                end = Some(line.start);
                break;
            }
            last = Some(event.step());
        }
        let end = end.unwrap_or(lines.end());
        let cut = |file: &mut File| {
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))
        };
        cut(&mut self.file).map_err(Error::io("cut", &self.path))?;
        Ok(last)
    }

    /// A kill may have come between the checkpoint and its lines; and a checkpoint that somebody's stop asked for would
    /// not be there in an unbroken run. So the lines are written anew where the interval asks for them; after a
    /// validation that is still due, by whoever does it.
    fn repeat_checkpoint(&mut self, started: &Started<'_>) -> Result<()> {
        let step = started.step;
        if started.validation_due {
            return Ok(());
        }
        if step.is_multiple_of(started.config.checkpoint_interval) || step == started.steps {
            for (kind, file) in
                [(WrittenKind::Checkpoint, folder::CHECKPOINT), (WrittenKind::LastWeights, folder::LAST)]
            {
                self.append(Event::Written { step, kind, file: file.into() })?;
            }
        }
        Ok(())
    }

    /// Writes a line, whole or with an error.
    pub(super) fn append(&mut self, event: Event) -> Result<()> {
        self.step = event.step();
        let record = Record { event, time: now() };
        let line = serde_json::to_vec(&record).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        line.map_err(Error::io("write", &self.path))
    }

    /// Writes a message after the last step.
    pub(super) fn message(&mut self, text: &str) -> Result<()> {
        self.append(Event::Message { step: self.step, text: text.into() })
    }

    /// Makes what was written survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}

/// Seconds since 1970, in milliseconds.
pub(super) fn now() -> f64 {
    // A clock before 1970 is no reason to stop.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1e3
}
