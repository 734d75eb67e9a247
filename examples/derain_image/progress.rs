//! A bar with the time that is left on a terminal, a line for each picture elsewhere; large pictures get lines of their
//! own.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::support::about;
use derain::data::paths::Shown;

/// Steps of the bar for one picture.
const STEPS: u64 = 1000;
/// Time between two lines about the same picture.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Progress {
    bar: ProgressBar,
    pictures: u64,
    finished: AtomicU64,
    started: Instant,
    /// Seconds after `started` when the last line was written.
    last_line: AtomicU64,
}

impl Progress {
    pub(crate) fn new(pictures: usize) -> Self {
        let pictures = pictures as u64;
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(STEPS * pictures);
        let style = ProgressStyle::with_template("{wide_bar} {prefix}, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(format!("0/{pictures}"));
        bar.tick();
        Self { bar, pictures, finished: AtomicU64::new(0), started: Instant::now(), last_line: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self, input: &Path) {
        self.bar.set_message(input.file_name().unwrap_or_default().to_string_lossy().into_owned());
    }

    /// What share of the current picture is done; called from many threads.
    pub(crate) fn within(&self, share: f64) {
        let steps = (share * STEPS as f64) as u64;
        let position = STEPS * self.finished.load(Ordering::Relaxed) + steps;
        if !self.bar.is_hidden() {
            // Reports may come out of order.
            if position > self.bar.position() {
                self.bar.set_position(position);
            }
            return;
        }
        let (now, last) = (self.started.elapsed().as_secs(), self.last_line.load(Ordering::Relaxed));
        let due = now >= last + PATIENCE.as_secs();
        if due && self.last_line.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            tracing::info!("{}: {:.0} %", self.bar.message(), 100.0 * share);
        }
    }

    /// One more picture is out of the way.
    fn advance(&self) {
        let finished = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        self.last_line.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        self.bar.set_prefix(format!("{finished}/{}", self.pictures));
        self.bar.set_position(STEPS * finished);
    }

    pub(crate) fn done(&self, input: &Path, seconds: f64) {
        self.advance();
        if self.bar.is_hidden() {
            let left = HumanDuration(self.bar.eta());
            tracing::info!("[{}] {}: done in {seconds:.2} s, about {left} left", self.place(), input.shown());
        }
    }

    /// Skipped pictures take no time, so they must not count for the time that is left.
    pub(crate) fn skipped(&self, input: &Path) {
        self.advance();
        if self.bar.is_hidden() {
            tracing::info!("[{}] {}: skipped, its output exists", self.place(), input.shown());
        }
        self.bar.reset_eta();
    }

    /// Which of the pictures this is.
    fn place(&self) -> String {
        format!("{}/{}", self.finished.load(Ordering::Relaxed), self.pictures)
    }

    /// Failures are said at once and whatever the log filter says.
    pub(crate) fn failed(&self, input: &Path, reason: &str) {
        let _ = self.bar.suspend(|| writeln!(io::stderr(), "error: {}", about(input, reason)));
        self.advance();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
