//! Whether a video's frames can be decoded, before the long work on them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ending, VideoReader};
use crate::Error;

/// How far a video has been decoded without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checked {
    /// Frames that came.
    pub frames: usize,
    /// Whether the video ends after them, where its container says.
    pub whole: bool,
}

impl Checked {
    /// Decodes a video's frames, or the first `length` of them, and calls `each` after every one.
    ///
    /// # Errors
    /// Those that [`VideoReader`] meets on the way.
    pub fn of(input: &Path, length: Option<usize>, mut each: impl FnMut()) -> Result<Self, Error> {
        let mut reader = VideoReader::open(input)?;
        let mut frames = 0;
        while length.is_none_or(|length| frames < length) {
            if reader.skip_frame()?.is_none() {
                return Ok(Self { frames, whole: true });
            }
            frames += 1;
            each();
        }
        Ok(Self { frames, whole: false })
    }

    /// Whether it says all about the first `length` frames, or about the whole video.
    pub fn covers(self, length: Option<usize>) -> bool {
        self.whole || length.is_some_and(|length| length <= self.frames)
    }

    /// How many frames there are to make, if at most `length` are wanted.
    pub fn count(self, length: Option<usize>) -> usize {
        length.map_or(self.frames, |length| length.min(self.frames))
    }

    /// Where a video of these frames ends.
    pub fn ending(self, length: Option<usize>) -> Ending {
        let all = self.whole && self.count(length) == self.frames;
        if all { Ending::Input } else { Ending::LastFrame }
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, Ending};

    #[test]
    fn lengths_within_and_beyond_what_was_checked() {
        let (whole, start) = (Checked { frames: 50, whole: true }, Checked { frames: 50, whole: false });
        for (checked, length, covers, count, ending) in [
            (whole, None, true, 50, Ending::Input),
            (whole, Some(50), true, 50, Ending::Input),
            (whole, Some(60), true, 50, Ending::Input),
            (whole, Some(49), true, 49, Ending::LastFrame),
            (start, Some(49), true, 49, Ending::LastFrame),
            (start, Some(50), true, 50, Ending::LastFrame),
            (start, Some(51), false, 50, Ending::LastFrame),
            (start, None, false, 50, Ending::LastFrame),
        ] {
            let found = (checked.covers(length), checked.count(length), checked.ending(length));
            assert_eq!(found, (covers, count, ending), "{checked:?} {length:?}");
        }
    }
}
