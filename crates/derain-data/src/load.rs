//! The one place where picture files are read.
//!
//! The format comes from the content, never from the name. Grey, alpha, 16-bit and 32-bit float
//! samples are kept; palettes and fewer than 8 bits become 8-bit samples; CMYK becomes RGB as
//! (255 − c)(255 − k) / 255. The EXIF orientation is applied, so pixels come out upright.
//!
//! What would come out wrong is refused instead: a JPEG that ends before its last scan or whose coded
//! data are damaged, four-channel JPEGs that do not say how their inks are stored, animations, raw
//! photographs (TIFFs that begin with a thumbnail), pictures over the size limit. Of a TIFF with
//! several pages the first is read; [`Picture::pages`] tells if others are more than previews of it.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::codecs::{bmp::BmpDecoder, jpeg::JpegDecoder, png::PngDecoder};
use image::codecs::{pnm::PnmDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::brief_debug::brief_debug;
use crate::jpeg::{self, Flaw};
use crate::{Error, exif, png, tiff_pages};

/// Compressed chunks, profiles and strips may need this much beyond the pixels themselves.
const DECODER_SLACK: u64 = 64 << 20;

/// A picture as it is seen: upright, with the samples that the file holds.
#[derive(Clone)]
#[non_exhaustive]
pub struct Picture {
    /// The pixels, EXIF orientation applied.
    pub image: DynamicImage,
    /// The ICC profile, where the file has one that fits the pixels: RGB for colour, grey for grey.
    /// A profile of other colours, such as that of a CMYK picture now in RGB, is left out.
    pub icc_profile: Option<Vec<u8>>,
    /// The EXIF block (date, place, camera, settings) of a JPEG, PNG or WebP, from its TIFF header on.
    /// It says that the pixels are upright and links to no thumbnail; other tags are as the camera wrote them.
    pub exif: Option<Vec<u8>>,
    /// The format that the picture was read from, so that an answer can have the same
    /// ([`check_format`](crate::check_format) tells whether it can hold the pixels); `None` where it was not read.
    pub format: Option<ImageFormat>,
    /// How many pictures the file holds, of which this is the first: 1, or the pages of a TIFF without previews and
    /// masks.
    pub pages: usize,
}

brief_debug!(Picture, |picture| {
    size: (picture.image.width(), picture.image.height()),
    color: picture.image.color(),
    icc_profile: picture.icc_profile.as_ref().map(Vec::len),
    exif: picture.exif.as_ref().map(Vec::len),
    format: picture.format,
    pages: picture.pages,
});

impl Picture {
    /// The same picture with other pixels, keeping profile, EXIF and format.
    #[must_use]
    pub fn with_image(self, image: DynamicImage) -> Self {
        Self { image, ..self }
    }
}

impl From<DynamicImage> for Picture {
    fn from(image: DynamicImage) -> Self {
        Self { image, icc_profile: None, exif: None, format: None, pages: 1 }
    }
}

/// How much a file may ask for.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The largest file, and the largest decoded picture, in bytes.
    pub max_bytes: u64,
}

impl Default for LoadOptions {
    /// 2 GiB: 700 megapixels of 8-bit RGB, and below what a desktop holds.
    fn default() -> Self {
        Self { max_bytes: 2 << 30 }
    }
}

/// Reads a picture with the default limits.
///
/// # Errors
/// When the file cannot be read, is no picture, is broken, cut short, too large or of an unsupported kind.
pub fn load_picture(path: impl AsRef<Path>) -> Result<Picture, Error> {
    load_picture_with(path, &LoadOptions::default())
}

/// Reads a picture with the given limits. The header is checked before pixels are decoded.
///
/// # Errors
/// As [`load_picture`].
pub fn load_picture_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Picture, Error> {
    let path = path.as_ref();
    load_picture_from(&read_file(path, options.max_bytes)?, path, options)
}

/// Reads a picture from the content of a file that is in memory already. `name` is what errors call it, as they call a
/// file by its path.
///
/// ```
/// use derain_data::{LoadOptions, Picture, encode_picture, load_picture_from};
/// use image::{DynamicImage, ImageFormat, RgbImage};
///
/// let white = DynamicImage::from(RgbImage::from_pixel(3, 2, image::Rgb([255; 3])));
/// let bytes = encode_picture(&Picture::from(white.clone()), ImageFormat::Png)?;
/// let picture = load_picture_from(&bytes, "an upload", &LoadOptions::default())?;
/// assert_eq!((picture.image, picture.format), (white, Some(ImageFormat::Png)));
/// # Ok::<(), derain_data::Error>(())
/// ```
///
/// # Errors
/// As [`load_picture`], but for those of reading a file.
pub fn load_picture_from(bytes: &[u8], name: impl AsRef<Path>, options: &LoadOptions) -> Result<Picture, Error> {
    let (path, limit) = (name.as_ref(), options.max_bytes);
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), bytes: bytes.len() as u64, limit });
    }
    let format = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(Error::io("read", path))?
        .format()
        .filter(ImageFormat::reading_enabled)
        .ok_or_else(|| Error::UnknownContent { path: path.to_owned() })?;
    let load = Load { path, bytes, max_bytes: limit };
    let picture = match format {
        ImageFormat::Bmp => load.decode(BmpDecoder::new(load.reader())),
        ImageFormat::Jpeg => load.jpeg(),
        ImageFormat::Png => load.png(),
        ImageFormat::Pnm => load.decode(PnmDecoder::new(load.reader())),
        ImageFormat::Tiff if tiff_pages::comes_first(bytes) => Err(load.unsupported(
            "a raw photograph, or a TIFF that begins with a preview (develop it to a TIFF or JPEG first)",
        )),
        ImageFormat::Tiff => load.decode(TiffDecoder::new(load.reader())),
        ImageFormat::WebP => load.webp(),
        _ => Err(Error::UnknownContent { path: path.to_owned() }),
    }?;
    let pages = if format == ImageFormat::Tiff { tiff_pages::count_pictures(bytes) } else { 1 };
    Ok(Picture { format: Some(format), pages, ..picture })
}

/// The whole content of a regular file, or more than `limit` bytes of it; pipes and devices could go on for ever.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let metadata = path.metadata().map_err(Error::io("read", path))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if metadata.len() > limit {
        return Err(Error::TooLarge { path: path.to_owned(), bytes: metadata.len(), limit });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io("open", path))?;
    // The file may grow meanwhile: a byte too many tells.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

struct Load<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    max_bytes: u64,
}

impl<'a> Load<'a> {
    fn reader(&self) -> Cursor<&'a [u8]> {
        Cursor::new(self.bytes)
    }

    fn jpeg(&self) -> Result<Picture, Error> {
        match jpeg::find_flaw(self.bytes, self.max_bytes) {
            Some(Flaw::Truncated) => return Err(Error::Truncated { path: self.path.to_owned() }),
            Some(Flaw::Damaged { row }) => return Err(Error::Damaged { path: self.path.to_owned(), row }),
            Some(Flaw::Unsupported(kind)) => return Err(self.unsupported(kind)),
            None => {}
        }
        self.decode(JpegDecoder::new(self.reader()))
    }

    fn png(&self) -> Result<Picture, Error> {
        // The decoder unpacks profiles and texts before it can be asked for the size.
        let limits = self.limits(png::largest_picture(self.bytes).min(self.max_bytes));
        let decoder = PngDecoder::with_limits(self.reader(), limits).map_err(|e| self.failed(e))?;
        if decoder.is_apng().map_err(|e| self.failed(e))? {
            return Err(self.unsupported("an animation"));
        }
        self.finish(decoder, png::find_exif(self.bytes).map(<[u8]>::to_vec))
    }

    fn webp(&self) -> Result<Picture, Error> {
        let decoder = WebPDecoder::new(self.reader()).map_err(|e| self.failed(e))?;
        if decoder.has_animation() {
            return Err(self.unsupported("an animation"));
        }
        self.finish(decoder, None)
    }

    fn decode<D: ImageDecoder>(&self, decoder: Result<D, ImageError>) -> Result<Picture, Error> {
        self.finish(decoder.map_err(|e| self.failed(e))?, None)
    }

    /// Decodes; `exif` is the block if it is known already.
    fn finish<D: ImageDecoder>(&self, mut decoder: D, exif: Option<Vec<u8>>) -> Result<Picture, Error> {
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::Empty { path: self.path.to_owned(), width, height });
        }
        let bytes = decoder.total_bytes();
        if bytes > self.max_bytes {
            return Err(Error::TooLarge { path: self.path.to_owned(), bytes, limit: self.max_bytes });
        }
        // Metadata that cannot be read leaves a picture that can still be shown.
        let (orientation, exif) = match exif.or_else(|| decoder.exif_metadata().unwrap_or(None)) {
            Some(block) => exif::upright(block),
            // TIFF has a tag of its own.
            None => (decoder.orientation().unwrap_or(Orientation::NoTransforms), None),
        };
        let profile = decoder.icc_profile().unwrap_or(None);
        // After the metadata: the TIFF decoder would hold them to the size of the pixels.
        decoder.set_limits(self.limits(bytes)).map_err(|e| self.failed(e))?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| self.failed(e))?;
        image.apply_orientation(orientation);
        let icc_profile = profile.filter(|profile| profile_fits(profile, &image));
        Ok(Picture { icc_profile, exif, ..Picture::from(image) })
    }

    /// Decoders count the pixels and at most a second copy of them against this.
    fn limits(&self, pixel_bytes: u64) -> Limits {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(pixel_bytes.saturating_mul(2).saturating_add(DECODER_SLACK));
        limits
    }

    fn unsupported(&self, kind: &'static str) -> Error {
        Error::UnsupportedKind { path: self.path.to_owned(), kind }
    }

    fn failed(&self, source: ImageError) -> Error {
        let path = self.path.to_owned();
        match source {
            // The bytes are in memory, so the only way to run out of them is that some are missing.
            ImageError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => Error::Truncated { path },
            source => Error::Decode { path, source },
        }
    }
}

/// Bytes 16..20 of an ICC profile name the colours that it describes (ICC.1:2022, 7.2.8).
fn profile_fits(profile: &[u8], image: &DynamicImage) -> bool {
    let wanted = if image.color().has_color() { b"RGB " } else { b"GRAY" };
    profile.get(16..20) == Some(wanted)
}
