//! Video through FFmpeg.
//!
//! Each frame that the file stores comes once, whatever its time stamp says: no frame is repeated or
//! dropped to reach a steady rate, since repeated frames would weigh on the mode. FFmpeg by itself
//! conceals errors; here the decoder is told to give up instead, and what it still marks as damaged
//! is refused, as is an end before the frames that the container counts.
//!
//! The file's bytes are read here and handed over, so a hostile file (a playlist, say) cannot have
//! FFmpeg open anything else. Pixels are taken as square, interlaced frames as they are. FFmpeg's
//! own messages on standard error are switched off, for the whole process.

mod orientation;
pub(super) mod pixels;
mod promise;
mod reader;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Once;

use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{FrameOptions, FrameSource, MAX_FRAME_BYTES};
use crate::Error;

use promise::Promise;

pub use reader::{FrameTime, TimedFrame, VideoFormat, VideoReader};

pub(super) struct VideoFrames {
    path: PathBuf,
    input: ffmpeg::format::context::Input,
    decoder: ffmpeg::decoder::Video,
    stream: usize,
    orientation: Orientation,
    size: (u32, u32),
    promise: Promise,
    options: FrameOptions,
    /// Frames given to the caller.
    taken: usize,
    /// Frames that left the decoder.
    decoded: usize,
}

impl VideoFrames {
    pub(super) fn open(path: &Path, options: &FrameOptions) -> Result<Self, Error> {
        let input = open_input(path)?;
        let stream = best_stream(&input, path)?;
        let orientation = orientation::of(&stream).map_err(|reason| Error::BrokenStream {
            path: path.to_owned(),
            frame: 0,
            reason,
        })?;
        let promise = Promise::of(&stream, &input);
        let decoder = open_decoder(&stream).map_err(cannot_open(path))?;
        let index = stream.index();
        let (width, height) = (decoder.width(), decoder.height());
        if width == 0 || height == 0 {
            return Err(Error::Empty { path: path.to_owned(), width, height });
        }
        Ok(Self {
            path: path.to_owned(),
            stream: index,
            orientation,
            size: orientation::turned((width, height), orientation),
            promise,
            input,
            decoder,
            options: options.clone(),
            taken: 0,
            decoded: 0,
        })
    }

    /// The next frame out of the decoder.
    fn decode(&mut self) -> Result<Option<ffmpeg::frame::Video>, Error> {
        let mut frame = ffmpeg::frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) if frame.is_corrupt() || frame.has_decode_errors() => {
                    return Err(self.broken("the decoder had to make up for damaged or missing data".into()));
                }
                Ok(()) => {
                    self.decoded += 1;
                    self.promise.note(frame.timestamp());
                    return Ok(Some(frame));
                }
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => self.feed()?,
                Err(error) => return Err(self.broken(format!("it cannot be decoded: {error}"))),
            }
        }
    }

    /// Hands the decoder one packet, or the news that there are no more.
    fn feed(&mut self) -> Result<(), Error> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            let sent = match packet.read(&mut self.input) {
                // An empty packet stands for a frame that was left out; to the decoder it would mean the end.
                Ok(()) if packet.stream() != self.stream || packet.size() == 0 => {
                    self.note_packet(&packet);
                    continue;
                }
                Ok(()) if packet.is_corrupt() => return Err(self.broken("its data is damaged or cut short".into())),
                Ok(()) => {
                    self.note_packet(&packet);
                    self.decoder.send_packet(&packet)
                }
                Err(ffmpeg::Error::Eof) => self.decoder.send_eof(),
                Err(error) => return Err(self.broken(format!("its data cannot be read: {error}"))),
            };
            return sent.map_err(|error| self.broken(format!("it cannot be decoded: {error}")));
        }
    }

    /// Takes down how far any stream has come.
    fn note_packet(&mut self, packet: &ffmpeg::Packet) {
        let unit = self.input.stream(packet.stream()).map(|stream| f64::from(stream.time_base()));
        if let (Some(unit), Some(time)) = (unit, packet.pts().or(packet.dts())) {
            self.promise.note_end(time.saturating_add(packet.duration()) as f64 * unit);
        }
    }

    /// Damage, and what is left to do.
    fn broken(&self, reason: String) -> Error {
        let advice = if self.decoded == 0 { "" } else { "read only the frames before it, or " };
        broken(&self.path, self.decoded, format!("{reason}; {advice}repair the file"))
    }

    /// What stands in the place of `None`, if the video should have gone on.
    fn check_end(&self) -> Result<(), Error> {
        if let Some(promised) = self.promise.broken_after(self.decoded) {
            return Err(Error::Shortfall { path: self.path.clone(), promised, decoded: self.decoded });
        }
        if self.taken == 0 {
            let start = self.options.start;
            return Err(Error::NoFrames { path: self.path.clone(), start, available: self.decoded });
        }
        Ok(())
    }
}

impl FrameSource for VideoFrames {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        let Some(wanted) = self.options.index(self.taken) else {
            return Ok(None);
        };
        loop {
            let Some(frame) = self.decode()? else {
                self.check_end()?;
                return Ok(None);
            };
            let found = orientation::turned((frame.width(), frame.height()), self.orientation);
            if found != self.size {
                return Err(Error::MixedSizes { path: self.path.clone(), found, expected: self.size });
            }
            // `decoded` counts this frame already.
            if self.decoded <= wanted {
                continue;
            }
            let rgb = pixels::to_rgb(&frame).map_err(|reason| broken(&self.path, self.decoded - 1, reason))?;
            self.taken += 1;
            let mut image = DynamicImage::from(rgb);
            image.apply_orientation(self.orientation);
            return Ok(Some(image.into_rgb8()));
        }
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn expected(&self) -> Option<usize> {
        self.promise.frames().map(|frames| self.options.count(frames))
    }
}

/// Once, before anything else of FFmpeg's: without it, its errors have no words.
fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        ffmpeg::util::error::register_all();
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
    });
}

/// The file, opened so that nothing but its own bytes can be read.
pub(super) fn open_input(path: &Path) -> Result<ffmpeg::format::context::Input, Error> {
    prepare();
    let file = File::open(path).map_err(Error::io("open", path))?;
    let io = ffmpeg::format::context::StreamIo::from_read_seek(file).map_err(cannot_open(path))?;
    let mut limits = ffmpeg::Dictionary::new();
    limits.set("protocol_whitelist", "none");
    ffmpeg::format::input_from_stream(io, None, Some(limits)).map_err(cannot_open(path))
}

/// The stream whose frames are read.
pub(super) fn best_stream<'a>(
    input: &'a ffmpeg::format::context::Input,
    path: &Path,
) -> Result<ffmpeg::Stream<'a>, Error> {
    let no_video = || Error::NotFrames { path: path.to_owned(), hint: "FFmpeg finds no video in it" };
    input.streams().best(ffmpeg::media::Type::Video).ok_or_else(no_video)
}

fn cannot_open(path: &Path) -> impl FnOnce(ffmpeg::Error) -> Error {
    let path = path.to_owned();
    move |error| broken(&path, 0, format!("FFmpeg cannot open it: {error}"))
}

fn broken(path: &Path, frame: usize, reason: String) -> Error {
    Error::BrokenStream { path: path.to_owned(), frame, reason }
}

fn open_decoder(stream: &ffmpeg::Stream) -> Result<ffmpeg::decoder::Video, ffmpeg::Error> {
    let mut context = ffmpeg::codec::Context::from_parameters(stream.parameters())?;
    // 0 threads: as many as there are processors. Not `Type::Frame`: with errors that end a frame, FFmpeg 5.1
    // then aborts the process.
    context.set_threading(ffmpeg::threading::Config { kind: ffmpeg::threading::Type::Slice, ..Default::default() });
    let mut decoder = context.decoder();
    decoder.check(ffmpeg::codec::decoder::Check::CRC | ffmpeg::codec::decoder::Check::EXPLODE);
    decoder.set_packet_time_base(stream.time_base());
    let codec = ffmpeg::decoder::find(decoder.id()).ok_or(ffmpeg::Error::DecoderNotFound)?;
    let mut limits = ffmpeg::Dictionary::new();
    limits.set("max_pixels", &(MAX_FRAME_BYTES / 3).to_string());
    decoder.open_as_with(codec, limits)?.video()
}
