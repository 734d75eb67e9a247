//! Which frames of a source are wanted.

use crate::Error;

/// Which frames of a source are wanted, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameOptions {
    /// The first frame.
    pub start: usize,
    /// Take every `stride`-th frame from there; at least 1.
    pub stride: usize,
    /// At most this many frames, counted after `stride`; `None` for all.
    pub length: Option<usize>,
}

impl Default for FrameOptions {
    /// Every frame.
    fn default() -> Self {
        Self { start: 0, stride: 1, length: None }
    }
}

impl FrameOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.stride == 0 {
            return Err(Error::option("stride", 0, "1 or more"));
        }
        if self.length == Some(0) {
            return Err(Error::option("length", 0, "1 or more"));
        }
        Ok(())
    }

    /// How many of `total` frames are taken.
    pub(super) fn count(&self, total: usize) -> usize {
        let taken = total.saturating_sub(self.start).div_ceil(self.stride);
        self.length.map_or(taken, |length| taken.min(length))
    }

    /// The source's number of the `taken`-th frame that is taken; `None` after the last.
    pub(super) fn index(&self, taken: usize) -> Option<usize> {
        if self.length.is_some_and(|length| taken >= length) {
            return None;
        }
        taken.checked_mul(self.stride)?.checked_add(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::FrameOptions;

    #[test]
    fn counts_are_those_of_stepping_through() {
        for total in 0..9 {
            for start in 0..10 {
                for stride in 1..5 {
                    for length in [None, Some(1), Some(2), Some(20)] {
                        let options = FrameOptions { start, stride, length };
                        let stepped: Vec<usize> =
                            (start..total).step_by(stride).take(length.unwrap_or(usize::MAX)).collect();
                        assert_eq!(options.count(total), stepped.len(), "{options:?} of {total}");
                        for (taken, &index) in stepped.iter().enumerate() {
                            assert_eq!(options.index(taken), Some(index));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn far_frames_do_not_overflow() {
        let options = FrameOptions { start: usize::MAX, stride: usize::MAX, length: None };
        assert_eq!(options.index(0), Some(usize::MAX));
        assert_eq!(options.index(2), None);
        assert_eq!(options.count(usize::MAX), 0);
    }
}
