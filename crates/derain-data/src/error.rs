//! The crate's error type.

use std::io;
use std::path::{Path, PathBuf};

use image::{ColorType, ImageError, ImageFormat};

/// Why a picture could not be read, found or written.
///
/// Where a system call, decoder or encoder failed, its own words are the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A device, pipe or folder stands where a file is needed.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// The file to replace is marked read-only.
    #[error("{} is read-only: make it writable or choose another name", path.display())]
    ReadOnly {
        /// The file that was kept.
        path: PathBuf,
    },
    /// The content is no format that this crate reads.
    #[error("{} is not a BMP, JPEG, PNG, PNM, TIFF or WebP picture", path.display())]
    UnknownContent {
        /// The file.
        path: PathBuf,
    },
    /// The file name ends in no format that this crate writes.
    #[error(
        "{}: the name must end in .png, .jpg, .jpeg, .tif, .tiff, .webp, .bmp, .ppm, .pgm or .pnm",
        path.display()
    )]
    UnknownExtension {
        /// The file name.
        path: PathBuf,
    },
    /// The picture or its file is larger than the options allow.
    #[error("{} needs {bytes} bytes, the limit is {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of the decoded pixels, or of the file where that alone is over the limit.
        bytes: u64,
        /// [`LoadOptions::max_bytes`](crate::LoadOptions::max_bytes).
        limit: u64,
    },
    /// The picture has no pixels.
    #[error("{} is {width}x{height}: it has no pixels", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Width by its header.
        width: u32,
        /// Height by its header.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("{} is cut short: the end of the picture is missing", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The picture is of a kind whose pixels cannot be trusted once decoded.
    #[error("{} is {kind}, which is not supported", path.display())]
    UnsupportedKind {
        /// The file.
        path: PathBuf,
        /// The kind of picture.
        kind: &'static str,
    },
    /// The decoder found the content broken or unsupported.
    #[error("cannot decode {}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        source: ImageError,
    },
    /// The format would lose the alpha channel or bit depth of the picture.
    #[error("{format:?} cannot hold a {color:?} picture: write PNG, or TIFF for 32-bit samples")]
    CannotHold {
        /// The format asked for.
        format: ImageFormat,
        /// The picture's channels and depth.
        color: ColorType,
    },
    /// The encoder failed.
    #[error("cannot encode as {format:?}")]
    Encode {
        /// The format asked for.
        format: ImageFormat,
        /// The encoder's reason.
        source: ImageError,
    },
    /// A frame has another size than the first: frames of one clip show the same place, pixel by pixel.
    #[error(
        "frame {index} is {}x{} but the first is {}x{}: give frames of one size, or clips apart from each other",
        got.0, got.1, expected.0, expected.1
    )]
    OtherFrameSize {
        /// Which frame, counted from 0.
        index: usize,
        /// Width and height of the first frame.
        expected: (u32, u32),
        /// Width and height of this one.
        got: (u32, u32),
    },
    /// A frame has no pixels.
    #[error("frame {index} is {width}x{height}: it has no pixels")]
    EmptyFrame {
        /// Which frame, counted from 0.
        index: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A clean image was asked for before any frame was given.
    #[error("there are no frames: a clean image needs at least one")]
    NoFrames,
    /// More frames than can be compared.
    #[error("a clean image takes at most {limit} frames: take every second or third frame")]
    TooManyFrames {
        /// The most frames.
        limit: usize,
    },
    /// A percentile above 100.
    #[error("there is no percentile {percentile}: choose one from 0 to 100")]
    Percentile {
        /// The percentile asked for.
        percentile: u8,
    },
    /// The disk is too full for the frames that memory does not hold.
    #[error(
        "{} has {available} bytes free, spooling the frames needs {needed}: choose another folder, fewer frames or more memory",
        folder.display()
    )]
    SpoolSpace {
        /// The folder for spooled frames.
        folder: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] derain_ops::Error),
}

impl Error {
    /// Names the action and the file of a failed system call, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
