//! Encoding: what a format holds comes back unchanged, what it does not is refused.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::Path;

use derain_data::{Error, Picture, encode_picture, load_picture, output_format, save_picture};
use image::{ColorType, DynamicImage, ImageFormat};

const COLORS: [ColorType; 10] = [
    ColorType::L8,
    ColorType::La8,
    ColorType::Rgb8,
    ColorType::Rgba8,
    ColorType::L16,
    ColorType::La16,
    ColorType::Rgb16,
    ColorType::Rgba16,
    ColorType::Rgb32F,
    ColorType::Rgba32F,
];

/// A 7 x 3 picture whose samples all differ.
fn picture(color: ColorType) -> DynamicImage {
    let mut image = DynamicImage::new(7, 3, color);
    match &mut image {
        DynamicImage::ImageRgb32F(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as f32 / 64.0),
        DynamicImage::ImageRgba32F(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as f32 / 84.0),
        DynamicImage::ImageLuma16(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u16 * 777),
        DynamicImage::ImageLumaA16(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u16 * 777),
        DynamicImage::ImageRgb16(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u16 * 777),
        DynamicImage::ImageRgba16(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u16 * 777),
        DynamicImage::ImageLuma8(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8 * 3),
        DynamicImage::ImageLumaA8(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8 * 3),
        DynamicImage::ImageRgb8(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8 * 3),
        DynamicImage::ImageRgba8(image) => image.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8 * 3),
        _ => unreachable!(),
    }
    image
}

/// Saves under `name` and loads again.
fn round_trip(name: &str, picture: &Picture) -> Result<Picture, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    match save_picture(&path, picture) {
        Ok(()) => Ok(load_picture(path).unwrap()),
        Err(error) => {
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
            Err(error)
        }
    }
}

#[test]
fn lossless_formats_keep_every_sample_or_refuse() {
    // BMP and WebP have no grey of their own, but the values are the same.
    let comparable = |name: &str, image: DynamicImage| match name {
        "a.webp" | "a.bmp" => image.into_rgba8().into(),
        _ => image,
    };
    let is_kept = |name: &str, color| match round_trip(name, &picture(color).into()) {
        Ok(loaded) => {
            assert_eq!(comparable(name, loaded.image), comparable(name, picture(color)), "{name} {color:?}");
            true
        }
        Err(Error::CannotHold { .. }) => false,
        Err(error) => panic!("{name} {color:?}: {error}"),
    };
    let kept = |name| -> Vec<ColorType> { COLORS.into_iter().filter(|&color| is_kept(name, color)).collect() };
    use ColorType::{L8, L16, La8, Rgb8, Rgb16, Rgb32F, Rgba8, Rgba16, Rgba32F};
    assert_eq!(kept("a.png"), COLORS[..8]);
    assert_eq!(kept("a.tif"), [L8, Rgb8, Rgba8, L16, Rgb16, Rgba16, Rgb32F, Rgba32F]);
    assert_eq!(kept("a.webp"), [L8, La8, Rgb8, Rgba8]);
    assert_eq!(kept("a.bmp"), [L8, Rgb8, Rgba8]);
    assert_eq!(kept("a.ppm"), [L8, Rgb8, L16, Rgb16]);
}

#[test]
fn jpeg_rounds_depth_and_refuses_alpha() {
    for (color, expected) in [
        (ColorType::L8, Some(ColorType::L8)),
        (ColorType::L16, Some(ColorType::L8)),
        (ColorType::Rgb8, Some(ColorType::Rgb8)),
        (ColorType::Rgb16, Some(ColorType::Rgb8)),
        (ColorType::Rgb32F, Some(ColorType::Rgb8)),
        (ColorType::La8, None),
        (ColorType::Rgba8, None),
        (ColorType::Rgba16, None),
    ] {
        match round_trip("a.jpeg", &picture(color).into()) {
            Ok(loaded) => assert_eq!(Some(loaded.image.color()), expected),
            Err(Error::CannotHold { format: ImageFormat::Jpeg, .. }) => assert_eq!(expected, None),
            Err(error) => panic!("{color:?}: {error}"),
        }
    }
    // A flat picture survives quality 95; 300/65535 is nearest to 1/255.
    let flat = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(16, 16, image::Luma([300])));
    assert!(round_trip("a.jpg", &flat.into()).unwrap().image.as_bytes().iter().all(|&v| v == 1));
}

#[test]
fn profiles_travel_where_the_format_has_a_place_for_them() {
    // A header with the fields that are read: colour space, and the signature at 36.
    let mut profile = vec![0; 70_000]; // more than one JPEG segment
    profile[16..20].copy_from_slice(b"RGB ");
    profile[36..40].copy_from_slice(b"acsp");
    let mut with_profile = Picture::from(picture(ColorType::Rgb8));
    with_profile.icc_profile = Some(profile.clone());
    for name in ["a.png", "a.jpg", "a.tiff", "a.webp"] {
        assert!(round_trip(name, &with_profile).unwrap().icc_profile.as_ref() == Some(&profile), "{name}");
    }
    for name in ["a.bmp", "a.ppm"] {
        assert_eq!(round_trip(name, &with_profile).unwrap().icc_profile, None, "{name}");
    }
    let other = with_profile.with_image(picture(ColorType::Rgb16));
    assert!((other.image.color(), other.icc_profile) == (ColorType::Rgb16, Some(profile)));
}

#[test]
fn exif_travels_where_the_format_has_a_place_for_it() {
    // One tag, the date at 26, and no thumbnail.
    let block = b"II*\0\x08\0\0\0\x01\0\x32\x01\x02\0\x14\0\0\0\x1A\0\0\0\0\0\0\x002026:11:26 09:30:00\0";
    let mut with_exif = Picture::from(picture(ColorType::Rgb8));
    for length in [block.len(), 65_527, 65_528] {
        let mut block = block.to_vec();
        block.resize(length, 7); // a note of the maker's
        with_exif.exif = Some(block.clone());
        for name in ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp", "a.ppm"] {
            let has_place = matches!(name, "a.png" | "a.webp") || name == "a.jpg" && length <= 65_527;
            let expected = has_place.then_some(&block);
            assert!(round_trip(name, &with_exif).unwrap().exif.as_ref() == expected, "{name}, {length} bytes");
        }
    }
}

#[test]
fn the_name_decides_the_format() {
    assert_eq!(output_format("a.PNG").unwrap(), ImageFormat::Png);
    assert_eq!(output_format("b/c.d.JpEg").unwrap(), ImageFormat::Jpeg);
    for name in ["a", "a.gif", "a.pbm", ".png", "png", "a.png/.."] {
        assert!(matches!(output_format(name), Err(Error::UnknownExtension { .. })), "{name}");
    }
}

#[test]
fn what_an_encoder_cannot_do_is_an_error() {
    let wide = DynamicImage::new_luma8(70_000, 1);
    assert!(matches!(encode_picture(&wide.clone().into(), ImageFormat::Jpeg), Err(Error::Encode { .. })));
    assert!(matches!(encode_picture(&wide.clone().into(), ImageFormat::WebP), Err(Error::Encode { .. })));
    assert!(encode_picture(&wide.into(), ImageFormat::Png).is_ok());
    let picture = Picture::from(picture(ColorType::Rgb8));
    assert!(matches!(encode_picture(&picture, ImageFormat::Gif), Err(Error::CannotHold { .. })));
    let error = save_picture(Path::new("/nonexistent/folder/a.png"), &picture).unwrap_err();
    assert_eq!(error.to_string(), "cannot write /nonexistent/folder/a.png");
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("No such file") || cfg!(not(unix)), "{reason}");
}

/// `ImageBuffer::from_raw` takes a buffer that is longer than its pixels.
#[test]
fn only_pixels_of_a_longer_buffer_are_written() {
    let bytes: Vec<u8> = (0..200).collect();
    let pixels = image::RgbImage::from_raw(7, 3, bytes[..63].to_vec()).unwrap();
    let longer = image::RgbImage::from_raw(7, 3, bytes).unwrap();
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Pnm]
    {
        let [longer, pixels] = [&longer, &pixels]
            .map(|image| encode_picture(&Picture::from(DynamicImage::from(image.clone())), format).unwrap());
        assert_eq!(longer, pixels, "{format:?}");
    }
}

#[test]
fn pictures_without_pixels_are_refused() {
    let empty = Picture::from(DynamicImage::new(0, 4, ColorType::Rgb8));
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Pnm]
    {
        assert!(matches!(encode_picture(&empty, format), Err(Error::NoPixels { width: 0, height: 4 })), "{format:?}");
    }
}
