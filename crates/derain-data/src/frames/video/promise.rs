//! What a container says about how much video it holds, and whether it is there.

use ffmpeg_next as ffmpeg;

/// How much earlier than announced a video may end, in seconds, where the container gives only a
/// duration: durations are rounded, and may count sound that lasts a little longer.
const DURATION_SLACK: f64 = 0.5;

/// And in frames, for slow rates.
const FRAME_SLACK: f64 = 2.0;

pub(super) struct Promise {
    kind: Kind,
    last: Option<i64>,
    /// The longest time from one frame to the next.
    largest_step: i64,
}

/// Times are in the stream's unit.
enum Kind {
    /// So many stored frames (MP4 and its relatives).
    Frames(usize),
    /// So many slots of one unit, some of which may hold no frame (AVI).
    Slots(i64),
    /// An end, and frames in a unit of time.
    End {
        time: f64,
        rate: f64,
        slack: f64,
    },
    Nothing,
}

impl Promise {
    pub(super) fn of(stream: &ffmpeg::Stream, input: &ffmpeg::format::context::Input) -> Self {
        let format = input.format();
        let count = usize::try_from(stream.frames()).ok().filter(|count| *count > 0);
        let kind = match count {
            Some(_) if format.name() == "avi" => Kind::Slots(stream.frames()),
            Some(count) if shows_all(stream, count) => Kind::Frames(count),
            _ => end(stream, input),
        };
        Self { kind, last: None, largest_step: 1 }
    }

    /// The number of frames, where it is known beforehand.
    pub(super) fn frames(&self) -> Option<usize> {
        if let Kind::Frames(count) = self.kind { Some(count) } else { None }
    }

    /// Takes down a frame's time stamp.
    pub(super) fn note(&mut self, time: Option<i64>) {
        let Some(time) = time else { return };
        if let Some(last) = self.last {
            self.largest_step = self.largest_step.max(time.saturating_sub(last));
        }
        self.last = self.last.max(Some(time));
    }

    /// After the last frame: how many frames there should have been (an estimate where only times are
    /// known), if that is more than were decoded.
    pub(super) fn broken_after(&self, decoded: usize) -> Option<usize> {
        let missing = match self.kind {
            Kind::Frames(count) => return Some(count).filter(|count| *count > decoded),
            Kind::Slots(count) => {
                let left = count.saturating_sub(self.last.unwrap_or(-1));
                if left <= self.largest_step {
                    return None;
                }
                left as f64 / self.largest_step as f64 - 1.0
            }
            Kind::End { time, rate, slack } => {
                let left = time - self.last? as f64;
                if left <= slack {
                    return None;
                }
                left * rate - 1.0
            }
            Kind::Nothing => return None,
        };
        Some(decoded + missing.round().max(1.0) as usize)
    }
}

fn rate_of(stream: &ffmpeg::Stream) -> Option<f64> {
    Some(f64::from(stream.avg_frame_rate())).filter(|rate| rate.is_finite() && *rate > 0.0)
}

fn seconds_of(stream: &ffmpeg::Stream) -> Option<f64> {
    let units = Some(stream.duration()).filter(|units| *units > 0)?;
    Some(units as f64 * f64::from(stream.time_base()))
}

/// Whether the stored frames are all shown: an edit list may leave some out.
fn shows_all(stream: &ffmpeg::Stream, count: usize) -> bool {
    let shown = rate_of(stream).zip(seconds_of(stream)).map(|(rate, seconds)| rate * seconds);
    shown.is_none_or(|shown| shown > count as f64 - 1.0)
}

fn end(stream: &ffmpeg::Stream, input: &ffmpeg::format::context::Input) -> Kind {
    // The container's duration is that of its longest stream.
    let alone = input.nb_streams() == 1;
    let file_seconds = input.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
    let file_seconds = Some(file_seconds).filter(|seconds| alone && *seconds > 0.0);
    let unit = f64::from(stream.time_base());
    let (Some(rate), Some(seconds)) = (rate_of(stream), seconds_of(stream).or(file_seconds)) else {
        return Kind::Nothing;
    };
    let start = if stream.start_time() == ffmpeg::ffi::AV_NOPTS_VALUE { 0 } else { stream.start_time() };
    let slack = (DURATION_SLACK + FRAME_SLACK / rate) / unit;
    Kind::End { time: start as f64 + seconds / unit, rate: rate * unit, slack }
}
