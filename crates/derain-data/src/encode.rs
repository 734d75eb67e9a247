//! Pictures to bytes and files, in the format that the file name asks for.
//!
//! | format | holds | profile | EXIF |
//! | --- | --- | --- | --- |
//! | PNG | grey and RGB, alpha, 8 and 16 bits | kept | kept |
//! | TIFF | grey 8 and 16 bits, RGB and RGBA 8, 16 and 32 bits | kept | left out |
//! | WebP (lossless) | 8 bits, alpha; grey reads back as RGB | kept | kept |
//! | JPEG (quality 95) | grey and RGB; deeper samples are rounded to its 8 bits | kept | kept up to 64 kB |
//! | BMP | 8-bit grey, RGB, RGBA | left out | left out |
//! | PGM and PPM (`.pgm`, `.ppm`, `.pnm`) | grey as P5, RGB as P6, 8 and 16 bits | left out | left out |
//!
//! Anything else is [`Error::CannotHold`]: alpha and depth are never dropped without a word. JPEG's
//! depth is the one exception, because whoever asks for JPEG asks for 8 lossy bits.

use std::io::Cursor;
use std::path::Path;

use image::codecs::bmp::BmpEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::error::ImageError;
use image::{ColorType, DynamicImage, ImageEncoder, ImageFormat};

use crate::pixels::pixels_of_any;
use crate::{Error, Picture, netpbm, write_durably};

/// A JPEG segment's 65,535 bytes, less its length and what stands before the EXIF block.
const JPEG_EXIF_MAX: usize = 65_535 - 2 - 6;

/// Close to invisible loss, at about a third of the bytes of quality 100.
const JPEG_QUALITY: u8 = 95;

/// The format that a file name asks for by its extension, in either case.
///
/// # Errors
/// [`Error::UnknownExtension`] for names without one that can be written.
pub fn output_format(path: impl AsRef<Path>) -> Result<ImageFormat, Error> {
    let path = path.as_ref();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => Ok(ImageFormat::Png),
        "jpg" | "jpeg" => Ok(ImageFormat::Jpeg),
        "tif" | "tiff" => Ok(ImageFormat::Tiff),
        "webp" => Ok(ImageFormat::WebP),
        "bmp" => Ok(ImageFormat::Bmp),
        "ppm" | "pgm" | "pnm" => Ok(ImageFormat::Pnm),
        _ => Err(Error::UnknownExtension { path: path.to_owned() }),
    }
}

/// Whether a format can hold a picture with such samples ([the module's table](self)); worth asking before the picture
/// is computed.
///
/// # Errors
/// [`Error::CannotHold`] if alpha or depth would be lost.
pub fn check_format(format: ImageFormat, color: ColorType) -> Result<(), Error> {
    use ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgb32F, Rgba8, Rgba16, Rgba32F};
    let holds = match format {
        ImageFormat::Png => matches!(color, L8 | L16 | La8 | La16 | Rgb8 | Rgb16 | Rgba8 | Rgba16),
        ImageFormat::Jpeg => matches!(color, L8 | L16 | Rgb8 | Rgb16 | Rgb32F),
        ImageFormat::Tiff => matches!(color, L8 | L16 | Rgb8 | Rgb16 | Rgb32F | Rgba8 | Rgba16 | Rgba32F),
        ImageFormat::WebP => matches!(color, L8 | La8 | Rgb8 | Rgba8),
        ImageFormat::Bmp => matches!(color, L8 | Rgb8 | Rgba8),
        ImageFormat::Pnm => matches!(color, L8 | L16 | Rgb8 | Rgb16),
        _ => false,
    };
    if holds { Ok(()) } else { Err(Error::CannotHold { format, color }) }
}

/// Encodes a picture; [the module's table](self) says what each format holds.
///
/// # Errors
/// [`Error::CannotHold`] if alpha or depth would be lost, [`Error::NoPixels`], [`Error::Encode`] if the encoder fails, for
/// instance on a JPEG of more than 65535 rows.
pub fn encode_picture(picture: &Picture, format: ImageFormat) -> Result<Vec<u8>, Error> {
    check_format(format, picture.image.color())?;
    let (width, height) = (picture.image.width(), picture.image.height());
    if width == 0 || height == 0 {
        return Err(Error::NoPixels { width, height });
    }
    let eight_bits;
    let image = match format {
        ImageFormat::Jpeg => {
            eight_bits = without_depth(&picture.image);
            eight_bits.as_ref().unwrap_or(&picture.image)
        }
        _ => &picture.image,
    };
    let profile = picture.icc_profile.as_deref();
    let exif = picture.exif.as_deref();
    let short_exif = exif.filter(|exif| exif.len() <= JPEG_EXIF_MAX);
    let mut bytes = Vec::new();
    let out = Cursor::new(&mut bytes);
    let written = match format {
        ImageFormat::Png => write(
            PngEncoder::new_with_quality(out, CompressionType::Default, FilterType::Adaptive),
            image,
            profile,
            exif,
        ),
        ImageFormat::Jpeg => write(JpegEncoder::new_with_quality(out, JPEG_QUALITY), image, profile, short_exif),
        ImageFormat::Tiff => write(TiffEncoder::new(out), image, profile, None),
        ImageFormat::WebP => write(WebPEncoder::new_lossless(out), image, profile, exif),
        ImageFormat::Bmp => write(BmpEncoder::new(&mut bytes), image, None, None),
        _ => {
            bytes = netpbm::encode(image);
            Ok(())
        }
    };
    written.map_err(|source| Error::Encode { format, source })?;
    Ok(bytes)
}

/// Encodes a picture as its file name asks and writes it with [`write_durably`].
///
/// # Errors
/// Those of [`output_format`], [`encode_picture`] and [`write_durably`].
pub fn save_picture(path: impl AsRef<Path>, picture: &Picture) -> Result<(), Error> {
    let path = path.as_ref();
    write_durably(path, &encode_picture(picture, output_format(path)?)?)
}

fn write(
    mut encoder: impl ImageEncoder,
    image: &DynamicImage,
    profile: Option<&[u8]>,
    exif: Option<&[u8]>,
) -> Result<(), ImageError> {
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.to_vec()).map_err(ImageError::Unsupported)?;
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif.to_vec()).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(pixels_of_any(image), image.width(), image.height(), image.color().into())
}

/// An opaque picture of more than 8 bits, rounded to 8.
fn without_depth(image: &DynamicImage) -> Option<DynamicImage> {
    match image.color() {
        ColorType::L16 => Some(image.to_luma8().into()),
        ColorType::Rgb16 | ColorType::Rgb32F => Some(image.to_rgb8().into()),
        _ => None,
    }
}
