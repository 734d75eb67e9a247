//! What a container says about how much video it holds, and whether it is there.

use ffmpeg_next as ffmpeg;

/// How much earlier than the announced end the last frame may start, in steps from frame to frame: its
/// own and, for what rounding does to times, another. A single frame has no step: it may last a second.
const LAST_STEPS: i64 = 2;

/// How much earlier than its container says a file of several streams may end, in seconds: packets of sound and
/// subtitles do not all state their length.
const LONGEST_SLACK: f64 = 0.1;

/// Containers that write down a duration. Of others FFmpeg guesses it, say from the size of the file.
const WITH_DURATION: [&str; 2] = ["matroska", "mov"];

pub(super) struct Promise {
    kind: Kind,
    /// Time stamps so far: the first and the last, and how many.
    times: Option<(i64, i64)>,
    stamped: usize,
    /// The longest time from one frame to the next.
    largest_step: i64,
    /// The latest end of a packet of any stream, in seconds.
    reached: f64,
}

/// Times are in the stream's unit.
enum Kind {
    /// This many stored frames (MP4 and its relatives).
    Frames(usize),
    /// This many slots of one unit, some of which may hold no frame (AVI).
    Slots(i64),
    /// The end of the longest of several streams, and what a second is in this one's unit.
    Longest {
        seconds: f64,
        second: f64,
    },
    /// An end, and what a second is.
    End {
        time: f64,
        second: f64,
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
        Self { kind, times: None, stamped: 0, largest_step: 1, reached: 0.0 }
    }

    /// The number of frames, where it is known beforehand.
    pub(super) fn frames(&self) -> Option<usize> {
        if let Kind::Frames(count) = self.kind { Some(count) } else { None }
    }

    /// Takes down a frame's time stamp.
    pub(super) fn note(&mut self, time: Option<i64>) {
        let Some(time) = time else { return };
        let (first, last) = self.times.unwrap_or((time, time));
        if self.stamped > 0 {
            self.largest_step = self.largest_step.max(time.saturating_sub(last));
        }
        self.times = Some((first, last.max(time)));
        self.stamped += 1;
    }

    /// Takes down when a packet of any stream ends, in seconds.
    pub(super) fn note_end(&mut self, seconds: f64) {
        self.reached = self.reached.max(seconds);
    }

    /// After the last frame: how many frames there should have been (an estimate where only times are
    /// known), if that is more than were decoded.
    pub(super) fn broken_after(&self, decoded: usize) -> Option<usize> {
        let missing = match self.kind {
            Kind::Frames(count) => return Some(count).filter(|count| *count > decoded),
            Kind::Slots(count) => {
                let left = count.saturating_sub(self.times.map_or(-1, |(_, last)| last));
                if left <= self.largest_step {
                    return None;
                }
                left as f64 / self.largest_step as f64 - 1.0
            }
            Kind::End { time, second } => {
                let (first, last) = self.times?;
                let left = time - last as f64;
                let steps = LAST_STEPS.saturating_mul(self.largest_step) as f64;
                if left <= if self.stamped > 1 { steps } else { second } {
                    return None;
                }
                let step = last.saturating_sub(first) as f64 / self.stamped.saturating_sub(1).max(1) as f64;
                if step > 0.0 { left / step - 1.0 } else { 1.0 }
            }
            Kind::Longest { seconds, second } => {
                let step = self.largest_step as f64 / second;
                let left = seconds - self.reached;
                if left <= (LAST_STEPS as f64 * step).max(LONGEST_SLACK) {
                    return None;
                }
                left / step
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
    if !WITH_DURATION.iter().any(|name| input.format().name().starts_with(name)) {
        return Kind::Nothing;
    }
    let second = 1.0 / f64::from(stream.time_base());
    // The container's duration is that of its longest stream, and there may be sound.
    let alone = input.nb_streams() == 1;
    let file_seconds = input.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
    let file_seconds = Some(file_seconds).filter(|seconds| *seconds > 0.0);
    let seconds = match (seconds_of(stream), file_seconds) {
        (Some(seconds), _) => seconds,
        (None, Some(seconds)) if alone => seconds,
        (None, Some(seconds)) => return Kind::Longest { seconds, second },
        (None, None) => return Kind::Nothing,
    };
    let start = if stream.start_time() == ffmpeg::ffi::AV_NOPTS_VALUE { 0 } else { stream.start_time() };
    Kind::End { time: start as f64 + seconds * second, second }
}
