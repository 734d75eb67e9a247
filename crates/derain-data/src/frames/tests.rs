//! Folders and YUV4MPEG2 files, whole, chosen from and broken.

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

use super::{FrameOptions, FrameSource, Y4mWriter, open_frames};
use crate::{Error, Picture, save_picture};

fn flat(level: u8) -> RgbImage {
    RgbImage::from_pixel(3, 2, Rgb([level; 3]))
}

fn save(path: &Path, image: impl Into<DynamicImage>) {
    save_picture(path, &Picture::from(image.into())).expect("save");
}

/// The first sample of every frame.
fn levels(path: &Path, options: &FrameOptions) -> Result<Vec<u8>, Error> {
    let mut frames = open_frames(path, options)?;
    let mut found = Vec::new();
    while let Some(frame) = frames.next_frame()? {
        assert_eq!(frame.dimensions(), frames.size());
        found.push(frame.as_raw()[0]);
    }
    assert_eq!(frames.expected(), Some(found.len()));
    Ok(found)
}

fn all() -> FrameOptions {
    FrameOptions::default()
}

fn some(start: usize, stride: usize, length: Option<usize>) -> FrameOptions {
    FrameOptions { start, stride, length }
}

fn y4m(folder: &Path, content: &[u8]) -> std::path::PathBuf {
    let path = folder.join("clip.y4m");
    fs::write(&path, content).expect("write");
    path
}

#[test]
fn a_folder_in_natural_order() {
    let folder = tempfile::tempdir().expect("folder");
    for number in 0..12 {
        save(&folder.path().join(format!("frame{number}.png")), flat(number));
    }
    fs::write(folder.path().join("notes.txt"), "no picture").expect("write");
    fs::create_dir(folder.path().join("results.png")).expect("folder");
    save(&folder.path().join("results.png/0.png"), flat(99));
    assert_eq!(levels(folder.path(), &all()).expect("frames"), (0..12).collect::<Vec<u8>>());
    assert_eq!(levels(folder.path(), &some(2, 4, None)).expect("frames"), [2, 6, 10]);
    assert_eq!(levels(folder.path(), &some(2, 4, Some(2))).expect("frames"), [2, 6]);
    let error = levels(folder.path(), &some(12, 1, None)).expect_err("too late");
    assert!(matches!(error, Error::NoFrames { start: 12, available: 12, .. }), "{error}");
}

#[test]
fn an_empty_folder_and_senseless_options() {
    let folder = tempfile::tempdir().expect("folder");
    assert!(matches!(levels(folder.path(), &all()), Err(Error::NotFrames { .. })));
    assert!(matches!(levels(folder.path(), &some(0, 0, None)), Err(Error::InvalidOption { option: "stride", .. })));
    assert!(matches!(levels(folder.path(), &some(0, 1, Some(0))), Err(Error::InvalidOption { option: "length", .. })));
    assert!(matches!(levels(&folder.path().join("none"), &all()), Err(Error::Io { .. })));
    let single = folder.path().join("single.png");
    save(&single, flat(1));
    let error = levels(&single, &all()).expect_err("one picture");
    assert!(error.to_string().contains("folder"), "{error}");
}

#[test]
fn a_frame_of_another_size_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    save(&folder.path().join("1.png"), flat(1));
    save(&folder.path().join("2.png"), RgbImage::new(2, 3));
    let message = levels(folder.path(), &all()).expect_err("mixed").to_string();
    assert!(message.contains("2.png") && message.contains("2x3") && message.contains("3x2"), "{message}");
}

/// Whatever else is decoded at once with it.
#[test]
fn a_damaged_frame_fails_at_its_place() {
    let folder = tempfile::tempdir().expect("folder");
    for number in 0..40 {
        save(&folder.path().join(format!("{number}.png")), flat(number));
    }
    fs::write(folder.path().join("22.png"), "no picture").expect("write");
    let mut frames = open_frames(folder.path(), &all()).expect("frames");
    for number in 0..40 {
        match frames.next_frame() {
            Ok(frame) => assert_eq!(frame.expect("a frame").as_raw()[0], number),
            Err(error) => assert!(number == 22 && error.to_string().contains("22.png"), "{number}: {error}"),
        }
    }
    assert!(frames.next_frame().expect("the end").is_none());
}

/// The first frame says what the others likely take; what takes more is decoded by itself, in its place.
#[test]
fn frames_of_more_bytes_than_the_first_come_in_order() {
    let folder = tempfile::tempdir().expect("folder");
    let side = 650;
    for number in 0..12u8 {
        let image = match number % 3 {
            0 => DynamicImage::from(RgbImage::from_pixel(side, side, Rgb([number; 3]))),
            _ => DynamicImage::from(ImageBuffer::from_pixel(side, side, Rgb([257 * u16::from(number); 3]))),
        };
        save(&folder.path().join(format!("{number}.png")), image);
    }
    assert_eq!(levels(folder.path(), &all()).expect("frames"), (0..12).collect::<Vec<u8>>());
}

#[test]
fn pictures_become_8_bit_rgb_only_where_that_is_exact() {
    let sixteen = |level: u16| DynamicImage::from(ImageBuffer::from_pixel(3, 2, Luma([level])));
    let alpha = |alpha: u8| DynamicImage::from(ImageBuffer::from_pixel(3, 2, Rgba([8, 8, 8, alpha])));
    let grey_alpha = DynamicImage::from(ImageBuffer::from_pixel(3, 2, LumaA([9u16 * 257, u16::MAX])));
    for (image, wanted) in [
        (DynamicImage::from(ImageBuffer::from_pixel(3, 2, Luma([5u8]))), Some(5)),
        (sixteen(7 * 257), Some(7)),
        (sixteen(7 * 257 + 1), None),
        (alpha(255), Some(8)),
        (alpha(254), None),
        (grey_alpha, Some(9)),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        save(&folder.path().join("1.png"), image);
        match (levels(folder.path(), &all()), wanted) {
            (Ok(found), Some(wanted)) => assert_eq!(found, [wanted]),
            (Err(Error::InexactFrame { .. }), None) => {}
            (other, wanted) => panic!("{other:?}, wanted {wanted:?}"),
        }
    }
}

#[test]
fn what_points_to_a_source_is_one() {
    fn count(mut source: impl FrameSource) -> (usize, (u32, u32), Option<usize>) {
        let mut frames = 0;
        while source.next_frame().expect("frame").is_some() {
            frames += 1;
        }
        (frames, source.size(), source.expected())
    }
    let folder = tempfile::tempdir().expect("folder");
    for number in 0..3 {
        save(&folder.path().join(format!("{number}.png")), flat(number));
    }
    let open = || open_frames(folder.path(), &all()).expect("open");
    assert_eq!(count(open()), (3, (3, 2), Some(3)));
    let mut source = open();
    assert_eq!(count(&mut source), (3, (3, 2), Some(3)));
    let pointer: &mut dyn FrameSource = &mut source;
    assert_eq!(count(pointer), (0, (3, 2), Some(3)), "they have been read");
}

#[test]
fn a_y4m_file_comes_back() {
    let folder = tempfile::tempdir().expect("folder");
    for (size, rate) in [((0, 5), [25, 1]), ((7, 0), [25, 1]), ((7, 5), [0, 1]), ((7, 5), [25, 0])] {
        assert!(Y4mWriter::with_frame_rate(Vec::new(), size.0, size.1, rate).is_err(), "{size:?} {rate:?}");
    }
    let mut writer = Y4mWriter::new(Vec::new(), 7, 5).expect("header");
    let frames: Vec<RgbImage> = (0..6u32)
        .map(|frame| {
            RgbImage::from_fn(7, 5, |x, y| {
                Rgb([x * 36 + frame, y * 60 + frame, (x * y * 7 + frame * 31) % 256].map(|value| value as u8))
            })
        })
        .collect();
    for frame in &frames {
        // A buffer may be longer than its pixels.
        let longer = RgbImage::from_raw(7, 5, [frame.as_raw().as_slice(), &[9; 30]].concat()).expect("long enough");
        writer.write(&longer).expect("frame");
    }
    assert!(writer.write(&flat(0)).is_err());
    assert_eq!(format!("{writer:?}"), "Y4mWriter { size: (7, 5), .. }");
    let path = y4m(folder.path(), &writer.into_inner());
    let mut source = open_frames(&path, &some(1, 2, None)).expect("open");
    assert_eq!((source.size(), source.expected()), ((7, 5), Some(3)));
    for wanted in frames.iter().skip(1).step_by(2) {
        let found = source.next_frame().expect("frame").expect("frame");
        let differences = found.as_raw().iter().zip(wanted.as_raw()).map(|(a, b)| a.abs_diff(*b));
        assert!(differences.max() <= Some(2));
    }
    assert!(source.next_frame().expect("end").is_none());
}

#[test]
fn y4m_by_hand() {
    let folder = tempfile::tempdir().expect("folder");
    // Limited range: 16 is black, 235 white; a frame line may carry parameters.
    let path = y4m(folder.path(), b"YUV4MPEG2 W2 H1 Cmono\nFRAME\n\x10\xebFRAME Ip\n\xeb\x10");
    assert_eq!(levels(&path, &all()).expect("frames"), [0, 255]);
    let path = y4m(folder.path(), b"YUV4MPEG2 W2 H1 Cmono XCOLORRANGE=FULL\nFRAME\n\x10\xeb");
    assert_eq!(levels(&path, &all()).expect("frames"), [16]);
    // 4:2:0 with odd sides: chroma is 2x2. Limited-range red is (81, 90, 240).
    let mut content = b"YUV4MPEG2 W3 H3 C420mpeg2\nFRAME\n".to_vec();
    content.extend([[81; 9].as_slice(), &[90; 4], &[240; 4]].concat());
    let path = y4m(folder.path(), &content);
    let frame = open_frames(&path, &all()).expect("open").next_frame().expect("frame").expect("frame");
    for pixel in frame.pixels() {
        assert_eq!(pixel.0, [254, 0, 0]);
    }
    // The content tells, not the name.
    let renamed = folder.path().join("clip.mp4");
    fs::copy(&path, &renamed).expect("copy");
    assert!(open_frames(&renamed, &all()).is_ok());
}

#[test]
fn broken_y4m_files_give_their_whole_frames_and_then_an_error() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd".to_vec();
    for cut in 1..8 {
        let path = y4m(folder.path(), &whole[..whole.len() - cut]);
        let mut frames = open_frames(&path, &all()).expect("open");
        assert_eq!(frames.expected(), Some(2));
        assert!(frames.next_frame().expect("first").is_some());
        let error = frames.next_frame().expect_err("cut");
        assert!(matches!(error, Error::BrokenStream { frame: 1, .. }), "cut {cut}: {error}");
        assert!(error.to_string().contains("read only the frames before it"), "{error}");
        // The frames before can be had by asking for them only.
        assert_eq!(levels(&path, &some(0, 1, Some(1))).expect("first").len(), 1);
    }
    let path = y4m(folder.path(), b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabJUNK!\ncd");
    let mut frames = open_frames(&path, &all()).expect("open");
    assert!(frames.next_frame().expect("first").is_some());
    assert!(matches!(frames.next_frame(), Err(Error::BrokenStream { frame: 1, .. })));
    let path = y4m(folder.path(), b"YUV4MPEG2 W2 H1 Cmono\n");
    assert!(matches!(levels(&path, &all()), Err(Error::NoFrames { available: 0, .. })));
}

#[test]
fn hostile_y4m_headers_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().expect("folder");
    let path = y4m(folder.path(), b"YUV4MPEG2 W4294967295 H4294967295 C444\nFRAME\n");
    assert!(matches!(levels(&path, &all()), Err(Error::TooLarge { .. })));
    let path = y4m(folder.path(), b"YUV4MPEG2 W20000 H20000 C444\nFRAME\n");
    assert!(matches!(levels(&path, &all()), Err(Error::BrokenStream { frame: 0, .. })));
    let mut endless = b"YUV4MPEG2 W2 H2 X".to_vec();
    endless.resize(100_000, b'x');
    let path = y4m(folder.path(), &endless);
    assert!(matches!(levels(&path, &all()), Err(Error::BrokenStream { .. })));
    let path = y4m(folder.path(), b"");
    assert!(matches!(levels(&path, &all()), Err(Error::BrokenStream { .. })));
}
