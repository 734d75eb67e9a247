//! The videos under review and what is known of each.

use std::sync::mpsc::{self, Receiver, Sender};

use axum::body::Bytes;
use serde::Serialize;

use super::log::{Log, Subject};
use crate::Error;
use crate::judge::{Density, Verdict};

/// All videos, in the order in which they became known.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) videos: Vec<Video>,
    /// Counts changes, so that the page asks only whether there are any.
    pub(super) changes: u64,
    /// Counts candidates, of all videos together: an order of arrival, and a verdict names the candidate that was seen.
    revisions: u64,
    log: Log,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Video {
    pub(super) name: String,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing has happened yet.
    Waiting,
    /// A clean image is being made, from this many frames if that is known.
    Computing(Option<usize>),
    /// A clean image waits for its verdict.
    Shown(Box<Shown>),
    Accepted(usize),
    Rejected(usize, String),
    /// Cannot be used.
    Failed(String),
}

/// A candidate on the page. Dropping it tells its judge that no verdict will come.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) facts: Facts,
    /// PNG files.
    pub(super) pictures: Pictures,
    subject: Subject,
    answer: Sender<Verdict>,
}

#[derive(Debug)]
pub(super) struct Pictures {
    pub(super) clean: Bytes,
    pub(super) input: Bytes,
}

/// What the page says about a candidate.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) revision: u64,
    pub(super) frames: usize,
    pub(super) percentile: u8,
    pub(super) votes: Vec<u64>,
    pub(super) next: Option<usize>,
    pub(super) density: Option<Density>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Why a verdict was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The candidate has been judged, or there is none.
    Stale,
    /// More frames were asked for, and there are none.
    NoMoreFrames,
    /// The verdict cannot be kept; the candidate goes on waiting.
    Disk(Error),
}

impl Queue {
    pub(super) fn new(log: Log) -> Self {
        Self { videos: Vec::new(), changes: 0, revisions: 0, log, closed: false }
    }

    /// The recorded verdict. A wish for more frames is none where there are no more: then the person shall choose
    /// between the others.
    pub(super) fn recorded(&self, subject: &Subject, next: Option<usize>) -> Option<Verdict> {
        let verdict = self.log.find(subject)?;
        (*verdict != Verdict::MoreFrames || next.is_some()).then(|| verdict.clone())
    }

    /// Sets a video's stage, unless it is being shown.
    pub(super) fn note(&mut self, name: &str, stage: Stage) {
        let index = self.index(name);
        if !matches!(self.videos[index].stage, Stage::Shown(_)) {
            self.set(index, stage);
        }
    }

    /// Adds a video that is not known yet.
    pub(super) fn expect(&mut self, name: &str) {
        self.index(name);
    }

    /// What follows from a verdict.
    pub(super) fn judged(&mut self, name: &str, frames: usize, next: Option<usize>, verdict: &Verdict) {
        self.note(name, after(frames, next, verdict));
    }

    /// Shows a candidate; its verdict comes through the result. `None` if no verdicts are taken any more.
    pub(super) fn publish(
        &mut self,
        name: &str,
        mut facts: Facts,
        pictures: Pictures,
        subject: Subject,
    ) -> Option<Receiver<Verdict>> {
        if self.closed {
            return None;
        }
        let (answer, receiver) = mpsc::channel();
        self.revisions += 1;
        facts.revision = self.revisions;
        let index = match self.index(name) {
            // Two videos of one name at once: each has its own place.
            index if matches!(self.videos[index].stage, Stage::Shown(_)) => self.add(name),
            index => index,
        };
        self.set(index, Stage::Shown(Box::new(Shown { facts, pictures, subject, answer })));
        Some(receiver)
    }

    /// The candidate of that number, if it is still to be judged.
    pub(super) fn shown(&self, video: usize, revision: u64) -> Option<&Shown> {
        match &self.videos.get(video)?.stage {
            Stage::Shown(shown) if shown.facts.revision == revision => Some(shown),
            _ => None,
        }
    }

    /// Takes a verdict: on disk first, then to the judge.
    pub(super) fn decide(&mut self, video: usize, revision: u64, verdict: Verdict) -> Result<(), Refusal> {
        let shown = self.shown(video, revision).ok_or(Refusal::Stale)?;
        let Facts { frames, next, .. } = shown.facts;
        if verdict == Verdict::MoreFrames && next.is_none() {
            return Err(Refusal::NoMoreFrames);
        }
        let (subject, answer) = (shown.subject.clone(), shown.answer.clone());
        self.log.append(subject, verdict.clone()).map_err(Refusal::Disk)?;
        self.set(video, after(frames, next, &verdict));
        // Without a judge there is only the record.
        let _ = answer.send(verdict);
        Ok(())
    }

    /// Ends the waiting of all judges; no candidate is shown from now on.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for video in &mut self.videos {
            if matches!(video.stage, Stage::Shown(_)) {
                video.stage = Stage::Waiting;
            }
        }
        self.changes += 1;
    }

    fn index(&mut self, name: &str) -> usize {
        match self.videos.iter().position(|video| video.name == name) {
            Some(index) => index,
            None => self.add(name),
        }
    }

    fn add(&mut self, name: &str) -> usize {
        self.changes += 1;
        self.videos.push(Video { name: name.to_owned(), stage: Stage::Waiting });
        self.videos.len() - 1
    }

    fn set(&mut self, index: usize, stage: Stage) {
        self.changes += 1;
        self.videos[index].stage = stage;
    }
}

fn after(frames: usize, next: Option<usize>, verdict: &Verdict) -> Stage {
    match verdict {
        Verdict::Accept => Stage::Accepted(frames),
        Verdict::MoreFrames => Stage::Computing(next),
        Verdict::Reject { reason } => Stage::Rejected(frames, reason.clone()),
    }
}
