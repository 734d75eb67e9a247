//! The crate's error type.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use image::{ColorType, ImageError, ImageFormat};

use crate::amounts::{self, counted};
use crate::dataset::DatasetError;
use crate::paths::Shown;
#[cfg(feature = "video")]
use crate::transcode::TranscodeError;

/// Why pictures, frames or data sets could not be read, found, made or written.
///
/// Where a system call, decoder or encoder failed, its own words are the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.shown())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A device, pipe or folder stands where a file is needed.
    #[error("{} is not a regular file", path.shown())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// The file to replace is marked read-only.
    #[error("{} is read-only: make it writable or choose another name", path.shown())]
    ReadOnly {
        /// The file that was kept.
        path: PathBuf,
    },
    /// The content is no format that this crate reads.
    #[error("{} is not a BMP, JPEG, PNG, PNM, TIFF or WebP picture", path.shown())]
    UnknownContent {
        /// The file.
        path: PathBuf,
    },
    /// The file name ends in no format that this crate writes.
    #[error(
        "{}: the name must end in .png, .jpg, .jpeg, .tif, .tiff, .webp, .bmp, .ppm, .pgm or .pnm",
        path.shown()
    )]
    UnknownExtension {
        /// The file name.
        path: PathBuf,
    },
    /// The picture or its file is larger than the options allow.
    #[error("{} needs {}, more than the limit of {}", path.shown(), amounts::bytes(*bytes), amounts::bytes(*limit))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of the decoded pixels, or of the file where that alone is over the limit.
        bytes: u64,
        /// [`LoadOptions::max_bytes`](crate::LoadOptions::max_bytes).
        limit: u64,
    },
    /// A file that, by its header, holds a picture or video without pixels. What is in memory: [`Error::NoPixels`],
    /// [`Error::EmptyFrame`].
    #[error("{} is {width}x{height}: it has no pixels", path.shown())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Width by its header.
        width: u32,
        /// Height by its header.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("{} is cut short: the end of the picture is missing", path.shown())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The coded data of a JPEG are not those of the picture that it announces.
    #[error("{} is damaged: take another copy of it, or save it anew from a viewer that shows it whole", path.shown())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The row of stored pixels where the data stop making sense; they may be wrong long before.
        row: usize,
    },
    /// The picture is of a kind whose pixels cannot be trusted once decoded.
    #[error("{} is {kind}, which is not supported", path.shown())]
    UnsupportedKind {
        /// The file.
        path: PathBuf,
        /// The kind of picture.
        kind: &'static str,
    },
    /// The decoder found the content broken or unsupported.
    #[error("cannot decode {}", path.shown())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        source: ImageError,
    },
    /// Not a source of frames.
    #[error("{} is no sequence of frames: {hint}", path.shown())]
    NotFrames {
        /// The file.
        path: PathBuf,
        /// What to give instead.
        hint: &'static str,
    },
    /// No frame is left once the options have chosen.
    #[error("{} has {}, none from frame {start} on (counted from 0)", path.shown(), counted(*available, "frame"))]
    NoFrames {
        /// The folder or file.
        path: PathBuf,
        /// [`FrameOptions::start`](crate::FrameOptions::start).
        start: usize,
        /// The frames that are there.
        available: usize,
    },
    /// A frame that was read from a file differs in size from the first. Of frames that are handed over:
    /// [`Error::FrameSize`].
    #[error(
        "{} is {}x{}, the frames before it are {}x{}: all must have one size",
        path.shown(), found.0, found.1, expected.0, expected.1
    )]
    MixedSizes {
        /// The picture or the video.
        path: PathBuf,
        /// Width and height of the frame.
        found: (u32, u32),
        /// Width and height of the first frame.
        expected: (u32, u32),
    },
    /// A picture holds more than an 8-bit RGB frame can.
    #[error(
        "{} ({color:?}) has transparency or more than 8 bits: save it as an opaque 8-bit picture",
        path.shown()
    )]
    InexactFrame {
        /// The picture.
        path: PathBuf,
        /// Its channels and depth.
        color: ColorType,
    },
    /// A file of frames is broken or of a kind that is not read.
    #[error("{}, frame {frame}: {reason}", path.shown())]
    BrokenStream {
        /// The file.
        path: PathBuf,
        /// The frame, counted from 0 in the file.
        frame: usize,
        /// What is wrong.
        reason: String,
    },
    /// A video holds fewer frames than it says.
    #[error(
        "{} promises {}, but {decoded} could be decoded: it is damaged or cut short; \
         read only the frames before it, or repair the file",
        path.shown(), counted(*promised, "frame")
    )]
    Shortfall {
        /// The video.
        path: PathBuf,
        /// Frames by its index.
        promised: usize,
        /// Frames that came.
        decoded: usize,
    },
    /// A video could not be made from another.
    #[cfg(feature = "video")]
    #[error(transparent)]
    Transcode(#[from] TranscodeError),
    /// A frame that was handed over, to a clean image or a registration say, differs in size from the first. Of frames
    /// in files: [`Error::MixedSizes`].
    #[error(
        "frame {frame} is {}x{} but the first is {}x{}: give frames of one size, or clips apart from each other",
        found.0, found.1, expected.0, expected.1
    )]
    FrameSize {
        /// The frame, counted from 0.
        frame: usize,
        /// Its width and height.
        found: (u32, u32),
        /// Width and height of the first frame.
        expected: (u32, u32),
    },
    /// The camera moved too far.
    #[error(
        "the scene moves: frame {frame} lies {way:.2} pixels from the first (shift {dx:+.2}, {dy:+.2}), \
         the limit is {limit:.2}; {advice}"
    )]
    SceneMoves {
        /// The frame, counted from 0.
        frame: usize,
        /// Pixels to the right.
        dx: f64,
        /// Pixels down.
        dy: f64,
        /// The longest way of any pixel, rotation and scale counted.
        way: f64,
        /// The longest way that is accepted, in pixels.
        limit: f64,
        /// What to do.
        advice: &'static str,
    },
    /// The parts of the scene do not move alike.
    #[error(
        "the scene moves: in frame {frame}, {moving} of {seen} parts of the picture lie about {way:.2} pixels \
         from where the shift of the whole, ({dx:+.2}, {dy:+.2}), puts them; {advice}"
    )]
    PartsMove {
        /// The frame, counted from 0.
        frame: usize,
        /// Pixels to the right, the whole picture.
        dx: f64,
        /// Pixels down, the whole picture.
        dy: f64,
        /// Parts that move by themselves.
        moving: usize,
        /// Parts with enough to see.
        seen: usize,
        /// How far the moving parts lie off, in pixels; their median.
        way: f64,
        /// What to do.
        advice: &'static str,
    },
    /// An option has a value that makes no sense.
    #[error("the option `{option}` is {value}: it must be {expected}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: Cow<'static, str>,
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
    /// A picture in memory has no pixels. Of files: [`Error::Empty`].
    #[error("the picture is {width}x{height}: it has no pixels")]
    NoPixels {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Two pictures that belong together have different sizes.
    #[error("the sizes differ: {}x{} is needed, {}x{} was given", expected.0, expected.1, found.0, found.1)]
    SizesDiffer {
        /// Width and height needed.
        expected: (u32, u32),
        /// Width and height given.
        found: (u32, u32),
    },
    /// The options ask for more drops over a picture than fit into memory.
    #[error("too many drops for a {width}x{height} picture: lower density, speed or exposure")]
    TooMuchRain {
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
    },
    /// More pixels than rain is drawn over.
    #[error(
        "rain over {width}x{height} pixels would take gigabytes, the limit is {limit} pixels: rain over a part, or a smaller picture"
    )]
    TooManyPixels {
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
        /// The most pixels.
        limit: u64,
    },
    /// No density of rain brings the wanted PSNR.
    #[error(
        "rain cannot bring the mean PSNR to {wanted} dB, the nearest is {nearest:.2} dB: for less, raise opacity, \
         thickness or light; for more, lower veil, dimming and noise"
    )]
    PsnrOutOfReach {
        /// Decibels wanted.
        wanted: f64,
        /// The nearest found, decibels.
        nearest: f64,
    },
    /// A frame that was handed over has no pixels. Of files: [`Error::Empty`].
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
    NoFramesGiven,
    /// More frames than can be compared.
    #[error("a clean image takes at most {limit} frames: take every second or third frame")]
    TooManyFrames {
        /// The most frames.
        limit: usize,
    },
    /// The disk is too full for the frames that memory does not hold.
    #[error(
        "{} has {} free, spooling the frames needs {}: choose another folder, fewer frames or more memory",
        folder.shown(), amounts::bytes(*available), amounts::bytes(*needed)
    )]
    SpoolSpace {
        /// The folder for spooled frames.
        folder: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// A data set could not be read or built.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] derain_ops::Error),
    /// A line of a list cannot be read.
    #[error("{}, line {line}: {reason}", path.shown())]
    ListLine {
        /// The list.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A video is too short for a clean image.
    #[error("{video} has {}: a clean image needs at least {fewest}", counted(*frames, "frame"))]
    TooFewFrames {
        /// The video's name.
        video: String,
        /// Its frames.
        frames: usize,
        /// Frames needed.
        fewest: usize,
    },
    /// The person who judges has gone.
    #[error("no verdict on {video}: the input ended")]
    NoVerdict {
        /// The video's name.
        video: String,
    },
    /// The review page was shut down while, or before, a person was asked.
    #[error("no verdict on {video}: the review was shut down; start again to go on, earlier verdicts are kept")]
    ReviewEnded {
        /// The video's name.
        video: String,
    },
    /// Another program keeps its verdicts in the same file.
    #[error("another review is using {}: end it, or choose another file for verdicts", path.shown())]
    ReviewInUse {
        /// The file of verdicts.
        path: PathBuf,
    },
    /// The review page cannot be served.
    #[error("cannot {action} for the review page at {address}")]
    ReviewServer {
        /// What was tried.
        action: &'static str,
        /// Where the page was to be.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Frames or samples of somebody else's source ([`FrameSource`](crate::FrameSource),
    /// [`SampleSource`](crate::dataset::SampleSource)), or somebody else's judge, failed. [`Error::other`] makes it.
    #[error("what was given to read frames or samples from, or to judge, failed")]
    Other(#[source] Box<dyn StdError + Send + Sync>),
    /// A file of JSON is not what it should be.
    #[error("{} is damaged or not of this version", path.shown())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For implementations of this crate's traits that fail for a reason of their own.
    ///
    /// ```
    /// use derain_data::Error;
    /// let gone = std::io::Error::other("the camera was unplugged");
    /// let cause = std::error::Error::source(&Error::other(gone)).map(ToString::to_string);
    /// assert_eq!(cause.as_deref(), Some("the camera was unplugged"));
    /// ```
    pub fn other(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(cause.into())
    }

    /// An option that must be something else.
    pub(crate) fn option(option: &'static str, value: impl ToString, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidOption { option, value: value.to_string(), expected: expected.into() }
    }

    /// An option outside its range.
    pub(crate) fn range(option: &'static str, value: impl ToString, [min, max]: [f32; 2]) -> Self {
        Self::option(option, value, format!("from {min} to {max}"))
    }

    /// Names the action and the file of a failed system call, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
