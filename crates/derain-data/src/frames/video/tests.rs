//! Videos that the tests encode themselves, whole, turned, damaged.

use std::fs;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::Id;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video as VideoFrame;
use image::{Rgb, RgbImage};

use crate::{Error, FrameOptions, open_frames};

const SIZE: (u32, u32) = (64, 48);

/// Frame `index` of every test: coarse enough for any codec, different in each corner.
fn pattern(index: u32) -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let level = |share: u32| (30 + share * 6 + index * 3) as u8;
        Rgb([level(x / 16), level(y / 12 * 5), 100])
    })
}

fn packed(index: u32) -> VideoFrame {
    let image = pattern(index);
    let mut frame = VideoFrame::new(Pixel::BGRZ, SIZE.0, SIZE.1);
    let stride = frame.stride(0);
    for (row, pixels) in frame.data_mut(0).chunks_mut(stride).zip(image.rows()) {
        for (out, pixel) in row.chunks_exact_mut(4).zip(pixels) {
            out.copy_from_slice(&[pixel[2], pixel[1], pixel[0], 0]);
        }
    }
    frame
}

fn planar(format: Pixel, levels: [u16; 3]) -> VideoFrame {
    planar_of(SIZE, format, levels)
}

/// Three planes of one level each; two bytes a sample above 8 bits.
fn planar_of((width, height): (u32, u32), format: Pixel, levels: [u16; 3]) -> VideoFrame {
    let mut frame = VideoFrame::new(format, width, height);
    for (index, level) in levels.iter().enumerate().take(frame.planes()) {
        if format == Pixel::YUV420P10LE {
            frame.data_mut(index).chunks_exact_mut(2).for_each(|sample| sample.copy_from_slice(&level.to_le_bytes()));
        } else {
            frame.data_mut(index).fill(*level as u8);
        }
    }
    frame
}

/// Encodes frames with their times in 1/100 s; the name's ending chooses the container.
fn encode(path: &Path, codec: Id, frames: Vec<(i64, VideoFrame)>) {
    let unit = ffmpeg::Rational(1, 100);
    let codec = ffmpeg::encoder::find(codec).expect("encoder");
    let mut output = ffmpeg::format::output(path).expect("output");
    let mut encoder = ffmpeg::codec::Context::new_with_codec(codec).encoder().video().expect("encoder");
    let first = &frames[0].1;
    encoder.set_width(first.width());
    encoder.set_height(first.height());
    encoder.set_format(first.format());
    encoder.set_color_range(first.color_range());
    encoder.set_colorspace(first.color_space());
    encoder.set_time_base(unit);
    encoder.set_frame_rate(Some(ffmpeg::Rational(25, 1)));
    encoder.set_qmin(1);
    encoder.set_qmax(2);
    encoder.set_bit_rate(8_000_000);
    if output.format().flags().contains(ffmpeg::format::Flags::GLOBAL_HEADER) {
        encoder.set_flags(ffmpeg::codec::Flags::GLOBAL_HEADER);
    }
    let mut encoder = encoder.open().expect("opened");
    let mut stream = output.add_stream(codec).expect("stream");
    stream.set_parameters(&encoder);
    stream.set_time_base(unit);
    output.write_header().expect("header");
    let stream_unit = output.stream(0).expect("stream").time_base();
    let mut packet = ffmpeg::Packet::empty();
    let mut write = |encoder: &mut ffmpeg::encoder::Video| {
        while encoder.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            // Without it the muxer takes the last frame for one of no length.
            packet.set_duration(4);
            packet.rescale_ts(unit, stream_unit);
            packet.write_interleaved(&mut output).expect("written");
        }
    };
    for (time, mut frame) in frames {
        frame.set_pts(Some(time));
        encoder.send_frame(&frame).expect("frame");
        write(&mut encoder);
    }
    encoder.send_eof().expect("end");
    write(&mut encoder);
    output.write_trailer().expect("trailer");
}

/// A clip of lossless or nearly lossless pattern frames, 25 per second.
fn clip(folder: &Path, name: &str, codec: Id, count: u32) -> PathBuf {
    let path = folder.join(name);
    let frame = |index| match codec {
        Id::FFV1 => packed(index),
        _ => {
            let mut scaler = ffmpeg::software::converter(SIZE, Pixel::BGRZ, Pixel::YUV420P).expect("scaler");
            let mut frame = VideoFrame::empty();
            scaler.run(&packed(index), &mut frame).expect("converted");
            frame
        }
    };
    encode(&path, codec, (0..count).map(|index| (4 * i64::from(index), frame(index))).collect());
    path
}

fn all() -> FrameOptions {
    FrameOptions::default()
}

/// The frames before the end or the first error.
fn read(path: &Path, options: &FrameOptions) -> (Vec<RgbImage>, Option<Error>) {
    let mut source = match open_frames(path, options) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut frames = Vec::new();
    loop {
        match source.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

fn largest_difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn lossless_frames_come_back_exactly_and_options_choose() {
    let folder = tempfile::tempdir().expect("folder");
    for name in ["clip.mkv", "clip.avi", "clip.nut"] {
        let path = clip(folder.path(), name, Id::FFV1, 10);
        let (frames, error) = read(&path, &all());
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(frames, (0..10).map(pattern).collect::<Vec<RgbImage>>(), "{name}");
        let options = FrameOptions { start: 2, stride: 3, length: Some(2) };
        let (frames, error) = read(&path, &options);
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(frames, [pattern(2), pattern(5)]);
        let (frames, error) = read(&path, &FrameOptions { start: 10, ..all() });
        assert!(frames.is_empty());
        assert!(matches!(error, Some(Error::NoFrames { start: 10, available: 10, .. })), "{name}: {error:?}");
    }
}

#[test]
fn lossy_video_is_close_and_counted() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, codec) in [("clip.mp4", Id::MPEG4), ("clip.avi", Id::MPEG4)] {
        let path = clip(folder.path(), name, codec, 12);
        // AVI counts slots, some of which are empty here.
        let expected = (name == "clip.mp4").then_some(12);
        assert_eq!(open_frames(&path, &all()).expect("open").expected(), expected);
        let (frames, error) = read(&path, &all());
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(frames.len(), 12);
        for (index, frame) in (0..).zip(&frames) {
            // Inside a patch, where neither chroma nor the transform mixes patches.
            for (x, y) in [(7, 5), (24, 18), (55, 42)] {
                let (found, wanted) = (frame.get_pixel(x, y), pattern(index));
                let wanted = wanted.get_pixel(x, y);
                assert!((0..3).all(|c| found[c].abs_diff(wanted[c]) <= 6), "{name} {index}: {found:?} {wanted:?}");
            }
        }
    }
}

#[test]
fn uneven_times_repeat_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, codec) in [("clip.mkv", Id::FFV1), ("clip.mp4", Id::MPEG4)] {
        let whole = clip(folder.path(), name, codec, 8);
        let (even, _) = read(&whole, &all());
        let path = folder.path().join(format!("uneven-{name}"));
        let times = [0, 4, 6, 30, 31, 90, 94, 150];
        let frames = times.into_iter().zip(0..).map(|(time, index)| {
            let mut frame = packed(index);
            if codec != Id::FFV1 {
                let mut converted = VideoFrame::empty();
                let mut scaler = ffmpeg::software::converter(SIZE, Pixel::BGRZ, Pixel::YUV420P).expect("scaler");
                scaler.run(&frame, &mut converted).expect("converted");
                frame = converted;
            }
            (time, frame)
        });
        encode(&path, codec, frames.collect());
        let (uneven, error) = read(&path, &all());
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(uneven.len(), 8, "{name}");
        let differences = even.iter().zip(&uneven).map(|(a, b)| largest_difference(a, b));
        assert!(differences.max() <= Some(3), "{name}");
    }
}

/// Sets the display matrix in an MP4's track header, as a phone that is held otherwise does.
fn turn(path: &Path, [a, b, c, d]: [i32; 4]) {
    let mut bytes = fs::read(path).expect("read");
    let header = bytes.windows(4).position(|name| name == b"tkhd").expect("track header");
    // Name, version and flags, five 32-bit fields, 8 reserved bytes, four 16-bit fields.
    let matrix = header + 4 + 4 + 20 + 8 + 8;
    let entries = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
    for (place, entry) in bytes[matrix..].chunks_exact_mut(4).zip(entries) {
        place.copy_from_slice(&entry.to_be_bytes());
    }
    fs::write(path, bytes).expect("write");
}

#[test]
fn turned_videos_come_upright() {
    let folder = tempfile::tempdir().expect("folder");
    let path = clip(folder.path(), "clip.mp4", Id::MPEG4, 3);
    let (upright, _) = read(&path, &all());
    turn(&path, [0, 1, -1, 0]);
    let source = open_frames(&path, &all()).expect("open");
    assert_eq!(source.size(), (SIZE.1, SIZE.0));
    let (turned, error) = read(&path, &all());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(turned.len(), 3);
    for (upright, turned) in upright.iter().zip(&turned) {
        assert_eq!(&image::imageops::rotate90(upright), turned);
    }
    turn(&path, [-1, 0, 0, -1]);
    let (turned, _) = read(&path, &all());
    assert_eq!(image::imageops::rotate180(&upright[0]), turned[0]);
}

#[test]
fn ten_bits_matrices_and_ranges() {
    let folder = tempfile::tempdir().expect("folder");
    let pixel = |name: &str, mut frame: VideoFrame, space, range| {
        let path = folder.path().join(name);
        frame.set_color_space(space);
        frame.set_color_range(range);
        encode(&path, Id::FFV1, vec![(0, frame)]);
        let (frames, error) = read(&path, &all());
        assert!(error.is_none(), "{name}: {error:?}");
        frames[0].get_pixel(20, 20).0
    };
    // 64 + 876 / 2 in 10 bits is half grey, in 8 bits the levels beside it are 127 and 128.
    let half = planar(Pixel::YUV420P10LE, [502, 512, 512]);
    assert_eq!(pixel("ten.mkv", half, Space::BT709, Range::MPEG), [128; 3]);
    // The same samples as BT.601 and as BT.709, by the formulas.
    let samples = || planar(Pixel::YUV420P, [120, 90, 200]);
    assert_eq!(pixel("601.mkv", samples(), Space::SMPTE170M, Range::MPEG), [236, 77, 44]);
    assert_eq!(pixel("709.mkv", samples(), Space::BT709, Range::MPEG), [250, 91, 41]);
    assert_eq!(pixel("full.mkv", samples(), Space::SMPTE170M, Range::JPEG), [221, 82, 53]);
    // A format that the scaler repacks.
    let samples = planar(Pixel::YUV410P, [120, 90, 200]);
    assert_eq!(pixel("410.mkv", samples, Space::SMPTE170M, Range::MPEG), [236, 77, 44]);
}

#[test]
fn full_range_alone_does_not_choose_the_matrix() {
    let folder = tempfile::tempdir().expect("folder");
    let assert_pixel = |codec: Id, lines: u32, wanted: [u8; 3]| {
        let path = folder.path().join("clip.mkv");
        let mut frame = planar_of((SIZE.0, lines), Pixel::YUVJ420P, [120, 90, 200]);
        frame.set_color_range(Range::JPEG);
        encode(&path, codec, vec![(0, frame)]);
        let (frames, error) = read(&path, &all());
        assert!(error.is_none(), "{codec:?} {lines}: {error:?}");
        let found = frames[0].get_pixel(20, 20).0;
        assert!((0..3).all(|c| found[c].abs_diff(wanted[c]) <= 4), "{codec:?} {lines}: {found:?}");
    };
    // By the formulas.
    let (bt601, bt709) = ([221, 82, 53], [233, 93, 49]);
    assert_pixel(Id::MJPEG, 480, bt601);
    assert_pixel(Id::MJPEG, 720, bt601);
    // Its decoder gives full range in JPEG's formats, too, but names no matrix.
    if ffmpeg::encoder::find_by_name("libx264").is_some() {
        assert_pixel(Id::H264, 480, bt601);
        assert_pixel(Id::H264, 720, bt709);
    }
}

#[test]
fn a_video_cut_short_says_so_after_its_whole_frames() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, codec) in
        [("clip.avi", Id::MPEG4), ("clip.avi", Id::MJPEG), ("clip.avi", Id::FFV1), ("clip.mkv", Id::FFV1)]
    {
        let path = if codec == Id::MJPEG {
            let path = folder.path().join(name);
            let frames = (0..20).map(|index| (4 * index, planar(Pixel::YUVJ420P, [90 + index as u16, 100, 120])));
            encode(&path, codec, frames.collect());
            path
        } else {
            clip(folder.path(), name, codec, 20)
        };
        let bytes = fs::read(&path).expect("read");
        let (whole, error) = read(&path, &all());
        assert!(whole.len() == 20 && error.is_none(), "{name} {codec:?}: {} {error:?}", whole.len());
        for share in [3, 6, 9] {
            fs::write(&path, &bytes[..bytes.len() * share / 10]).expect("write");
            let (frames, error) = read(&path, &all());
            assert!(frames[..] == whole[..frames.len()], "{name} {codec:?} {share}");
            // The last tenth may be the index only.
            if share < 9 || frames.len() < 20 {
                let error = error.unwrap_or_else(|| panic!("{name} {codec:?} {share}: no word after {}", frames.len()));
                assert!(matches!(error, Error::Shortfall { .. } | Error::BrokenStream { .. }), "{error:?}");
                assert!(frames.len() < 20, "{name} {codec:?} {share}");
            }
        }
    }
}

#[test]
fn an_mp4_whose_data_is_cut_or_damaged_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let path = clip(folder.path(), "clip.mp4", Id::MPEG4, 20);
    let bytes = fs::read(&path).expect("read");
    // The index is at the end: nothing can be opened without it.
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("write");
    assert!(matches!(open_frames(&path, &all()).map(|_| ()), Err(Error::BrokenStream { .. })));
    // Damage in the middle of the data.
    let data = bytes.windows(4).position(|name| name == b"mdat").expect("data");
    let mut damaged = bytes.clone();
    let from = data + (bytes.len() - data) / 3;
    for byte in &mut damaged[from..from + 60] {
        *byte ^= 0x5a;
    }
    fs::write(&path, damaged).expect("write");
    let (frames, error) = read(&path, &all());
    assert!(matches!(error, Some(Error::BrokenStream { .. })), "{} {error:?}", frames.len());
}

#[test]
fn what_is_no_video_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("list.m3u8");
    // A playlist that would have FFmpeg open another file.
    let other = clip(folder.path(), "clip.avi", Id::MPEG4, 2);
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n", other.display());
    fs::write(&path, playlist).expect("write");
    assert!(open_frames(&path, &all()).is_err());
    for content in [&b""[..], b"no video at all", &[0; 5000]] {
        fs::write(&path, content).expect("write");
        let Err(Error::BrokenStream { reason, .. }) = open_frames(&path, &all()).map(|_| ()) else { panic!("opened") };
        assert!(["Invalid data", "End of file"].iter().any(|why| reason.contains(why)), "{reason}");
    }
}
