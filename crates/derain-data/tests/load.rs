//! Loading: every kind of picture gives the right pixels or a clear refusal.
//!
//! The fixtures come from `fixtures/make.py`, which states their pattern.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use derain_data::{Error, LoadOptions, Picture, encode_picture, load_picture, load_picture_from, load_picture_with};
use image::{ColorType, DynamicImage, GenericImageView, ImageFormat};

const WIDTH: u32 = 5;
const HEIGHT: u32 = 4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str) -> Picture {
    load_picture(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn load_bytes(bytes: &[u8]) -> Result<Picture, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture");
    fs::write(&path, bytes).unwrap();
    load_picture(&path)
}

/// Samples in row order, as `formula(x, y, channel)`.
fn samples<T>(channels: u32, formula: impl Fn(u32, u32, u32) -> T) -> Vec<T> {
    let positions = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    positions.flat_map(|(x, y)| (0..channels).map(move |c| (x, y, c))).map(|(x, y, c)| formula(x, y, c)).collect()
}

fn pattern8(channels: u32) -> Vec<u8> {
    samples(channels, |x, y, c| ((40 * x + 10 * y + 60 * c + 7) % 256) as u8)
}

fn pattern16(channels: u32) -> Vec<u8> {
    let values = samples(channels, |x, y, c| ((9000 * x + 1300 * y + 15000 * c + 77) % 65536) as u16);
    values.into_iter().flat_map(u16::to_ne_bytes).collect()
}

#[track_caller]
fn assert_picture(name: &str, color: ColorType, bytes: &[u8]) {
    let image = load(name).image;
    assert_eq!((image.width(), image.height(), image.color()), (WIDTH, HEIGHT, color), "{name}");
    assert_eq!(image.as_bytes(), bytes, "{name}");
}

#[test]
fn depth_grey_and_alpha_are_kept() {
    assert_picture("grey8.png", ColorType::L8, &pattern8(1));
    assert_picture("grey16.png", ColorType::L16, &pattern16(1));
    assert_picture("grey_alpha8.png", ColorType::La8, &pattern8(2));
    assert_picture("grey_alpha16.png", ColorType::La16, &pattern16(2));
    assert_picture("rgb8.png", ColorType::Rgb8, &pattern8(3));
    assert_picture("rgb16.png", ColorType::Rgb16, &pattern16(3));
    assert_picture("rgba8.png", ColorType::Rgba8, &pattern8(4));
    assert_picture("rgba16.png", ColorType::Rgba16, &pattern16(4));
    assert_picture("rgb8.tiff", ColorType::Rgb8, &pattern8(3));
    assert_picture("rgb16.tiff", ColorType::Rgb16, &pattern16(3));
    assert_picture("white_is_zero.tiff", ColorType::L8, &pattern8(1));
    assert_picture("rgb8.bmp", ColorType::Rgb8, &pattern8(3));
    assert_picture("rgb8.webp", ColorType::Rgb8, &pattern8(3));
    assert_picture("rgba8.webp", ColorType::Rgba8, &pattern8(4));
    let float = samples(3, |x, y, c| ((40 * x + 10 * y + 60 * c + 7) % 256) as f32 / 256.0);
    let float: Vec<u8> = float.into_iter().flat_map(f32::to_ne_bytes).collect();
    assert_picture("rgb32f.tiff", ColorType::Rgb32F, &float);
}

#[test]
fn palettes_and_single_bits_are_expanded() {
    let entry = |i: u32| [(40 * i + 7) % 256, (90 * i + 1) % 256, (17 * i + 130) % 256, 16 * i].map(|v| v as u8);
    let index = |x: u32, y: u32| (3 * x + 5 * y) % 16;
    assert_picture("palette.png", ColorType::Rgb8, &samples(3, |x, y, c| entry(index(x, y))[c as usize]));
    assert_picture("palette_alpha.png", ColorType::Rgba8, &samples(4, |x, y, c| entry(index(x, y))[c as usize]));
    let checkers = samples(1, |x, y, _| if (x + y) % 2 == 1 { 255 } else { 0 });
    assert_picture("bilevel.png", ColorType::L8, &checkers);
    assert_picture("bilevel.tiff", ColorType::L8, &checkers);
    // A BMP has no grey but a palette of greys.
    assert_picture("grey8.bmp", ColorType::Rgb8, &samples(3, |x, y, _| pattern8(1)[(y * WIDTH + x) as usize]));
    assert!(matches!(load_picture(fixture("palette.tiff")), Err(Error::Decode { .. })));
}

#[test]
fn netpbm_samples_are_scaled_to_the_full_range() {
    let ten_bits = load_bytes(b"P5 2 1 1023\n\x00\x00\x03\xFF").unwrap().image;
    assert_eq!(ten_bits.to_luma16().into_raw(), [0, 65535]);
    let percent = load_bytes(b"P2 3 1 100 0 50 100").unwrap().image;
    assert_eq!(percent.as_bytes(), [0, 128, 255]);
}

/// The largest difference between a JPEG and the picture that libjpeg made of it.
fn distance(name: &str, oracle: &str) -> u8 {
    let (image, oracle) = (load(name).image, load(oracle).image);
    assert_eq!((image.dimensions(), image.color()), (oracle.dimensions(), oracle.color()), "{name}");
    image.as_bytes().iter().zip(oracle.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn jpegs_agree_with_libjpeg() {
    // Decoders may differ in the rounding of the inverse transform and of the colour conversion.
    assert!(distance("grey.jpg", "grey.pgm") <= 1);
    assert!(distance("rgb.jpg", "rgb.ppm") <= 3);
    assert!(distance("progressive.jpg", "progressive.ppm") <= 4);
    assert!(distance("rgb_420.jpg", "rgb_420.ppm") <= 4);
    assert!(distance("rgb_stored.jpg", "rgb_stored.ppm") <= 1);
    assert!(distance("cmyk.jpg", "cmyk.ppm") <= 2);
    assert!(distance("ycck.jpg", "ycck.ppm") <= 3);
}

#[test]
fn cmyk_tiffs_become_rgb() {
    let inks = pattern8(4);
    let expected: Vec<f32> = inks
        .chunks_exact(4)
        .flat_map(|ink| [0, 1, 2].map(|c| f32::from(255 - ink[c]) * f32::from(255 - ink[3]) / 255.0))
        .collect();
    let image = load("cmyk.tiff").image;
    assert_eq!(image.color(), ColorType::Rgb8);
    assert!(image.as_bytes().iter().zip(expected).all(|(a, b)| (f32::from(*a) - b).abs() <= 1.0));
}

#[test]
fn jpegs_that_do_not_tell_their_colours_are_refused() {
    for name in ["cmyk_unmarked.jpg", "rgb_unmarked.jpg"] {
        assert!(matches!(load_picture(fixture(name)), Err(Error::UnsupportedKind { .. })), "{name}");
    }
}

#[test]
fn animations_are_refused() {
    for name in ["animated.png", "animated.webp"] {
        let error = load_picture(fixture(name)).unwrap_err();
        assert!(error.to_string().contains("an animation, which is not supported"), "{error}");
    }
}

#[test]
fn profiles_are_kept_where_they_fit() {
    assert_eq!(load("profile.png").icc_profile.map(|profile| profile.len()), Some(132));
    assert_eq!(load("profile_cmyk.png").icc_profile, None);
}

/// Where the pixel that is seen at (x, y) is stored, by EXIF 2.32, table 6: value 6 means that the
/// first row of the file is the right side of the scene, and so on.
fn stored_at(orientation: u8, (x, y): (u32, u32), (width, height): (u32, u32)) -> (u32, u32) {
    match orientation {
        1 => (x, y),
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        8 => (width - 1 - y, x),
        _ => unreachable!(),
    }
}

#[track_caller]
fn assert_oriented(stored: &DynamicImage, seen: &DynamicImage, orientation: u8) {
    let (stored, seen) = (stored.to_rgb8(), seen.to_rgb8());
    let (width, height) = stored.dimensions();
    let size = if orientation < 5 { (width, height) } else { (height, width) };
    assert_eq!(seen.dimensions(), size, "orientation {orientation}");
    for (x, y, pixel) in seen.enumerate_pixels() {
        let (i, j) = stored_at(orientation, (x, y), (width, height));
        assert_eq!(pixel, stored.get_pixel(i, j), "orientation {orientation} at {x}, {y}");
    }
}

#[test]
fn a_profile_that_unpacks_to_far_more_than_the_picture_is_left_out() {
    let mut picture = load("rgb8.png");
    let mut profile = vec![0; 128 << 20];
    profile[16..20].copy_from_slice(b"RGB ");
    picture.icc_profile = Some(profile);
    let bytes = encode_picture(&picture, ImageFormat::Png).unwrap();
    assert!(bytes.len() < 1 << 20);
    let loaded = load_bytes(&bytes).unwrap();
    assert!(loaded.image == picture.image && loaded.icc_profile.is_none());
}

/// A TIFF header with one tag, 274.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

#[test]
fn exif_orientation_is_applied_to_jpegs() {
    let plain = fs::read(fixture("rgb.jpg")).unwrap();
    for orientation in 1..=8 {
        let mut segment = b"Exif\0\0".to_vec();
        segment.extend(exif(orientation));
        let length = (segment.len() as u16 + 2).to_be_bytes();
        let bytes = [&plain[..2], &[0xFF, 0xE1], &length, &segment, &plain[2..]].concat();
        assert_oriented(&load("rgb.jpg").image, &load_bytes(&bytes).unwrap().image, orientation);
    }
}

#[test]
fn orientation_is_applied_to_tiffs() {
    let mut bytes = fs::read(fixture("rgb16.tiff")).unwrap();
    let tag = bytes.windows(8).position(|tag| tag == b"\x12\x01\x03\0\x01\0\0\0").unwrap();
    for orientation in 1..=8 {
        bytes[tag + 8] = orientation;
        let seen = load_bytes(&bytes).unwrap().image;
        assert_eq!(seen.color(), ColorType::Rgb16);
        assert_oriented(&load("rgb16.tiff").image, &seen, orientation);
    }
}

/// CRC-32 as PNG has it, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// A PNG chunk: length, kind, content, checksum.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), content].concat();
    [&(content.len() as u32).to_be_bytes(), body.as_slice(), &checksum(&body).to_be_bytes()].concat()
}

#[test]
fn exif_orientation_is_applied_to_pngs_before_and_after_the_pixels() {
    let plain = fs::read(fixture("rgb8.png")).unwrap();
    for orientation in 1..=8 {
        let chunk = chunk(b"eXIf", &exif(orientation));
        for at in [8 + 25, plain.len() - 12] {
            let bytes = [&plain[..at], &chunk, &plain[at..]].concat();
            assert_oriented(&load("rgb8.png").image, &load_bytes(&bytes).unwrap().image, orientation);
        }
    }
}

#[test]
fn nonsense_orientations_leave_the_picture_as_it_is() {
    let plain = fs::read(fixture("rgb.jpg")).unwrap();
    let block = [b"Exif\0\0".as_slice(), &exif(9)].concat();
    let bytes = [&plain[..2], &[0xFF, 0xE1, 0, block.len() as u8 + 2], &block, &plain[2..]].concat();
    assert_eq!(load_bytes(&bytes).unwrap().image, load("rgb.jpg").image);
}

#[test]
fn a_cut_file_is_an_error_or_the_whole_picture() {
    for entry in fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(whole) = load_picture(&path) else { continue };
        let bytes = fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            // What follows the pixels, such as a checksum, may be missing; pixels may not.
            if let Ok(cut) = load_bytes(&bytes[..end]) {
                assert_eq!(cut.image, whole.image, "{} at {end} of {} bytes", path.display(), bytes.len());
            }
        }
    }
}

#[test]
fn half_a_jpeg_is_named_as_cut_short() {
    let bytes = fs::read(fixture("rgb.jpg")).unwrap();
    assert!(matches!(load_bytes(&bytes[..bytes.len() - 2]), Err(Error::Truncated { .. })));
    assert!(matches!(load_bytes(&bytes[..bytes.len() / 2]), Err(Error::Truncated { .. })));
}

#[test]
fn damaged_jpegs_and_raw_photographs_are_refused() {
    let mut jpeg = fs::read(fixture("../scans/baseline.jpg")).unwrap();
    let middle = jpeg.len() / 2;
    jpeg.drain(middle..middle + 512);
    let error = load_bytes(&jpeg).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains("another copy"), "{error}");
    // What raw photographs begin with: the orientation's tag turned into that of a reduced copy.
    let mut tiff = fs::read(fixture("rgb16.tiff")).unwrap();
    let tag = tiff.windows(8).position(|tag| tag == b"\x12\x01\x03\0\x01\0\0\0").unwrap();
    tiff[tag..tag + 2].copy_from_slice(&254_u16.to_le_bytes());
    let error = load_bytes(&tiff).unwrap_err();
    assert!(error.to_string().contains("raw photograph"), "{error}");
    tiff[tag + 8] = 0;
    assert!(load_bytes(&tiff).is_ok(), "the picture itself");
}

#[test]
fn pages_after_the_first_are_counted_unless_they_are_previews() {
    let mut tiff = fs::read(fixture("rgb16.tiff")).unwrap();
    assert_eq!((load("rgb16.tiff").pages, load("rgb16.png").pages), (1, 1));
    let long = |tiff: &[u8], place: usize| u32::from_le_bytes(tiff[place..place + 4].try_into().unwrap()) as usize;
    let first = long(&tiff, 4);
    let link = first + 2 + 12 * usize::from(u16::from_le_bytes(tiff[first..first + 2].try_into().unwrap()));
    assert_eq!(long(&tiff, link), 0);
    // A second page of the same pixels.
    let second = tiff.len();
    tiff.extend_from_within(first..link + 4);
    tiff[link..link + 4].copy_from_slice(&(second as u32).to_le_bytes());
    let picture = load_bytes(&tiff).unwrap();
    assert_eq!((picture.pages, &picture.image), (2, &load("rgb16.tiff").image));
    for (kind, pages) in [(0_u32, 2), (1, 1), (2, 2), (4, 1)] {
        // NewSubfileType, a LONG, in the place of the page's first tag.
        tiff[second + 2..second + 10].copy_from_slice(b"\xfe\0\x04\0\x01\0\0\0");
        tiff[second + 10..second + 14].copy_from_slice(&kind.to_le_bytes());
        assert_eq!(load_bytes(&tiff).unwrap().pages, pages, "kind {kind}");
    }
    // Links that lead nowhere, or round and round, end somewhere.
    let end = tiff.len();
    tiff[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(load_bytes(&tiff).unwrap().pages, 1);
    tiff[end - 4..].copy_from_slice(&(first as u32).to_le_bytes());
    assert_eq!(load_bytes(&tiff).unwrap().pages, 1);
}

#[test]
fn bytes_in_memory_are_read_as_files_are() {
    let options = LoadOptions::default();
    for entry in fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        match (load_picture(&path), load_picture_from(&bytes, &path, &options)) {
            (Ok(file), Ok(memory)) => {
                assert_eq!((&file.image, file.format), (&memory.image, memory.format), "{path:?}");
                assert_eq!((&file.icc_profile, &file.exif), (&memory.icc_profile, &memory.exif), "{path:?}");
            }
            (Err(file), Err(memory)) => assert_eq!(file.to_string(), memory.to_string()),
            other => panic!("{path:?}: {other:?}"),
        }
    }
    let error = load_picture_from(b"rain", "an upload", &options).unwrap_err().to_string();
    assert!(error.starts_with("an upload is not a"), "{error}");
    let bytes = fs::read(fixture("rgb.jpg")).unwrap();
    let limited = |max_bytes| load_picture_from(&bytes, "an upload", &LoadOptions { max_bytes });
    assert!(matches!(limited(1151), Err(Error::TooLarge { bytes: 1152, limit: 1151, .. })));
    assert!(
        matches!(limited(100), Err(Error::TooLarge { limit: 100, bytes: found, .. }) if found == bytes.len() as u64)
    );
}

#[test]
fn the_format_is_known_and_kept() {
    for (name, format) in [("rgb8.png", ImageFormat::Png), ("rgb.jpg", ImageFormat::Jpeg)] {
        let picture = load(name);
        assert_eq!(picture.format, Some(format));
        assert_eq!(picture.with_image(DynamicImage::new_luma8(1, 1)).format, Some(format));
    }
    assert_eq!(Picture::from(DynamicImage::new_luma8(1, 1)).format, None);
}

#[test]
fn flipped_bits_never_panic() {
    // xorshift: a fixed sequence, so a failure comes back.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for entry in fs::read_dir(fixture("")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..60 {
            let mut broken = bytes.clone();
            for _ in 0..1 + random(4) {
                let at = random(broken.len());
                broken[at] = random(256) as u8;
            }
            let _ = load_bytes(&broken);
        }
    }
}

#[test]
fn huge_dimensions_are_refused_at_once() {
    let begun = Instant::now();
    let error = load_picture(fixture("huge.png")).unwrap_err();
    assert!(matches!(error, Error::TooLarge { bytes: 30_000_000_000, .. }), "{error}");
    assert!(matches!(load_bytes(b"P6 1000000 1000000 255\n"), Err(Error::TooLarge { .. })));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn the_limit_counts_decoded_bytes_and_file_bytes() {
    let limited = |name: &str, max_bytes| load_picture_with(fixture(name), &LoadOptions { max_bytes });
    // 24 x 16 x 3 decoded, from a file of fewer bytes.
    assert!(limited("rgb.jpg", 1152).is_ok());
    assert!(matches!(limited("rgb.jpg", 1151), Err(Error::TooLarge { bytes: 1152, limit: 1151, .. })));
    assert!(matches!(limited("rgb.jpg", 100), Err(Error::TooLarge { limit: 100, .. })));
}

#[test]
fn files_that_are_no_pictures_are_named() {
    assert!(matches!(load_bytes(b""), Err(Error::UnknownContent { .. })));
    assert!(matches!(load_bytes(b"rain"), Err(Error::UnknownContent { .. })));
    assert!(matches!(load_bytes(b"GIF89a\x01\0\x01\0\0\0\0"), Err(Error::UnknownContent { .. })));
    assert!(matches!(load_bytes(b"P6 0 0 255\n"), Err(Error::Empty { width: 0, height: 0, .. })));
    assert!(matches!(load_picture(fixture("")), Err(Error::NotAFile { .. })));
    let missing = load_picture(fixture("missing.png")).unwrap_err();
    assert!(missing.to_string().contains("missing.png"), "{missing}");
}

#[test]
fn the_content_decides_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really_a_png.jpg");
    fs::copy(fixture("rgb8.png"), &path).unwrap();
    assert_eq!(load_picture(&path).unwrap().image, load("rgb8.png").image);
}
