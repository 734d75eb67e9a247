//! Frames to groups of encoded frames.

use std::fmt;
use std::str::FromStr;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::Range as ColorRange;
use ffmpeg_next::format::Pixel;
use image::RgbImage;

use super::group::{EncodedFrame, EncodedGroup};
use super::planes::{Levels, PlaneMut, chroma_full, chroma_quarter, luma};
use super::{TimedFrame, TranscodeError, VideoFormat};
use crate::Error;
use crate::frames::colour::Range;
use crate::frames::video::pixels;

/// Frames of a group: what a kill costs, against a key frame's price. One second or two, as players like for jumping.
pub(super) const GROUP_FRAMES: usize = 32;
/// What an encoder makes depends on its number of threads, so that is fixed; one is enough, as the network takes far
/// longer.
const THREADS: &str = "1";
/// No analysis of frames to come. With it, some groups in a thousand came out differently from the same frames while
/// other threads of the process were encoding, too; resumed videos are to equal unbroken ones.
const X264_PARAMETERS: &str = "rc-lookahead=0:mbtree=0:weightp=0:scenecut=0";
/// The lowest quality: the range of x264's rate factor.
const MAX_RATE_FACTOR: u8 = 51;
/// FFmpeg's factor between quantizers and its measure of quality.
const LAMBDA_PER_QUANTIZER: usize = 118;

/// The encoders that are known, by FFmpeg's names, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncoderName {
    /// H.264 by x264, which FFmpeg can be built without.
    Libx264,
    /// MPEG-4 part 2, in every FFmpeg: larger files of the same quality.
    Mpeg4,
}

impl EncoderName {
    /// Every encoder, in the order in which they are tried.
    pub const ALL: &'static [Self] = &[Self::Libx264, Self::Mpeg4];

    fn name(self) -> &'static str {
        match self {
            Self::Libx264 => "libx264",
            Self::Mpeg4 => "mpeg4",
        }
    }
}

impl fmt::Display for EncoderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EncoderName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().copied().find(|encoder| encoder.name() == name);
        known.ok_or_else(|| Error::option("encoder", name, "libx264 or mpeg4"))
    }
}

/// How frames are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// x264's rate factor, 0 to 51: less is better and larger. For `mpeg4` a quantizer is made of it.
    pub rate_factor: u8,
    /// The encoder, or the first of [`EncoderName::ALL`] that this FFmpeg has.
    pub encoder: Option<EncoderName>,
}

impl Default for EncodeOptions {
    /// A rate factor of 17, at which losses are hardly seen.
    fn default() -> Self {
        Self { rate_factor: 17, encoder: None }
    }
}

/// An encoder for the frames of one video.
pub struct VideoEncoder {
    name: EncoderName,
    codec: ffmpeg::Codec,
    pub(super) format: VideoFormat,
    rate_factor: u8,
    pixel: Pixel,
}

impl fmt::Debug for VideoEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("VideoEncoder");
        shown.field("name", &self.name).field("rate_factor", &self.rate_factor).field("pixel", &self.pixel);
        shown.field("format", &self.format).finish_non_exhaustive()
    }
}

impl VideoEncoder {
    /// Chooses the encoder and tries it.
    ///
    /// # Errors
    /// When an option is out of range, this FFmpeg has no such encoder, or the encoder refuses the frames' size.
    pub fn new(format: &VideoFormat, options: &EncodeOptions) -> Result<Self, Error> {
        let rate_factor = options.rate_factor;
        if rate_factor > MAX_RATE_FACTOR {
            return Err(Error::option("rate_factor", rate_factor, format!("from 0 to {MAX_RATE_FACTOR}")));
        }
        let found =
            EncoderName::ALL.iter().copied().filter(|name| options.encoder.is_none_or(|wanted| wanted == *name));
        let found = found.map(|name| (name, ffmpeg::encoder::find_by_name(name.name())));
        let Some((name, codec)) = found.into_iter().find_map(|(name, codec)| Some((name, codec?))) else {
            let wanted = options.encoder.map_or("libx264 or mpeg4", EncoderName::name);
            return Err(TranscodeError::NoVideoEncoder { wanted }.into());
        };
        let odd = format.size.0 % 2 == 1 || format.size.1 % 2 == 1;
        // H.264 cannot cut half a chroma sample off.
        let pixel = if odd && name == EncoderName::Libx264 { Pixel::YUV444P } else { Pixel::YUV420P };
        let encoder = Self { name, codec, format: format.clone(), rate_factor, pixel };
        encoder.open()?;
        Ok(encoder)
    }

    /// Which encoder it is.
    pub fn name(&self) -> EncoderName {
        self.name
    }

    /// All that the bits of a group depend on besides its frames, in words.
    pub(super) fn settings(&self) -> String {
        let (name, factor, pixel, version) = (self.name, self.rate_factor, self.pixel, ffmpeg::codec::version());
        format!("{name}, rate factor {factor}, {pixel:?}, groups of {GROUP_FRAMES}, libavcodec {version}")
    }

    /// Begins a group.
    ///
    /// # Errors
    /// When FFmpeg cannot open the encoder, for want of memory say.
    pub fn begin(&self) -> Result<GroupEncoder, Error> {
        let matrix = pixels::matrix(self.format.space);
        Ok(GroupEncoder {
            encoder: self.open()?,
            name: self.name,
            size: self.format.size,
            levels: Levels::new(matrix, self.format.range),
            times: Vec::new(),
            frames: Vec::new(),
        })
    }

    /// What the encoded stream's description says.
    pub(super) fn parameters(&self) -> Result<ffmpeg::codec::Parameters, Error> {
        Ok(ffmpeg::codec::Parameters::from(&self.open()?.0))
    }

    fn open(&self) -> Result<ffmpeg::encoder::Video, Error> {
        let (format, failed) = (&self.format, failed(self.name));
        let context = ffmpeg::codec::Context::new_with_codec(self.codec);
        let mut encoder = context.encoder().video().map_err(&failed)?;
        encoder.set_width(format.size.0);
        encoder.set_height(format.size.1);
        encoder.set_format(self.pixel);
        encoder.set_aspect_ratio(format.aspect);
        encoder.set_colorspace(format.space);
        encoder.set_color_range(color_range(format.range));
        encoder.set_color_primaries(format.primaries);
        encoder.set_color_transfer_characteristic(format.transfer);
        // The encoder counts frames: when they are shown is the container's business, and MPEG-4 knows no fine units.
        encoder.set_frame_rate(Some(format.rate));
        encoder.set_time_base(format.rate.invert());
        encoder.set_gop(GROUP_FRAMES as u32);
        // Frames in the order in which they are shown: then a container needs one time for each, which can be kept
        // exactly.
        encoder.set_max_b_frames(0);
        let mut flags = ffmpeg::codec::Flags::GLOBAL_HEADER;
        let mut options = ffmpeg::Dictionary::new();
        options.set("threads", THREADS);
        match self.name {
            EncoderName::Libx264 => {
                options.set("preset", "medium");
                options.set("x264-params", X264_PARAMETERS);
                options.set("crf", &self.rate_factor.to_string());
            }
            EncoderName::Mpeg4 => {
                flags |= ffmpeg::codec::Flags::QSCALE;
                encoder.set_global_quality((quantizer(self.rate_factor) * LAMBDA_PER_QUANTIZER) as i32);
            }
        }
        encoder.set_flags(flags);
        encoder.open_as_with(self.codec, options).map_err(failed)
    }
}

/// A quantizer of MPEG-4 part 2 of about the same quality: 1 is the finest, and doubles where the rate factor grows by
/// 6 from 12 on.
fn quantizer(rate_factor: u8) -> usize {
    let exponent = (f32::from(rate_factor) - 12.0) / 6.0;
    (exponent.exp2().round() as usize).clamp(1, 31)
}

fn color_range(range: Range) -> ColorRange {
    match range {
        Range::Limited => ColorRange::MPEG,
        Range::Full => ColorRange::JPEG,
    }
}

fn failed(encoder: EncoderName) -> impl Fn(ffmpeg::Error) -> Error {
    move |error| refused(encoder, error.to_string())
}

fn refused(encoder: EncoderName, reason: String) -> Error {
    TranscodeError::VideoEncoder { encoder: encoder.name(), reason }.into()
}

/// A group in the making.
pub struct GroupEncoder {
    encoder: ffmpeg::encoder::Video,
    name: EncoderName,
    size: (u32, u32),
    levels: Levels,
    times: Vec<super::FrameTime>,
    frames: Vec<EncodedFrame>,
}

impl fmt::Debug for GroupEncoder {
    /// With the number of frames, not their content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("GroupEncoder");
        shown.field("name", &self.name).field("size", &self.size);
        shown.field("frames", &self.times.len()).finish_non_exhaustive()
    }
}

impl GroupEncoder {
    /// Whether there is no frame in it.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether it is time to begin the next one.
    pub fn is_full(&self) -> bool {
        self.times.len() >= GROUP_FRAMES
    }

    /// Adds the next frame.
    ///
    /// # Errors
    /// When the frame's size is not the video's, or the encoder fails.
    pub fn push(&mut self, frame: &TimedFrame) -> Result<(), Error> {
        let (found, expected) = (frame.image.dimensions(), self.size);
        if found != expected {
            return Err(Error::SizesDiffer { found, expected });
        }
        let mut picture = self.picture(&frame.image);
        picture.set_pts(Some(self.times.len() as i64));
        self.times.push(frame.time);
        self.encoder.send_frame(&picture).map_err(failed(self.name))?;
        self.receive()
    }

    /// The group, once all its frames are there.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn finish(mut self) -> Result<EncodedGroup, Error> {
        self.encoder.send_eof().map_err(failed(self.name))?;
        self.receive()?;
        let (frames, times) = (self.frames.len(), self.times.len());
        if frames != times || !self.frames.first().is_some_and(|first| first.key) {
            return Err(refused(self.name, format!("it made {frames} packets of {times} frames")));
        }
        Ok(EncodedGroup { frames: self.frames })
    }

    fn receive(&mut self) -> Result<(), Error> {
        let mut packet = ffmpeg::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
                Err(error) => return Err(failed(self.name)(error)),
            }
            let index = self.frames.len();
            let time = self.times.get(index).filter(|_| packet.pts() == Some(index as i64));
            let (Some(time), Some(bytes)) = (time, packet.data()) else {
                return Err(refused(self.name, format!("it left out or moved frame {index} of a group")));
            };
            self.frames.push(EncodedFrame { time: *time, key: packet.is_key(), bytes: bytes.to_vec() });
        }
    }

    fn picture(&self, image: &RgbImage) -> ffmpeg::frame::Video {
        let mut picture = ffmpeg::frame::Video::new(self.encoder.format(), self.size.0, self.size.1);
        picture.set_color_space(self.encoder.colorspace());
        picture.set_color_range(self.encoder.color_range());
        let stride = picture.stride(0);
        luma(image, &self.levels, PlaneMut { bytes: picture.data_mut(0), stride });
        // Both are filled at once, but a frame lends its planes one by one.
        let strides = [picture.stride(1), picture.stride(2)];
        let (mut blue, mut red) = (vec![0; picture.data(1).len()], vec![0; picture.data(2).len()]);
        let chroma =
            [PlaneMut { bytes: &mut blue, stride: strides[0] }, PlaneMut { bytes: &mut red, stride: strides[1] }];
        match self.encoder.format() {
            Pixel::YUV444P => chroma_full(image, &self.levels, chroma),
            _ => chroma_quarter(image, &self.levels, chroma),
        }
        picture.data_mut(1).copy_from_slice(&blue);
        picture.data_mut(2).copy_from_slice(&red);
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::quantizer;

    #[test]
    fn quantizers_stay_in_range() {
        assert_eq!([0, 12, 18, 24, 51].map(quantizer), [1, 1, 2, 4, 31]);
    }
}
