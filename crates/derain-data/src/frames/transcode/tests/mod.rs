//! From films to films, with the pictures as they are.

mod film;
mod resumed;
mod shorter;

use std::fs;
use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::Id;
use ffmpeg_next::color::{Range, Space, TransferCharacteristic};
use ffmpeg_next::format::Pixel;
use image::RgbImage;

use super::{
    Checked, EncodeOptions, EncoderName, Ending, FrameTime, Origin, Parts, TimedFrame, TranscodeError, VideoEncoder,
    VideoReader, WrittenVideo, check_streams, write_video,
};
use crate::Error;

use film::{Film, packets, seconds};

fn read(path: &Path) -> Result<Vec<TimedFrame>, Error> {
    let mut reader = VideoReader::open(path)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// Reads, encodes and writes again, whatever an earlier try left.
fn transcode(input: &Path, output: &Path, options: &EncodeOptions) -> Result<WrittenVideo, Error> {
    transcode_first(input, output, options, usize::MAX, Ending::Input)
}

/// The same with at most `length` frames.
fn transcode_first(
    input: &Path,
    output: &Path,
    options: &EncodeOptions,
    length: usize,
    ending: Ending,
) -> Result<WrittenVideo, Error> {
    let mut reader = VideoReader::open(input)?;
    let encoder = VideoEncoder::new(reader.format(), options)?;
    let mut parts = Parts::restart(&Parts::folder_of(output), &Origin::of(input, &encoder)?)?;
    let mut group = encoder.begin()?;
    for _ in 0..length {
        let Some(frame) = reader.next_frame()? else { break };
        group.push(&frame)?;
        if group.is_full() {
            parts.save(&std::mem::replace(&mut group, encoder.begin()?).finish()?)?;
        }
    }
    if !group.is_empty() {
        parts.save(&group.finish()?)?;
    }
    let written = write_video(input, output, &encoder, &parts, ending)?;
    parts.remove()?;
    Ok(written)
}

fn best() -> EncodeOptions {
    EncodeOptions { rate_factor: 1, ..EncodeOptions::default() }
}

/// When frames are shown, in seconds.
fn starts(path: &Path) -> Vec<f64> {
    let reader = VideoReader::open(path).expect("opened");
    let (numerator, denominator) = reader.format().time_base();
    let unit = f64::from(numerator) / f64::from(denominator);
    read(path).expect("read").iter().map(|frame| frame.time.start as f64 * unit).collect()
}

/// Of the differences.
fn root_mean_square(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let squares = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (squares.sum::<f64>() / a.as_raw().len() as f64).sqrt()
}

#[track_caller]
fn assert_alike(a: &RgbImage, b: &RgbImage, limit: f64) {
    let error = root_mean_square(a, b);
    assert!(error <= limit, "root of the mean square error: {error}");
}

#[track_caller]
fn assert_close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?}\n{b:?}");
}

/// Uneven times, the last frame shown longer than any other.
fn uneven() -> Film {
    let times = [0, 4, 6, 30, 31, 90, 94, 150].into_iter().chain((0..60).map(|index| 160 + 5 * index)).collect();
    Film { times, last_duration: 77, sound: Some(Id::AAC), ..Film::default() }
}

#[test]
fn uneven_times_sound_and_tags_are_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    for (from, to) in
        [("a.mp4", "b.mp4"), ("a.mp4", "b.mov"), ("a.mp4", "b.mkv"), ("c.mkv", "d.mp4"), ("c.mkv", "d.mkv")]
    {
        let film = uneven();
        film.write(&path(from));
        let written = transcode(&path(from), &path(to), &best()).expect("transcoded");
        assert_eq!((written.frames, written.rounded), (68, false), "{from} {to}");
        assert_eq!(written.left_out, Vec::<String>::new());
        let (before, after) = (read(&path(from)).expect("read"), read(&path(to)).expect("read"));
        if from == "a.mp4" {
            assert_close(
                &starts(&path(from)),
                &film.times.iter().map(|time| *time as f64 / 100.0).collect::<Vec<f64>>(),
            );
        }
        assert_close(&starts(&path(from)), &starts(&path(to)));
        for (before, after) in before.iter().zip(&after) {
            assert_alike(&before.image, &after.image, 2.0);
        }
        let (before, after) = (packets(&path(from), 1), packets(&path(to), 1));
        assert!(before.len() > 100);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.bytes, after.bytes, "{from} {to}");
            // Matroska's milliseconds, where one of the two is that.
            let limit = if from.ends_with("4") && !to.ends_with("kv") { 1e-9 } else { 0.00051 };
            let (a, b) = (before.start.expect("time"), after.start.expect("time"));
            assert!((a - b).abs() < limit, "{from} {to}: {a} {b}");
        }
        assert_eq!(before.len(), after.len());
        // To a packet of sound.
        assert!((seconds(&path(to), 0) - 5.32).abs() < 0.05, "{from} {to}: {}", seconds(&path(to), 0));
        let file = ffmpeg::format::input(&path(to)).expect("input");
        assert_eq!(file.metadata().get("title"), Some("Rain"), "{from} {to}");
        assert_eq!(file.metadata().get("comment"), Some("window, 4 pm"), "{from} {to}");
        assert_eq!(file.stream(1).expect("stream").metadata().get("language"), Some("fra"), "{from} {to}");
        assert!(!Parts::folder_of(&path(to)).exists());
    }
    // Sound alone could hide the pictures' length.
    Film { sound: None, b_frames: 0, ..uneven() }.write(&path("silent.mp4"));
    transcode(&path("silent.mp4"), &path("silent-too.mp4"), &best()).expect("transcoded");
    assert!((seconds(&path("silent-too.mp4"), 0) - 5.32).abs() < 1e-9, "{}", seconds(&path("silent-too.mp4"), 0));
    let last = packets(&path("silent-too.mp4"), 0).pop().expect("packets");
    assert!((last.duration - 0.77).abs() < 1e-9, "{}", last.duration);
}

#[test]
fn subtitles_and_chapters_are_kept_and_pcm_finds_its_container() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    Film { sound: Some(Id::PCM_S16LE), subtitles: true, ..Film::default() }.write(&path("a.mkv"));
    transcode(&path("a.mkv"), &path("b.mkv"), &best()).expect("transcoded");
    for stream in [1, 2] {
        assert_eq!(packets(&path("a.mkv"), stream), packets(&path("b.mkv"), stream));
    }
    assert_eq!(packets(&path("b.mkv"), 2)[1].bytes, b"It pours.");
    let file = ffmpeg::format::input(&path("b.mkv")).expect("input");
    let titles: Vec<_> = file.chapters().map(|chapter| chapter.metadata().get("title").map(str::to_owned)).collect();
    assert_eq!(titles, [Some("drizzle".to_owned()), Some("downpour".to_owned())]);
    // MP4 has no place for SubRip.
    fs::write(path("b.mp4"), "here before").expect("written");
    let error = transcode(&path("a.mkv"), &path("b.mp4"), &best()).expect_err("refused").to_string();
    assert!(error.contains("SUBRIP") && error.contains("try .mkv"), "{error}");
    assert_eq!(fs::read(path("b.mp4")).expect("read"), b"here before");
    let error = super::check_container(&path("b.avi")).expect_err("refused").to_string();
    assert!(error.contains("must end in .mp4, .m4v, .mov or .mkv"), "{error}");
}

#[test]
fn what_a_container_cannot_hold_is_told_before_any_frame() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    Film { sound: Some(Id::PCM_S16LE), subtitles: true, ..Film::default() }.write(&path("a.mkv"));
    Film { sound: Some(Id::PCM_S16LE), ..Film::default() }.write(&path("c.mov"));
    for (from, to, holds) in [
        ("a.mkv", "b.mkv", Some(true)),
        ("a.mkv", "b.mp4", Some(false)),
        ("c.mov", "d.mov", Some(true)),
        // It depends on FFmpeg's version.
        ("c.mov", "d.mp4", None),
    ] {
        let encoder = VideoEncoder::new(VideoReader::open(&path(from)).expect("opened").format(), &best());
        let told = check_streams(&path(from), &path(to), &encoder.expect("encoder")).map_err(|error| error.to_string());
        assert!(!path(to).exists(), "{from} {to}");
        assert!(holds.is_none_or(|holds| holds == told.is_ok()), "{from} {to}: {told:?}");
        let written = transcode(&path(from), &path(to), &best()).map(drop).map_err(|error| error.to_string());
        assert_eq!(told, written, "{from} {to}");
    }
}

#[test]
fn sizes_and_encoders() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mp4"));
    for size in [(64, 48), (63, 48), (64, 47), (33, 17), (2, 2), (1, 1)] {
        Film { codec: Id::FFV1, pixel: Pixel::BGRZ, size, ..Film::default() }.write(&input);
        let before = read(&input).expect("read");
        for &encoder in EncoderName::ALL {
            let options = EncodeOptions { rate_factor: 1, encoder: Some(encoder) };
            let reader = VideoReader::open(&input).expect("opened");
            match VideoEncoder::new(reader.format(), &options) {
                Err(Error::Transcode(TranscodeError::NoVideoEncoder { .. })) if encoder == EncoderName::Libx264 => {
                    continue;
                }
                made => assert_eq!(made.expect("encoder").name(), encoder),
            }
            transcode(&input, &output, &options).expect("transcoded");
            let after = read(&output).expect("read");
            assert_eq!(after.len(), 12, "{size:?} {encoder}");
            for (before, after) in before.iter().zip(&after) {
                let error = root_mean_square(&before.image, &after.image);
                // Of the smallest, a single chroma sample makes up most.
                let limit = if size.0 < 10 { 25.0 } else { 3.0 };
                assert!(error <= limit, "{size:?} {encoder}: {error}");
            }
        }
    }
}

#[test]
fn colours_stay_through_every_matrix_and_range() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mp4"));
    for (space, range) in [
        (Space::SMPTE170M, Range::MPEG),
        (Space::BT709, Range::MPEG),
        (Space::BT709, Range::JPEG),
        (Space::BT2020NCL, Range::MPEG),
    ] {
        Film { codec: Id::FFV1, space, range, ..Film::default() }.write(&input);
        transcode(&input, &output, &best()).expect("transcoded");
        let reader = VideoReader::open(&output).expect("opened");
        assert_eq!(reader.format().space, space, "{range:?}");
        assert_eq!(reader.format().range == crate::frames::colour::Range::Full, range == Range::JPEG, "{space:?}");
        for (before, after) in read(&input).expect("read").iter().zip(&read(&output).expect("read")) {
            assert_alike(&before.image, &after.image, 1.5);
        }
    }
}

#[test]
fn deep_samples_are_taken_and_high_range_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mkv"));
    let deep = Film { codec: Id::FFV1, pixel: Pixel::YUV420P10LE, ..Film::default() };
    deep.write(&input);
    assert!(VideoReader::open(&input).expect("opened").format().is_deep());
    transcode(&input, &output, &best()).expect("transcoded");
    assert!(!VideoReader::open(&output).expect("opened").format().is_deep());
    for (before, after) in read(&input).expect("read").iter().zip(&read(&output).expect("read")) {
        assert_alike(&before.image, &after.image, 1.5);
    }
    Film { transfer: TransferCharacteristic::SMPTE2084, ..deep }.write(&input);
    let error = read(&input).expect_err("refused").to_string();
    assert!(error.contains("frame 0") && error.contains("high dynamic range"), "{error}");
}

#[test]
fn turned_films_become_upright() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mp4"), folder.path().join("b.mp4"));
    Film::default().write(&input);
    let upright = read(&input).expect("read");
    let mut bytes = fs::read(&input).expect("read");
    let header = bytes.windows(4).position(|name| name == b"tkhd").expect("track header");
    // Name, version and flags, five 32-bit fields, 8 reserved bytes, four 16-bit fields, then the display matrix: a
    // quarter to the right.
    let matrix = header + 4 + 4 + 20 + 8 + 8;
    for (place, entry) in bytes[matrix..].chunks_exact_mut(4).zip([0i32, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]) {
        place.copy_from_slice(&entry.to_be_bytes());
    }
    fs::write(&input, bytes).expect("written");
    transcode(&input, &output, &best()).expect("transcoded");
    let turned = read(&output).expect("read");
    assert_eq!(turned.len(), upright.len());
    for (upright, turned) in upright.iter().zip(&turned) {
        assert_alike(&image::imageops::rotate90(&upright.image), &turned.image, 2.0);
    }
    // The output itself is not turned.
    assert_eq!(VideoReader::open(&output).expect("opened").format().size(), (48, 64));
}

#[test]
fn films_cut_short_make_no_output() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mkv"));
    Film { codec: Id::FFV1, sound: Some(Id::AAC), times: (0..80).map(|index| 4 * index).collect(), ..Film::default() }
        .write(&input);
    let bytes = fs::read(&input).expect("read");
    for tenths in [3, 6, 9] {
        fs::write(&input, &bytes[..bytes.len() * tenths / 10]).expect("written");
        let error = transcode(&input, &output, &best()).expect_err("refused");
        assert!(matches!(error, Error::Shortfall { .. } | Error::BrokenStream { .. }), "{error:?}");
        assert!(!output.exists());
    }
}

#[test]
fn fine_times_are_exact_in_mp4_and_rounded_in_matroska() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    // 30000 / 1001 frames a second, as cameras have it.
    Film { times: (0..40).collect(), last_duration: 1, ..Film::default() }.write(&path("a.mp4"));
    let mut frames = read(&path("a.mp4")).expect("read");
    let mut format = VideoReader::open(&path("a.mp4")).expect("opened").format().clone();
    format.time_base = ffmpeg::Rational(1001, 30000);
    let encoder = VideoEncoder::new(&format, &best()).expect("encoder");
    for (name, rounded) in [("b.mp4", false), ("b.mkv", true)] {
        let mut parts =
            Parts::begin(&Parts::folder_of(&path(name)), &Origin::of(&path("a.mp4"), &encoder).expect("origin"))
                .expect("parts");
        let mut group = encoder.begin().expect("group");
        for (index, frame) in frames.iter_mut().enumerate() {
            frame.time = FrameTime { start: index as i64, duration: 1 };
            group.push(frame).expect("pushed");
        }
        parts.save(&group.finish().expect("finished")).expect("saved");
        let written = write_video(&path("a.mp4"), &path(name), &encoder, &parts, Ending::Input).expect("written");
        assert_eq!(written.rounded, rounded, "{name}");
        let limit = if rounded { 0.000501 } else { 1e-9 };
        for (index, start) in starts(&path(name)).into_iter().enumerate() {
            assert!((start - index as f64 * 1001.0 / 30000.0).abs() < limit, "{name} {index}: {start}");
        }
    }
}
