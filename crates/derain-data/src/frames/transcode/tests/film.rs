//! Films that the tests encode themselves, with sound and subtitles, and what is read back of them.

use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{Flags, Id, Parameters};
use ffmpeg_next::color::{Range, Space, TransferCharacteristic};
use ffmpeg_next::format::context::Output;
use ffmpeg_next::format::sample::{Sample, Type as SampleType};
use ffmpeg_next::format::{Flags as FormatFlags, Pixel};
use ffmpeg_next::frame::{Audio as AudioFrame, Video as VideoFrame};
use ffmpeg_next::{ChannelLayout, Dictionary, Packet, Rational};
use image::{Rgb, RgbImage};

/// Of the pictures' times in a film.
pub(super) const UNIT: Rational = Rational(1, 100);
const SAMPLE_RATE: i32 = 44100;

/// What a film is made of.
pub(super) struct Film {
    pub(super) codec: Id,
    pub(super) size: (u32, u32),
    pub(super) pixel: Pixel,
    pub(super) space: Space,
    pub(super) range: Range,
    pub(super) transfer: TransferCharacteristic,
    /// When each picture is shown, in `UNIT`; the last is shown for `last_duration`.
    pub(super) times: Vec<i64>,
    pub(super) last_duration: i64,
    pub(super) b_frames: usize,
    pub(super) sound: Option<Id>,
    pub(super) subtitles: bool,
}

impl Default for Film {
    /// Silent, MPEG-4 part 2, 25 pictures a second.
    fn default() -> Self {
        Self {
            codec: Id::MPEG4,
            size: (64, 48),
            pixel: Pixel::YUV420P,
            space: Space::SMPTE170M,
            range: Range::MPEG,
            transfer: TransferCharacteristic::Unspecified,
            times: (0..12).map(|index| 4 * index).collect(),
            last_duration: 4,
            b_frames: 2,
            sound: None,
            subtitles: false,
        }
    }
}

/// Picture `index`: smooth, so that chroma at half the resolution loses little, and different each time.
pub(super) fn picture((width, height): (u32, u32), index: usize) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x * 100 / width, y * 100 / height);
        Rgb([40 + x as u8 + index as u8 % 32, 60 + y as u8, 150 - (x as u8 + y as u8) / 4])
    })
}

impl Film {
    /// Writes the film; the name's ending chooses the container.
    pub(super) fn write(&self, path: &Path) {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        let mut output = ffmpeg::format::output(path).expect("output");
        let global = output.format().flags().contains(FormatFlags::GLOBAL_HEADER);
        let mut picture_encoder = self.picture_encoder(global);
        let mut stream = output.add_stream(ffmpeg::encoder::find(self.codec)).expect("stream");
        stream.set_parameters(&picture_encoder);
        stream.set_time_base(UNIT);
        stream.set_avg_frame_rate(Rational(25, 1));
        let mut sound = self.sound.map(|codec| {
            let encoder = sound_encoder(codec, global);
            let mut stream = output.add_stream(ffmpeg::encoder::find(codec)).expect("stream");
            stream.set_parameters(&encoder);
            stream.set_time_base(Rational(1, SAMPLE_RATE));
            stream.set_metadata(Dictionary::from_iter([("language", "fra")]));
            encoder
        });
        if self.subtitles {
            let mut parameters = Parameters::new();
            parameters.set_medium(ffmpeg::media::Type::Subtitle);
            parameters.set_id(Id::SUBRIP);
            let mut stream = output.add_stream(ffmpeg::encoder::find(Id::None)).expect("stream");
            stream.set_parameters(parameters);
            stream.set_time_base(Rational(1, 1000));
            output.add_chapter(0, Rational(1, 1000), 0, 200, "drizzle").expect("chapter");
            output.add_chapter(1, Rational(1, 1000), 200, 480, "downpour").expect("chapter");
        }
        output.set_metadata(Dictionary::from_iter([("title", "Rain"), ("comment", "window, 4 pm")]));
        output.write_header().expect("header");
        for (index, time) in self.times.iter().enumerate() {
            let mut frame = self.frame(index);
            frame.set_pts(Some(*time));
            picture_encoder.send_frame(&frame).expect("frame");
            self.drain(&mut picture_encoder, &mut output);
        }
        picture_encoder.send_eof().expect("end");
        self.drain(&mut picture_encoder, &mut output);
        if let Some(encoder) = &mut sound {
            write_sound(encoder, &mut output, self.end());
        }
        if self.subtitles {
            for (start, text) in [(0, "It drips."), (250, "It pours.")] {
                let mut packet = Packet::copy(text.as_bytes());
                packet.set_pts(Some(start));
                packet.set_dts(Some(start));
                packet.set_duration(120);
                packet.set_stream(output.nb_streams() as usize - 1);
                packet.write_interleaved(&mut output).expect("subtitle");
            }
        }
        output.write_trailer().expect("trailer");
    }

    /// In seconds.
    fn end(&self) -> f64 {
        (self.times.last().copied().unwrap_or(0) + self.last_duration) as f64 * f64::from(UNIT)
    }

    fn picture_encoder(&self, global: bool) -> ffmpeg::encoder::Video {
        let codec = ffmpeg::encoder::find(self.codec).expect("encoder");
        let mut encoder = ffmpeg::codec::Context::new_with_codec(codec).encoder().video().expect("encoder");
        encoder.set_width(self.size.0);
        encoder.set_height(self.size.1);
        encoder.set_format(self.pixel);
        encoder.set_color_range(self.range);
        encoder.set_colorspace(self.space);
        encoder.set_color_transfer_characteristic(self.transfer);
        encoder.set_time_base(UNIT);
        encoder.set_frame_rate(Some(Rational(25, 1)));
        encoder.set_qmin(1);
        encoder.set_qmax(2);
        encoder.set_bit_rate(8_000_000);
        encoder.set_max_b_frames(if self.codec == Id::MPEG4 { self.b_frames } else { 0 });
        if global {
            encoder.set_flags(Flags::GLOBAL_HEADER);
        }
        encoder.open().expect("opened")
    }

    fn frame(&self, index: usize) -> VideoFrame {
        let image = picture(self.size, index);
        let mut packed = VideoFrame::new(Pixel::RGB24, self.size.0, self.size.1);
        let (stride, row_bytes) = (packed.stride(0), 3 * self.size.0 as usize);
        for (row, pixels) in packed.data_mut(0).chunks_mut(stride).zip(image.as_raw().chunks(row_bytes)) {
            row[..row_bytes].copy_from_slice(pixels);
        }
        let mut scaler = ffmpeg::software::converter(self.size, Pixel::RGB24, self.pixel).expect("scaler");
        let mut frame = VideoFrame::empty();
        scaler.run(&packed, &mut frame).expect("converted");
        frame
    }

    fn drain(&self, encoder: &mut ffmpeg::encoder::Video, output: &mut Output) {
        let unit = output.stream(0).expect("stream").time_base();
        let mut packet = Packet::empty();
        while encoder.receive_packet(&mut packet).is_ok() {
            let time = packet.pts().expect("time");
            let next = self.times.iter().find(|other| **other > time);
            packet.set_duration(next.map_or(self.last_duration, |next| next - time));
            packet.set_stream(0);
            packet.rescale_ts(UNIT, unit);
            packet.write_interleaved(output).expect("written");
        }
    }
}

fn sound_encoder(codec: Id, global: bool) -> ffmpeg::encoder::Audio {
    let found = ffmpeg::encoder::find(codec).expect("encoder");
    let mut encoder = ffmpeg::codec::Context::new_with_codec(found).encoder().audio().expect("encoder");
    encoder.set_rate(SAMPLE_RATE);
    encoder.set_channel_layout(ChannelLayout::MONO);
    encoder.set_format(match codec {
        Id::AAC => Sample::F32(SampleType::Planar),
        _ => Sample::I16(SampleType::Packed),
    });
    encoder.set_time_base(Rational(1, SAMPLE_RATE));
    encoder.set_bit_rate(64_000);
    if global {
        encoder.set_flags(Flags::GLOBAL_HEADER);
    }
    encoder.open().expect("opened")
}

/// A tone that rises, until the film's end.
fn write_sound(encoder: &mut ffmpeg::encoder::Audio, output: &mut Output, seconds: f64) {
    let chunk = if encoder.frame_size() == 0 { 1024 } else { encoder.frame_size() as usize };
    let unit = output.stream(1).expect("stream").time_base();
    let samples = (seconds * f64::from(SAMPLE_RATE)) as usize;
    let tone = |at: usize| (at as f32 * (0.05 + at as f32 * 1e-7)).sin() * 0.4;
    let mut packet = Packet::empty();
    for start in (0..samples).step_by(chunk) {
        let mut frame = AudioFrame::new(encoder.format(), chunk, ChannelLayout::MONO);
        frame.set_rate(SAMPLE_RATE as u32);
        frame.set_pts(Some(start as i64));
        match encoder.format() {
            Sample::F32(_) => frame.plane_mut::<f32>(0).iter_mut().enumerate().for_each(|(i, s)| *s = tone(start + i)),
            _ => {
                frame.plane_mut::<i16>(0).iter_mut().enumerate().for_each(|(i, s)| *s = (tone(start + i) * 3e4) as i16)
            }
        }
        encoder.send_frame(&frame).expect("frame");
        while encoder.receive_packet(&mut packet).is_ok() {
            packet.set_stream(1);
            packet.rescale_ts(Rational(1, SAMPLE_RATE), unit);
            packet.write_interleaved(output).expect("written");
        }
    }
    encoder.send_eof().expect("end");
    while encoder.receive_packet(&mut packet).is_ok() {
        packet.set_stream(1);
        packet.rescale_ts(Rational(1, SAMPLE_RATE), unit);
        packet.write_interleaved(output).expect("written");
    }
}

/// A packet as the container gives it, times in seconds.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) start: Option<f64>,
    pub(super) duration: f64,
    pub(super) bytes: Vec<u8>,
}

/// The packets of a stream.
pub(super) fn packets(path: &Path, stream: usize) -> Vec<Stored> {
    let mut input = ffmpeg::format::input(path).expect("input");
    let unit = f64::from(input.stream(stream).expect("stream").time_base());
    let mut packets = Vec::new();
    let mut packet = Packet::empty();
    while packet.read(&mut input).is_ok() {
        if packet.stream() == stream {
            packets.push(Stored {
                start: packet.pts().map(|time| time as f64 * unit),
                duration: packet.duration() as f64 * unit,
                bytes: packet.data().expect("bytes").to_vec(),
            });
        }
    }
    packets
}

/// How long a stream is, in seconds; the file, where the container keeps only that.
pub(super) fn seconds(path: &Path, stream: usize) -> f64 {
    let input = ffmpeg::format::input(path).expect("input");
    let stream = input.stream(stream).expect("stream");
    if stream.duration() > 0 {
        return stream.duration() as f64 * f64::from(stream.time_base());
    }
    input.duration() as f64 / 1e6
}
