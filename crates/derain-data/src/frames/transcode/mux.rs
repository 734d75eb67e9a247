//! Groups of frames and the other streams of the input, into one file.

use std::collections::VecDeque;
use std::io::{Cursor, Seek, Write};
use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::packet::Flags;
use ffmpeg_next::format::context::{Input, Output, StreamIo};
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Rational, Rescale};

use super::group::EncodedFrame;
use super::{FrameTime, Parts, TranscodeError, VideoEncoder, container, fields};
use crate::Error;
use crate::durable::write_durably_with;
use crate::frames::video::{best_stream, open_input};

/// What tells of the old file, not of what is in it.
const FILE_TAGS: [&str; 4] = ["major_brand", "minor_version", "compatible_brands", "encoder"];
/// What tells of the old stream's encoding, and of how much there was; the first letters of the names.
const STREAM_TAGS: [&str; 2] = ["encoder", "rotate"];
const AMOUNT_TAGS: [&str; 4] = ["DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_"];
/// Containers of broadcasts, whose times begin anywhere. The output's begin at 0.
const ANY_START: [&str; 2] = ["mpegts", "mpeg"];

/// Where an output ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Where the input does, of which all frames were made.
    #[default]
    Input,
    /// With the last frame that was made: sound, subtitles and chapters that begin after it are left out, and the input may be broken there.
    LastFrame,
}

/// What [`write_video`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenVideo {
    /// Frames.
    pub frames: usize,
    /// Streams of the input that are not in the output, in words: those that are neither pictures, sound nor subtitles, and further pictures.
    pub left_out: Vec<String>,
    /// Whether times of frames had to be rounded to the milliseconds of Matroska.
    pub rounded: bool,
}

/// Joins the groups in `parts` with all that `input` holds besides its pictures. The output appears when it is whole and on disk.
///
/// # Errors
/// When the name is of no container that keeps times, the container cannot hold the input's sound or subtitles, two frames would get the same
/// time by rounding, the input cannot be read, or the disk refuses.
pub fn write_video(
    input: &Path,
    output: &Path,
    encoder: &VideoEncoder,
    parts: &Parts,
    ending: Ending,
) -> Result<WrittenVideo, Error> {
    let muxer = container::of(output)?;
    let mut written = WrittenVideo { frames: 0, left_out: Vec::new(), rounded: false };
    write_durably_with(output, |file| {
        let file = file.try_clone().map_err(Error::io("write", output))?;
        let mut source = open_input(input)?;
        let video = best_stream(&source, input)?.index();
        let unit = encoder.format.time_base;
        let cut = parts.last().filter(|_| ending == Ending::LastFrame);
        let moment = cut.map(|last| (end_of(last), unit));
        let left_out = &mut written.left_out;
        let (sink, streams) = open_output(&source, video, encoder, (output, muxer), moment, file, left_out)?;
        let (from, end) = (origin(&source), cut.map(end_of).or_else(|| end(&source, video, unit)));
        let written = &mut written;
        let mut joined =
            Joined { sink, streams, video, unit, from, end, cut, past: false, output, last: None, written };
        joined.write_all(&mut source, &mut Feed { parts, next: 0, frames: VecDeque::new() }, input)
    })?;
    Ok(written)
}

/// Whether [`write_video`] can put the input's sound and subtitles into an output of this name: the output is begun in memory, as that does.
///
/// # Errors
/// When the name is of no container that keeps times, the container cannot hold the input's sound or subtitles, or the input cannot be read.
pub fn check_streams(input: &Path, output: &Path, encoder: &VideoEncoder) -> Result<(), Error> {
    let muxer = container::of(output)?;
    let source = open_input(input)?;
    let video = best_stream(&source, input)?.index();
    let nowhere = Cursor::new(Vec::new());
    open_output(&source, video, encoder, (output, muxer), None, nowhere, &mut Vec::new()).map(drop)
}

/// The output with its header written, and for each stream of the input that of the output. What begins at `cut` or later will not be there.
fn open_output(
    source: &Input,
    video: usize,
    encoder: &VideoEncoder,
    (path, muxer): (&Path, &'static str),
    cut: Option<(i64, Rational)>,
    place: impl Write + Seek + Send + 'static,
    left_out: &mut Vec<String>,
) -> Result<(Output, Vec<Option<usize>>), Error> {
    let failed = |error: ffmpeg::Error| refused(path, error.to_string());
    let io = StreamIo::from_write_seek(place).map_err(failed)?;
    let mut sink = ffmpeg::format::output_to_stream(io, None, Some(muxer)).map_err(failed)?;
    let mut streams = Vec::new();
    let mut codecs = Vec::new();
    for stream in source.streams() {
        let (medium, codec) = (stream.parameters().medium(), stream.parameters().id());
        let copied = match medium {
            Type::Audio | Type::Subtitle => true,
            Type::Attachment => muxer == "matroska",
            _ => false,
        };
        let is_video = stream.index() == video;
        if !copied && !is_video {
            left_out.push(format!("stream {} ({medium:?}, {codec:?})", stream.index()));
            streams.push(None);
            continue;
        }
        let index = sink.nb_streams() as usize;
        let mut added = sink.add_stream(ffmpeg::encoder::find(ffmpeg::codec::Id::None)).map_err(failed)?;
        added.set_time_base(if is_video { encoder.format.time_base } else { stream.time_base() });
        let mut tags = stream.metadata().to_owned();
        if is_video {
            added.set_parameters(encoder.parameters()?);
            added.set_avg_frame_rate(stream.avg_frame_rate());
            tags = without(stream.metadata(), |name| begins(name, &STREAM_TAGS) || begins(name, &AMOUNT_TAGS));
        } else {
            added.set_parameters(stream.parameters());
            fields::clear_codec_tag(&mut added);
            codecs.push(format!("{codec:?}"));
            if cut.is_some() {
                tags = without(stream.metadata(), |name| begins(name, &AMOUNT_TAGS));
            }
        }
        added.set_metadata(tags);
        fields::set_disposition(&mut added, stream.disposition() & !Disposition::ATTACHED_PIC);
        streams.push(Some(index));
    }
    sink.set_metadata(without(source.metadata(), |name| FILE_TAGS.contains(&name)));
    add_chapters(source, &mut sink, cut).map_err(failed)?;
    let mut options = ffmpeg::Dictionary::new();
    // Times are kept as they are, and nothing random is written: equal inputs give equal files.
    options.set("avoid_negative_ts", "disabled");
    options.set("fflags", "+bitexact");
    sink.write_header_with(options).map(drop).map_err(|error| {
        let held = if codecs.is_empty() { "pictures alone".into() } else { codecs.join(", ") };
        let other = if muxer == "matroska" { ".mp4 or .mov" } else { ".mkv" };
        refused(path, format!("FFmpeg's {muxer} container does not take its streams ({held}): {error}; try {other}"))
    })?;
    Ok((sink, streams))
}

fn add_chapters(source: &Input, sink: &mut Output, cut: Option<(i64, Rational)>) -> Result<(), ffmpeg::Error> {
    for (index, chapter) in source.chapters().enumerate() {
        let tags = chapter.metadata();
        let (unit, title) = (chapter.time_base(), tags.get("title").unwrap_or_default());
        let mut end = chapter.end();
        if let Some((time, time_unit)) = cut {
            if !is_later((time, time_unit), (chapter.start(), unit)) {
                continue;
            }
            end = end.min(time.rescale(time_unit, unit));
        }
        sink.add_chapter(index as i64, unit, chapter.start(), end, title)?;
    }
    Ok(())
}

fn without<'a>(tags: ffmpeg::DictionaryRef<'_>, unwanted: impl Fn(&str) -> bool) -> ffmpeg::Dictionary<'a> {
    tags.iter().filter(|(name, _)| !unwanted(name)).collect()
}

fn begins(name: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| name.starts_with(start))
}

/// The moment from which on a frame is no longer shown.
fn end_of(frame: FrameTime) -> i64 {
    frame.start.saturating_add(frame.duration)
}

/// The moment that becomes 0, where times begin anywhere.
fn origin(source: &Input) -> Option<(i64, Rational)> {
    if !ANY_START.contains(&source.format().name()) {
        return None;
    }
    let starts = source.streams().filter(|stream| stream.start_time() != ffmpeg::ffi::AV_NOPTS_VALUE);
    starts.map(|stream| (stream.start_time(), stream.time_base())).reduce(|a, b| if is_later(a, b) { b } else { a })
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

/// Whether the first moment is after the second.
fn is_later((a, a_unit): (i64, Rational), (b, b_unit): (i64, Rational)) -> bool {
    let scaled = |time: i64, unit: Rational, other: Rational| {
        i128::from(time) * i128::from(unit.numerator()) * i128::from(other.denominator())
    };
    scaled(a, a_unit, b_unit) > scaled(b, b_unit, a_unit)
}

fn refused(path: &Path, reason: String) -> Error {
    TranscodeError::VideoWrite { path: path.to_owned(), reason }.into()
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
    from: Option<(i64, Rational)>,
    end: Option<i64>,
    /// The last frame, if the output ends with it though the input may not.
    cut: Option<FrameTime>,
    /// Whether the input has been read to that frame.
    past: bool,
    output: &'a Path,
    /// Start of the last frame and how long it was shown, in its unit, and its start in the output's.
    last: Option<(i64, i64, i64)>,
    written: &'a mut WrittenVideo,
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
                while feed.peek()?.is_some_and(|frame| !is_later((frame.time.start, self.unit), (time, unit))) {
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

    /// Notes how far the input is read, shortens a subtitle that would stay longer than the picture, and says whether anything is left of the
    /// packet before the output's end.
    fn reaches_output(&mut self, packet: &mut ffmpeg::Packet, unit: Rational, medium: Type) -> bool {
        let (Some(last), Some(time)) = (self.cut, packet.pts().or(packet.dts())) else { return true };
        self.past |= !is_later((last.start, self.unit), (time, unit));
        if medium == Type::Subtitle {
            let left = end_of(last).rescale(self.unit, unit).saturating_sub(time);
            packet.set_duration(packet.duration().min(left.max(1)));
        }
        is_later((end_of(last), self.unit), (time, unit))
    }

    fn write_frame(&mut self, feed: &mut Feed<'_>) -> Result<(), Error> {
        let (Some(frame), Some(Some(target))) = (feed.pop()?, self.streams.get(self.video).copied()) else {
            return Ok(());
        };
        let start = frame.time.start;
        let before = self.last.map_or(1, |(_, duration, _)| duration);
        let stated = if frame.time.duration > 0 { frame.time.duration } else { before };
        let stated = self.end.map_or(stated, |end| stated.max(end.saturating_sub(start)));
        let duration = feed.peek()?.map_or(stated, |next| next.time.start - start);
        let mut packet = ffmpeg::Packet::copy(&frame.bytes);
        if frame.key {
            packet.set_flags(Flags::KEY);
        }
        packet.set_pts(Some(start));
        packet.set_dts(Some(start));
        packet.set_duration(duration);
        let there = self.sink.stream(target).map_or(self.unit, |stream| stream.time_base());
        let mut moved = ffmpeg::Packet::empty();
        moved.set_pts(Some(start));
        moved.rescale_ts(self.unit, there);
        let placed = moved.pts().unwrap_or(start);
        self.written.rounded |=
            is_later((placed, there), (start, self.unit)) || is_later((start, self.unit), (placed, there));
        if self.last.is_some_and(|(_, _, last)| placed <= last) {
            let frames = self.written.frames;
            let reason = format!(
                "frame {frames} would be shown with the one before it, as the container rounds times: choose .mp4"
            );
            return Err(refused(self.output, reason));
        }
        self.last = Some((start, duration, placed));
        self.written.frames += 1;
        self.write(packet, self.unit, target)
    }

    fn write(&mut self, mut packet: ffmpeg::Packet, unit: Rational, target: usize) -> Result<(), Error> {
        if let Some((origin, origin_unit)) = self.from {
            let mut shift = ffmpeg::Packet::empty();
            shift.set_pts(Some(origin));
            shift.rescale_ts(origin_unit, unit);
            let moved = |time: Option<i64>| Some(time? - shift.pts()?);
            let (pts, dts) = (moved(packet.pts()), moved(packet.dts()));
            packet.set_pts(pts);
            packet.set_dts(dts);
        }
        let there = self.sink.stream(target).map_or(unit, |stream| stream.time_base());
        packet.rescale_ts(unit, there);
        packet.set_position(-1);
        packet.set_stream(target);
        let written = packet.write_interleaved(&mut self.sink);
        written.map_err(|error| refused(self.output, format!("a packet of stream {target}: {error}")))
    }
}
