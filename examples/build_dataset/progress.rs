//! A bar on a terminal, a line for each video elsewhere.

use std::io::{self, Write};
use std::path::PathBuf;

use derain::data::Error;
use derain::data::dataset::{BuildEvent, RecordedVerdict};
use derain::data::paths::Shown;
use indicatif::{ProgressBar, ProgressStyle};

use crate::support::{counted, describe};

/// Steps of the bar for one video.
const STEPS: u64 = 1000;

/// Files that a warning names.
const NAMED: usize = 5;

pub(crate) struct Progress {
    bar: ProgressBar,
    videos: u64,
    done: u64,
}

impl Progress {
    /// With a bar unless the terminal is needed for questions.
    pub(crate) fn new(bar: ProgressBar) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {prefix}, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, videos: 0, done: 0 }
    }

    pub(crate) fn event(&mut self, event: BuildEvent<'_>) {
        match event {
            BuildEvent::PassedOver { files } => self.bar.suspend(|| warn_of_passed_over(files)),
            BuildEvent::Hashing { video, done, of } => {
                self.bar.set_length(of as u64 * STEPS);
                self.bar.set_position(done as u64 * STEPS);
                self.bar.set_prefix("hashing");
                self.bar.set_message(video.to_owned());
            }
            BuildEvent::Started { video, done, of } => {
                if done == 0 {
                    self.bar.reset();
                }
                (self.done, self.videos) = (done as u64, of as u64);
                self.bar.set_length(self.videos * STEPS);
                self.bar.set_position(self.done * STEPS);
                self.bar.set_prefix(format!("{done}/{of}"));
                self.bar.set_message(video.to_owned());
            }
            BuildEvent::Judged { video } => self.bar.set_message(format!("{}: clean image made", video.name)),
            BuildEvent::Pairs { video, done, of } => {
                self.bar.set_position(self.done * STEPS + STEPS * done as u64 / of.max(1) as u64);
                self.bar.set_message(format!("{video}: {done} of {of} pairs"));
            }
            // Where there is no bar, a line for each video.
            BuildEvent::Finished { video } if self.bar.is_hidden() => {
                let outcome = match video.verdict {
                    RecordedVerdict::Accepted => {
                        let pairs = counted(video.pairs.as_ref().map_or(0, Vec::len), "pair");
                        format!("{pairs}, {}", video.split.name())
                    }
                    RecordedVerdict::Rejected => "rejected".to_owned(),
                };
                let (place, of) = (self.done + 1, self.videos);
                tracing::info!("[{place}/{of}] {}: {}, {outcome}", video.name, counted(video.frames, "frame"));
            }
            BuildEvent::Failed { video, error } => {
                self.bar.suspend(|| say_failed(video, error));
            }
            _ => {}
        }
    }
}

/// At once and whatever the log filter says.
pub(crate) fn say_failed(video: &str, error: &Error) {
    let _ = writeln!(io::stderr(), "error: {video}: {}", describe(error));
}

/// Whoever has 30 videos should not have to count those in the data set.
pub(crate) fn warn_of_passed_over(files: &[PathBuf]) {
    let named: Vec<String> = files.iter().take(NAMED).map(|file| file.shown().to_string()).collect();
    let others = match files.len() - named.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    tracing::warn!("passed over, since no videos are called so: {}{others}", named.join(", "));
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
