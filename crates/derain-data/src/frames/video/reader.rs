//! Frames with their times, and what a video that replaces theirs must take over.

use std::fmt;
use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::{Primaries, Space, TransferCharacteristic};
use ffmpeg_next::format::Pixel;
use image::{DynamicImage, RgbImage};

use super::orientation::turned;
use super::{VideoFrames, broken, pixels};
use crate::Error;
use crate::brief_debug::brief_debug;
use crate::frames::colour::Range;
use crate::frames::{FrameOptions, FrameSource};

/// The frame rate where a video names none. Only the encoder's sense of speed depends on it.
const USUAL_RATE: ffmpeg::Rational = ffmpeg::Rational(25, 1);
/// The largest numerator and denominator of a frame rate: MPEG-4 writes them in 16 bits.
const MAX_RATE_TERM: i32 = 65535;

/// When a frame is shown, in the video's [`time_base`](VideoFormat::time_base).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTime {
    /// The moment from which on it is shown.
    pub start: i64,
    /// How long, as the container says; 0 where it does not.
    pub duration: i64,
}

/// A frame, upright, and its time.
#[derive(Clone)]
pub struct TimedFrame {
    /// 8-bit RGB.
    pub image: RgbImage,
    /// When it is shown.
    pub time: FrameTime,
}

brief_debug!(TimedFrame, |frame| { size: frame.image.dimensions(), time: frame.time });

/// What is the same for all frames of a video.
#[derive(Clone, Debug)]
pub struct VideoFormat {
    pub(in crate::frames) size: (u32, u32),
    pub(in crate::frames) time_base: ffmpeg::Rational,
    pub(in crate::frames) rate: ffmpeg::Rational,
    /// Width of a pixel by its height, after the turn; 0 where unknown.
    pub(in crate::frames) aspect: ffmpeg::Rational,
    pub(in crate::frames) space: Space,
    pub(in crate::frames) range: Range,
    pub(in crate::frames) primaries: Primaries,
    pub(in crate::frames) transfer: TransferCharacteristic,
    deep: bool,
}

impl VideoFormat {
    /// Width and height of every upright frame, in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The unit of times, in seconds, as a fraction.
    pub fn time_base(&self) -> (i32, i32) {
        (self.time_base.numerator(), self.time_base.denominator())
    }

    /// Whether the stored samples have more than the 8 bits that frames come with.
    pub fn is_deep(&self) -> bool {
        self.deep
    }

    fn of(frame: &ffmpeg::frame::Video, source: &VideoFrames) -> Result<Self, String> {
        let stream = source.input.stream(source.stream).ok_or("its stream of pictures is gone")?;
        let rate = [stream.avg_frame_rate(), stream.rate()].into_iter().find(|rate| f64::from(*rate) > 0.0);
        let rate = rate.map_or(USUAL_RATE, |rate| match rate.reduce_with_limit(MAX_RATE_TERM) {
            Ok(rate) | Err(rate) => rate,
        });
        let aspect = source.decoder.aspect_ratio();
        let stored = (source.decoder.width(), source.decoder.height());
        let upright = source.size == stored || turned((0, 1), source.orientation) == (0, 1);
        Ok(Self {
            size: source.size,
            time_base: stream.time_base(),
            rate: if f64::from(rate) > 0.0 { rate } else { USUAL_RATE },
            aspect: if upright || aspect.numerator() == 0 { aspect } else { aspect.invert() },
            space: pixels::space_to_write(frame),
            range: pixels::range_to_write(frame),
            primaries: frame.color_primaries(),
            transfer: frame.color_transfer_characteristic(),
            deep: is_deep(frame.format()),
        })
    }
}

/// Reads a video's frames in the order in which they are shown, with their times.
///
/// What [`open_frames`](crate::open_frames) refuses is refused here, too, and what cannot be written again as it is:
/// interlaced frames, high dynamic range, frames without a time or not after the one before.
pub struct VideoReader {
    source: VideoFrames,
    format: VideoFormat,
    /// Decoded to learn the format.
    first: Option<ffmpeg::frame::Video>,
    last_start: Option<i64>,
}

impl fmt::Debug for VideoReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VideoFrames { path, taken, .. } = &self.source;
        let mut shown = f.debug_struct("VideoReader");
        shown.field("path", path).field("taken", taken).field("format", &self.format).finish_non_exhaustive()
    }
}

impl VideoReader {
    /// Opens a video and decodes its first frame.
    ///
    /// # Errors
    /// When the file cannot be read, holds no video, or its first frame cannot be decoded.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut source = VideoFrames::open(path, &FrameOptions::default())?;
        let Some(first) = source.decode()? else {
            source.check_end()?;
            return Err(Error::NoFrames { path: path.to_owned(), start: 0, available: 0 });
        };
        let format = VideoFormat::of(&first, &source).map_err(|reason| broken(path, 0, reason))?;
        Ok(Self { source, format, first: Some(first), last_start: None })
    }

    /// What all frames have in common.
    pub fn format(&self) -> &VideoFormat {
        &self.format
    }

    /// How many frames there are in all, where the container tells.
    pub fn expected(&self) -> Option<usize> {
        self.source.expected()
    }

    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// When a frame is damaged or cannot be taken over, and in place of the final `None` when there are fewer frames
    /// than the container says.
    pub fn next_frame(&mut self) -> Result<Option<TimedFrame>, Error> {
        let Some((frame, time)) = self.decode()? else { return Ok(None) };
        let rgb = pixels::to_rgb(&frame).map_err(|reason| self.refuse(reason))?;
        let mut image = DynamicImage::from(rgb);
        image.apply_orientation(self.source.orientation);
        Ok(Some(TimedFrame { image: image.into_rgb8(), time }))
    }

    /// Passes over the next frame: decodes it, as those after it need it, and tells its time.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn skip_frame(&mut self) -> Result<Option<FrameTime>, Error> {
        Ok(self.decode()?.map(|(_, time)| time))
    }

    fn decode(&mut self) -> Result<Option<(ffmpeg::frame::Video, FrameTime)>, Error> {
        let frame = match self.first.take() {
            Some(frame) => frame,
            None => match self.source.decode()? {
                Some(frame) => frame,
                None => {
                    self.source.check_end()?;
                    return Ok(None);
                }
            },
        };
        self.source.taken += 1;
        let found = turned((frame.width(), frame.height()), self.source.orientation);
        if found != self.source.size {
            let (path, expected) = (self.source.path.clone(), self.source.size);
            return Err(Error::MixedSizes { path, found, expected });
        }
        let time = self.time_of(&frame).map_err(|reason| self.refuse(reason))?;
        self.last_start = Some(time.start);
        Ok(Some((frame, time)))
    }

    fn time_of(&self, frame: &ffmpeg::frame::Video) -> Result<FrameTime, String> {
        if frame.is_interlaced() {
            return Err("its pictures are interlaced: deinterlace the video first".into());
        }
        let transfer = frame.color_transfer_characteristic();
        if matches!(transfer, TransferCharacteristic::SMPTE2084 | TransferCharacteristic::ARIB_STD_B67) {
            return Err("it has high dynamic range (PQ or HLG): bring it to BT.709 first".into());
        }
        let advice = "copy the streams into a new .mkv or .mp4 file, which gives frames their times";
        let start = frame.timestamp().ok_or_else(|| format!("it has no time stamp: {advice}"))?;
        if self.last_start.is_some_and(|last| start <= last) {
            return Err(format!("it is not shown after the frame before it: {advice}"));
        }
        Ok(FrameTime { start, duration: frame.packet().duration.max(0) })
    }

    fn refuse(&self, reason: String) -> Error {
        // The frame has been counted already.
        broken(&self.source.path, self.source.taken.saturating_sub(1), reason)
    }
}

/// By the format's name: those of several bytes a sample say which byte comes first, and so do some packed ones of less
/// than 8 bits.
fn is_deep(format: Pixel) -> bool {
    let name = format.descriptor().map_or("", |descriptor| descriptor.name());
    let two_bytes = name.ends_with("le") || name.ends_with("be");
    two_bytes && !["444le", "444be", "555le", "555be", "565le", "565be"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::is_deep;

    #[test]
    fn deep_formats_are_told_by_name() {
        for deep in [Pixel::YUV420P10LE, Pixel::YUV444P12LE, Pixel::RGB48LE, Pixel::P010LE, Pixel::GRAY10LE] {
            assert!(is_deep(deep), "{deep:?}");
        }
        for shallow in [Pixel::YUV420P, Pixel::YUV410P, Pixel::NV12, Pixel::RGB565LE, Pixel::RGB24, Pixel::BGRZ] {
            assert!(!is_deep(shallow), "{shallow:?}");
        }
    }
}
