//! Groups of frames and the other streams of the input, into one file.

use std::collections::VecDeque;
use std::io::Cursor;
use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::Rational;
use ffmpeg_next::codec::packet::Flags;
use ffmpeg_next::format::context::{Input, Output};
use ffmpeg_next::media::Type;

use super::group::EncodedFrame;
use super::moment::{Moment, end_of, length_of_last};
use super::output::{Opened, Target, refused};
use super::stamp::MadeFrom;
use super::{FrameTime, Parts, VideoEncoder};
use crate::Error;
use crate::durable::write_durably_with;
use crate::frames::video::{best_stream, open_input};

/// Containers of broadcasts, whose times begin anywhere. The output's begin at 0.
const ANY_START: [&str; 2] = ["mpegts", "mpeg"];

/// Where an output ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Where the input does, of which all frames were made.
    #[default]
    Input,
    /// With the last frame that was made: sound, subtitles and chapters that begin after it are left out, and the input
    /// may be broken there.
    LastFrame,
}

/// What [`write_video`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenVideo {
    /// Frames.
    pub frames: usize,
    /// Streams of the input that are not in the output, in words: those that are neither pictures, sound nor subtitles,
    /// and further pictures.
    pub left_out: Vec<String>,
    /// Whether times of frames had to be rounded to the milliseconds of Matroska.
    pub rounded: bool,
}

/// Joins the groups in `parts` with all that `input` holds besides its pictures. The output appears when it is whole
/// and on disk.
///
/// # Errors
/// When the name is of no container that keeps times, the container cannot hold the input's sound or subtitles, two
/// frames would get the same time by rounding, the input cannot be read, or the disk refuses.
pub fn write_video(
    input: &Path,
    output: &Path,
    encoder: &VideoEncoder,
    parts: &Parts,
    ending: Ending,
) -> Result<WrittenVideo, Error> {
    let target = Target::of(output)?;
    let mut written = WrittenVideo { frames: 0, left_out: Vec::new(), rounded: false };
    write_durably_with(output, |place| {
        let file = place.try_clone().map_err(Error::io("write", output))?;
        let mut source = open_input(input)?;
        let video = best_stream(&source, input)?.index();
        let unit = encoder.format.time_base;
        let ends_with = parts.last().filter(|_| ending == Ending::LastFrame);
        let cut = ends_with.map(|last| Moment { time: end_of(last), unit });
        let Opened { sink, streams, left_out } = target.open(&source, video, encoder, cut, file)?;
        written.left_out = left_out;
        let (from, end) = (origin(&source), cut.map(|cut| cut.time).or_else(|| end(&source, video, unit)));
        let written = &mut written;
        let mut joined =
            Joined { sink, streams, video, unit, from, end, ends_with, past: false, output, last: None, written };
        joined.write_all(&mut source, &mut Feed { parts, next: 0, frames: VecDeque::new() }, input)?;
        // What its muxer may still hold goes before the stamp.
        drop(joined);
        let made = MadeFrom::new(parts.origin(), written.frames, ending == Ending::Input);
        made.append(place, target.muxer).map_err(Error::io("write", output))
    })?;
    Ok(written)
}

/// Whether [`write_video`] can put the input's sound and subtitles into an output of this name: the output is begun in
/// memory, as that does.
///
/// # Errors
/// When the name is of no container that keeps times, the container cannot hold the input's sound or subtitles, or the
/// input cannot be read.
pub fn check_streams(input: &Path, output: &Path, encoder: &VideoEncoder) -> Result<(), Error> {
    let target = Target::of(output)?;
    let source = open_input(input)?;
    let video = best_stream(&source, input)?.index();
    target.open(&source, video, encoder, None, Cursor::new(Vec::new())).map(drop)
}

/// The moment that becomes 0, where times begin anywhere.
fn origin(source: &Input) -> Option<Moment> {
    if !ANY_START.contains(&source.format().name()) {
        return None;
    }
    let starts = source.streams().filter(|stream| stream.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE);
    let starts = starts.map(|stream| Moment { time: stream.start_time(), unit: stream.time_base() });
    starts.reduce(|a, b| if a.is_after(b) { b } else { a })
}

/// When the last picture stops being shown, in `unit`, which is the stream's, if the container says. The last packet's
/// duration will not do: with reordered frames it is another frame's, and Matroska has none.
fn end(source: &Input, video: usize, unit: Rational) -> Option<i64> {
    let stream = source.stream(video).filter(|stream| stream.time_base() == unit)?;
    let container = source.format().name().to_owned();
    if container.starts_with("mov") && stream.duration() > 0 {
        let start = Some(stream.start_time()).filter(|time| *time != ffmpeg::ffi::AV_NOPTS_VALUE).unwrap_or(0);
        return start.checked_add(stream.duration());
    }
    if container.starts_with("matroska") {
        let seconds = clock(stream.metadata().get("DURATION")?)?;
        return Some((seconds / f64::from(unit)).round() as i64);
    }
    None
}

/// Seconds of `hours:minutes:seconds`.
fn clock(text: &str) -> Option<f64> {
    text.split(':')
        .try_fold(0.0, |sum, part| Some(60.0 * sum + part.parse::<f64>().ok()?))
        .filter(|sum| sum.is_finite())
}

/// Encoded frames, one group in memory at a time.
struct Feed<'a> {
    parts: &'a Parts,
    next: usize,
    frames: VecDeque<EncodedFrame>,
}

impl Feed<'_> {
    /// The next frame.
    fn peek(&mut self) -> Result<Option<&EncodedFrame>, Error> {
        if self.frames.is_empty() && self.next < self.parts.group_count() {
            self.frames.extend(self.parts.load(self.next)?.frames);
            self.next += 1;
        }
        Ok(self.frames.front())
    }

    fn pop(&mut self) -> Result<Option<EncodedFrame>, Error> {
        self.peek()?;
        Ok(self.frames.pop_front())
    }
}

/// The output while packets go into it.
struct Joined<'a> {
    sink: Output,
    streams: Vec<Option<usize>>,
    video: usize,
    /// Of the frames' times.
    unit: Rational,
    /// What becomes 0, if times are moved.
    from: Option<Moment>,
    /// When the last frame stops being shown, in the frames' unit, if the container says.
    end: Option<i64>,
    /// The last frame, if the output ends with it though the input may not.
    ends_with: Option<FrameTime>,
    /// Whether the input has been read to that frame.
    past: bool,
    output: &'a Path,
    last: Option<LastFrame>,
    written: &'a mut WrittenVideo,
}

/// When the frame that was written last is shown.
struct LastFrame {
    /// In the frames' unit.
    start: i64,
    /// The same in the output's.
    placed: i64,
}

impl Joined<'_> {
    fn write_all(&mut self, source: &mut Input, feed: &mut Feed<'_>, input: &Path) -> Result<(), Error> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(source) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => break,
                // Damage after the last frame may be why it is the last.
                Err(_) if self.past => break,
                Err(error) => {
                    let reason = format!("its data cannot be read: {error}");
                    return Err(Error::BrokenStream { path: input.to_owned(), frame: self.written.frames, reason });
                }
            }
            let index = packet.stream();
            let Some(stream) = source.stream(index) else { continue };
            let unit = stream.time_base();
            if !self.reaches_output(&mut packet, unit, stream.parameters().medium()) {
                continue;
            }
            let (Some(target), false) = (self.streams.get(index).copied().flatten(), index == self.video) else {
                continue;
            };
            // Frames go first that are shown by then, so that neither the file nor memory holds one kind for long.
            if let Some(time) = packet.dts().or(packet.pts()) {
                let now = Moment { time, unit };
                while feed.peek()?.is_some_and(|frame| !self.moment(frame.time.start).is_after(now)) {
                    self.write_frame(feed)?;
                }
            }
            self.write(packet, unit, target)?;
        }
        while feed.peek()?.is_some() {
            self.write_frame(feed)?;
        }
        self.sink.write_trailer().map_err(|error| refused(self.output, error.to_string()))
    }

    /// Notes how far the input is read, shortens a subtitle that would stay longer than the picture, and says whether
    /// anything is left of the packet before the output's end.
    fn reaches_output(&mut self, packet: &mut ffmpeg::Packet, unit: Rational, medium: Type) -> bool {
        let (Some(last), Some(time)) = (self.ends_with, packet.pts().or(packet.dts())) else { return true };
        let (now, cut) = (Moment { time, unit }, self.moment(end_of(last)));
        self.past |= !self.moment(last.start).is_after(now);
        if medium == Type::Subtitle {
            let left = cut.in_unit(unit).saturating_sub(time);
            packet.set_duration(packet.duration().min(left.max(1)));
        }
        cut.is_after(now)
    }

    fn write_frame(&mut self, feed: &mut Feed<'_>) -> Result<(), Error> {
        let (Some(frame), Some(Some(target))) = (feed.pop()?, self.streams.get(self.video).copied()) else {
            return Ok(());
        };
        let start = frame.time.start;
        let duration = match feed.peek()? {
            Some(next) => next.time.start - start,
            None => {
                let length = length_of_last(frame.time, self.last.as_ref().map(|last| last.start));
                self.end.map_or(length, |end| length.max(end.saturating_sub(start)))
            }
        };
        let mut packet = ffmpeg::Packet::copy(&frame.bytes);
        if frame.key {
            packet.set_flags(Flags::KEY);
        }
        packet.set_pts(Some(start));
        packet.set_dts(Some(start));
        packet.set_duration(duration);
        let there = self.sink.stream(target).map_or(self.unit, |stream| stream.time_base());
        let placed = self.moment(start).in_unit(there);
        self.written.rounded |= !self.moment(start).is_same(Moment { time: placed, unit: there });
        if self.last.as_ref().is_some_and(|last| placed <= last.placed) {
            let frames = self.written.frames;
            let reason = format!(
                "frame {frames} would be shown with the one before it, as the container rounds times: choose .mp4"
            );
            return Err(refused(self.output, reason));
        }
        self.last = Some(LastFrame { start, placed });
        self.written.frames += 1;
        self.write(packet, self.unit, target)
    }

    /// A time of the frames.
    fn moment(&self, time: i64) -> Moment {
        Moment { time, unit: self.unit }
    }

    fn write(&mut self, mut packet: ffmpeg::Packet, unit: Rational, target: usize) -> Result<(), Error> {
        if let Some(origin) = self.from {
            let shift = origin.in_unit(unit);
            packet.set_pts(packet.pts().map(|time| time - shift));
            packet.set_dts(packet.dts().map(|time| time - shift));
        }
        let there = self.sink.stream(target).map_or(unit, |stream| stream.time_base());
        packet.rescale_ts(unit, there);
        packet.set_position(-1);
        packet.set_stream(target);
        let written = packet.write_interleaved(&mut self.sink);
        written.map_err(|error| refused(self.output, format!("a packet of stream {target}: {error}")))
    }
}
