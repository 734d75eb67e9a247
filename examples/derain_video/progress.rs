//! A bar with the time that is left on a terminal, a line now and then elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Time between two lines.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Progress {
    doing: &'static str,
    bar: ProgressBar,
    started: Instant,
    /// Seconds after `started` when the last line was written.
    last_line: AtomicU64,
}

impl Progress {
    /// For a video of `frames` frames, if that is known, of which `done` are done; `doing` says what is done to them.
    pub(crate) fn new(doing: &'static str, frames: Option<usize>, done: usize) -> Self {
        let bar = match frames {
            Some(frames) => ProgressBar::new(frames as u64),
            None => ProgressBar::no_length(),
        };
        let template = match frames {
            Some(_) => "{prefix} {wide_bar} {pos}/{len}, {per_sec}, {eta} left",
            None => "{prefix} {spinner} frame {pos}, {per_sec}, {elapsed} so far",
        };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(doing);
        bar.set_position(done as u64);
        // What was done before took no time.
        bar.reset_eta();
        bar.tick();
        Self { doing, bar, started: Instant::now(), last_line: AtomicU64::new(0) }
    }

    /// One more frame is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
        let (now, last) = (self.started.elapsed().as_secs(), self.last_line.load(Ordering::Relaxed));
        if !self.bar.is_hidden() || now < last + PATIENCE.as_secs() {
            return;
        }
        self.last_line.store(now, Ordering::Relaxed);
        let (doing, position) = (self.doing, self.bar.position());
        match self.bar.length() {
            Some(length) => {
                tracing::info!("{doing} frame {position} of {length}, about {} left", HumanDuration(self.bar.eta()))
            }
            None => tracing::info!("{doing} frame {position}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
