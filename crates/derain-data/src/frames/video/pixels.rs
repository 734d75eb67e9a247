//! A decoded frame to RGB.
//!
//! The usual planar formats of 8 to 12 bits are converted here, exactly as the stream describes
//! them. FFmpeg's scaler, which does not ask for matrix and range, only repacks the rest: RGB of any
//! layout to RGB, YCbCr of any layout to planes.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::{Range as ColorRange, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{Context as Scaler, Flags};
use ffmpeg_next::util::chroma::Location;
use image::RgbImage;

use crate::frames::colour::{Encoding, Matrix, Plane, Range, Siting, to_rgb as planes_to_rgb};

/// Where streams do not name their matrix, video of at least this many lines is taken for BT.709.
const HD_LINES: u32 = 720;

/// What the names of RGB formats begin with, palettes and black-and-white among them.
const RGB_NAMES: [&str; 10] = ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2", "pal", "mono"];

/// Says what is wrong where it cannot be done.
pub(super) fn to_rgb(frame: &ffmpeg::frame::Video) -> Result<RgbImage, String> {
    let format = frame.format();
    // A negative distance between rows, of pictures stored upside down, arrives as a huge one.
    let upright = (0..frame.planes()).all(|plane| i32::try_from(frame.stride(plane)).is_ok());
    if let Some(layout) = Layout::of(format).filter(|_| upright) {
        return convert(frame, layout, range_of(frame, format));
    }
    let name = format.descriptor().map_or("an unknown format", |descriptor| descriptor.name());
    if ["xyz", "bayer"].iter().any(|kind| name.starts_with(kind)) {
        return Err(format!("its pixels are {name}: convert it to 8-bit YUV or RGB"));
    }
    if RGB_NAMES.iter().any(|kind| name.starts_with(kind)) {
        let packed = repack(frame, Pixel::RGB24, name)?;
        return rows_of(&packed).ok_or_else(|| short(name));
    }
    // The scaler knows these as full range, and makes limited range of them.
    let full_by_name = ["yuvj", "gray", "ya"].iter().any(|kind| name.starts_with(kind));
    let range = if full_by_name { Range::Limited } else { range_of(frame, format) };
    let planes = repack(frame, Pixel::YUV444P, name)?;
    let layout = Layout { bits: 8, across: Subsampling::None, down: Subsampling::None, chroma: true };
    convert_as(&planes, frame, layout, range)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subsampling {
    None,
    Half,
}

/// Planar formats that need no repacking.
#[derive(Clone, Copy)]
struct Layout {
    bits: u32,
    across: Subsampling,
    down: Subsampling,
    chroma: bool,
}

impl Layout {
    fn of(format: Pixel) -> Option<Self> {
        use Subsampling::{Half, None as Every};
        let (bits, across, down, chroma) = match format {
            Pixel::YUV420P | Pixel::YUVJ420P => (8, Half, Half, true),
            Pixel::YUV422P | Pixel::YUVJ422P => (8, Half, Every, true),
            Pixel::YUV444P | Pixel::YUVJ444P => (8, Every, Every, true),
            Pixel::GRAY8 => (8, Every, Every, false),
            Pixel::YUV420P10LE => (10, Half, Half, true),
            Pixel::YUV422P10LE => (10, Half, Every, true),
            Pixel::YUV444P10LE => (10, Every, Every, true),
            Pixel::GRAY10LE => (10, Every, Every, false),
            Pixel::YUV420P12LE => (12, Half, Half, true),
            Pixel::YUV422P12LE => (12, Half, Every, true),
            Pixel::YUV444P12LE => (12, Every, Every, true),
            Pixel::GRAY12LE => (12, Every, Every, false),
            _ => return None,
        };
        Some(Self { bits, across, down, chroma })
    }
}

fn convert(frame: &ffmpeg::frame::Video, layout: Layout, range: Range) -> Result<RgbImage, String> {
    convert_as(frame, frame, layout, range)
}

/// Converts `planes`, which are those of `frame` or repacked from them.
fn convert_as(
    planes: &ffmpeg::frame::Video,
    frame: &ffmpeg::frame::Video,
    layout: Layout,
    range: Range,
) -> Result<RgbImage, String> {
    let (across, down) = sitings(frame, layout);
    let encoding = Encoding { matrix: matrix_of(frame)?, range, bits: layout.bits, across, down };
    let needed = if layout.chroma { 3 } else { 1 };
    let missing = || short("planes");
    if planes.planes() < needed {
        return Err(missing());
    }
    let plane = |index| Plane { bytes: planes.data(index), stride: planes.stride(index) };
    let chroma = layout.chroma.then(|| [plane(1), plane(2)]);
    planes_to_rgb((frame.width(), frame.height()), plane(0), chroma, &encoding).ok_or_else(missing)
}

fn short(what: &str) -> String {
    format!("the decoder gave incomplete {what}")
}

/// Where chroma lies: as stated, else as the format's standards have it.
fn sitings(frame: &ffmpeg::frame::Video, layout: Layout) -> (Siting, Siting) {
    let (left, top) = match frame.chroma_location() {
        Location::Left | Location::BottomLeft => (true, false),
        Location::TopLeft => (true, true),
        Location::Top => (false, true),
        Location::Center | Location::Bottom => (false, false),
        // JPEG has it in the middle, MPEG-2 and what followed at the left.
        Location::Unspecified => (!is_jpeg(frame.format()), false),
    };
    let siting = |subsampling, first| match (subsampling, first) {
        (Subsampling::None, _) => Siting::Every,
        (Subsampling::Half, true) => Siting::First,
        (Subsampling::Half, false) => Siting::Between,
    };
    (siting(layout.across, left), siting(layout.down, top))
}

/// Whether it is one of JPEG's formats, in which full-range H.264 comes as well.
fn is_jpeg(format: Pixel) -> bool {
    matches!(format, Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P)
}

/// The matrix with which frames like this one are to be written again: that with which it is read, BT.601 or BT.709 for
/// RGB.
pub(super) fn space_to_write(frame: &ffmpeg::frame::Video) -> Space {
    match frame.color_space() {
        space @ (Space::BT709
        | Space::BT470BG
        | Space::SMPTE170M
        | Space::FCC
        | Space::SMPTE240M
        | Space::BT2020NCL) => space,
        _ if frame.height() < HD_LINES => Space::SMPTE170M,
        _ => Space::BT709,
    }
}

/// The range with which frames like this one are to be written again.
pub(super) fn range_to_write(frame: &ffmpeg::frame::Video) -> Range {
    let format = frame.format();
    let name = format.descriptor().map_or("", |descriptor| descriptor.name());
    // RGB's full range is that of its own samples.
    if RGB_NAMES.iter().any(|kind| name.starts_with(kind)) { Range::Limited } else { range_of(frame, format) }
}

/// The weights of a matrix that [`space_to_write`] names.
pub(in crate::frames) fn matrix(space: Space) -> Matrix {
    match space {
        Space::BT709 => Matrix::BT709,
        Space::FCC => Matrix::FCC,
        Space::SMPTE240M => Matrix::SMPTE240,
        Space::BT2020NCL => Matrix::BT2020,
        _ => Matrix::BT601,
    }
}

fn range_of(frame: &ffmpeg::frame::Video, format: Pixel) -> Range {
    let grey = matches!(format, Pixel::GRAY8 | Pixel::GRAY10LE | Pixel::GRAY12LE);
    match frame.color_range() {
        _ if is_jpeg(format) => Range::Full,
        ColorRange::JPEG => Range::Full,
        ColorRange::MPEG => Range::Limited,
        // FFmpeg's grey formats use all values unless they say otherwise.
        ColorRange::Unspecified => {
            if grey {
                Range::Full
            } else {
                Range::Limited
            }
        }
    }
}

fn matrix_of(frame: &ffmpeg::frame::Video) -> Result<Matrix, String> {
    match frame.color_space() {
        Space::BT709 => Ok(Matrix::BT709),
        Space::BT470BG | Space::SMPTE170M => Ok(Matrix::BT601),
        Space::FCC => Ok(Matrix::FCC),
        Space::SMPTE240M => Ok(Matrix::SMPTE240),
        Space::BT2020NCL => Ok(Matrix::BT2020),
        // Motion JPEG, BT.601 at any size, does not come here: its decoder names the matrix.
        Space::Unspecified | Space::Reserved if frame.height() < HD_LINES => Ok(Matrix::BT601),
        Space::Unspecified | Space::Reserved => Ok(Matrix::BT709),
        other => Err(format!("its colours are {other:?}: convert it to BT.601 or BT.709")),
    }
}

fn repack(frame: &ffmpeg::frame::Video, format: Pixel, name: &str) -> Result<ffmpeg::frame::Video, String> {
    let failed = |error: ffmpeg::Error| format!("its pixels, {name}, cannot be converted: {error}");
    let (width, height) = (frame.width(), frame.height());
    let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INP | Flags::FULL_CHR_H_INT;
    // Made for each frame: a scaler cannot be sent to another thread, and few formats need one.
    let mut scaler = Scaler::get(frame.format(), width, height, format, width, height, flags).map_err(failed)?;
    let mut packed = ffmpeg::frame::Video::empty();
    scaler.run(frame, &mut packed).map_err(failed)?;
    Ok(packed)
}

/// Packed RGB without the padding at the end of rows.
fn rows_of(packed: &ffmpeg::frame::Video) -> Option<RgbImage> {
    let row_bytes = 3 * packed.width() as usize;
    let rows = packed.data(0).chunks(packed.stride(0)).take(packed.height() as usize);
    let mut pixels = Vec::with_capacity(row_bytes * packed.height() as usize);
    for row in rows {
        pixels.extend_from_slice(row.get(..row_bytes)?);
    }
    RgbImage::from_vec(packed.width(), packed.height(), pixels)
}
