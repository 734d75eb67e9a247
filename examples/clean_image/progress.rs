//! A bar on a terminal; nothing elsewhere, where the lines of the log must do.

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of the bar for the clean image.
const STEPS: u64 = 1000;

pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For reading `frames` frames, if that is known.
    pub(crate) fn reading(frames: Option<usize>) -> Self {
        match frames {
            Some(frames) => Self::bar(frames as u64, "{wide_bar} {pos}/{len} frames, {eta} left"),
            None => Self(ProgressBar::new_spinner().with_style(style("{spinner} {pos} frames"))),
        }
    }

    /// Nothing is shown.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// For the clean image itself.
    pub(crate) fn computing() -> Self {
        Self::bar(STEPS, "{wide_bar} clean image, {eta} left")
    }

    fn bar(length: u64, template: &str) -> Self {
        Self(ProgressBar::new(length).with_style(style(template)))
    }

    pub(crate) fn frame(&self) {
        self.0.inc(1);
    }

    /// What share is done; called from many threads, so reports may come out of order.
    pub(crate) fn share(&self, share: f64) {
        let position = (share * STEPS as f64) as u64;
        if position > self.0.position() {
            self.0.set_position(position);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
