//! A bar with the time that is left on a terminal, a line for each picture elsewhere.

use std::io::{self, Write};
use std::path::Path;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(pictures: usize) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(pictures as u64);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.tick();
        Self { bar }
    }

    pub(crate) fn begin(&self, input: &Path) {
        self.bar.set_message(input.file_name().unwrap_or_default().to_string_lossy().into_owned());
    }

    pub(crate) fn done(&self, input: &Path, seconds: f64) {
        self.bar.inc(1);
        if self.bar.is_hidden() {
            let left = HumanDuration(self.bar.eta());
            tracing::info!("[{}] {}: done in {seconds:.2} s, about {left} left", self.place(), input.display());
        }
    }

    /// Skipped pictures take no time, so they must not count for the time that is left.
    pub(crate) fn skipped(&self, input: &Path) {
        self.bar.inc(1);
        if self.bar.is_hidden() {
            tracing::info!("[{}] {}: skipped, its output exists", self.place(), input.display());
        }
        self.bar.reset_eta();
    }

    /// Which of the pictures this is.
    fn place(&self) -> String {
        format!("{}/{}", self.bar.position(), self.bar.length().unwrap_or_default())
    }

    /// Failures are said at once and whatever the log filter says.
    pub(crate) fn failed(&self, input: &Path, reason: &str) {
        let _ = self.bar.suspend(|| writeln!(io::stderr(), "error: {}: {reason}", input.display()));
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
