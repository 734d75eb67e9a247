//! Moments on the time lines of streams, each of which counts in a unit of its own.

use std::cmp::Ordering;

use ffmpeg_next::{Rational, Rescale};

use super::FrameTime;

/// A time and what it is counted in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time: i64,
    /// In seconds.
    pub(super) unit: Rational,
}

impl Moment {
    pub(super) fn is_after(self, other: Self) -> bool {
        self.compare(other) == Ordering::Greater
    }

    /// Whether both are one moment, exactly.
    pub(super) fn is_same(self, other: Self) -> bool {
        self.compare(other) == Ordering::Equal
    }

    /// The nearest time in another unit.
    pub(super) fn in_unit(self, unit: Rational) -> i64 {
        self.time.rescale(self.unit, unit)
    }

    fn compare(self, other: Self) -> Ordering {
        let scaled = |moment: Self, other: Self| {
            i128::from(moment.time) * i128::from(moment.unit.numerator()) * i128::from(other.unit.denominator())
        };
        scaled(self, other).cmp(&scaled(other, self))
    }
}

/// The time from which on a frame is no longer shown.
pub(super) fn end_of(frame: FrameTime) -> i64 {
    frame.start.saturating_add(frame.duration)
}

/// How long the last frame is shown: as long as the one before it, which started at `before`, where the container does
/// not say.
pub(super) fn length_of_last(last: FrameTime, before: Option<i64>) -> i64 {
    match last.duration > 0 {
        true => last.duration,
        false => before.map_or(1, |before| last.start.saturating_sub(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameTime, Moment, Rational, length_of_last};

    #[test]
    fn moments_are_compared_exactly_and_rounded_to_the_nearest() {
        let moment = |time, unit: (i32, i32)| Moment { time, unit: Rational::new(unit.0, unit.1) };
        let third = moment(1, (1, 3));
        assert!(third.is_same(moment(2, (1, 6))) && !third.is_after(moment(2, (1, 6))));
        assert!(third.is_after(moment(333, (1, 1000))) && !third.is_same(moment(333, (1, 1000))));
        assert!(moment(334, (1, 1000)).is_after(third));
        assert!(moment(i64::MAX, (1, 1000)).is_after(moment(i64::MAX, (1, 1001))));
        assert_eq!((third.in_unit(Rational::new(1, 1000)), moment(-1, (1, 2)).in_unit(Rational::new(1, 1))), (333, -1));
    }

    #[test]
    fn the_last_frame_is_shown_as_stated_or_as_the_one_before() {
        let last = |duration| FrameTime { start: 10, duration };
        assert_eq!(
            [length_of_last(last(7), Some(6)), length_of_last(last(0), Some(6)), length_of_last(last(0), None)],
            [7, 4, 1]
        );
    }
}
