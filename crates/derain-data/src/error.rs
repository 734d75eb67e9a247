//! The crate's error type.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use derain_metrics::pairing::{Problem, Role};
use image::{ColorType, ImageError, ImageFormat};

/// Why pictures, frames or data sets could not be read, found, made or written.
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
    /// Not a source of frames.
    #[error("{} is no sequence of frames: {hint}", path.display())]
    NotFrames {
        /// The file.
        path: PathBuf,
        /// What to give instead.
        hint: &'static str,
    },
    /// No frame is left once the options have chosen.
    #[error("{} has {available} frames, none from frame {start} on (counted from 0)", path.display())]
    NoFrames {
        /// The folder or file.
        path: PathBuf,
        /// [`FrameOptions::start`](crate::FrameOptions::start).
        start: usize,
        /// The frames that are there.
        available: usize,
    },
    /// Frames of one sequence differ in size.
    #[error(
        "{} is {}x{}, the frames before it are {}x{}: all must have one size",
        path.display(), found.0, found.1, expected.0, expected.1
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
        path.display()
    )]
    InexactFrame {
        /// The picture.
        path: PathBuf,
        /// Its channels and depth.
        color: ColorType,
    },
    /// A file of frames is broken or of a kind that is not read.
    #[error("{}, frame {frame}: {reason}", path.display())]
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
        "{} promises {promised} frames, but {decoded} could be decoded: it is damaged or cut short; \
         a length limits the reading to whole frames",
        path.display()
    )]
    Shortfall {
        /// The video.
        path: PathBuf,
        /// Frames by its index.
        promised: usize,
        /// Frames that came.
        decoded: usize,
    },
    /// Frames of one sequence differ in size.
    #[error(
        "frame {frame} is {}x{}, the first is {}x{}: all must have one size",
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
    #[error("the option {option} is {value}: it must be {expected}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
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
    /// An option has a value outside its range.
    #[error("the option `{name}` is {value}: it must be from {min} to {max}")]
    OptionOutOfRange {
        /// The option.
        name: &'static str,
        /// What it was set to.
        value: f32,
        /// The least value allowed.
        min: f32,
        /// The greatest value allowed.
        max: f32,
    },
    /// A picture in memory has no pixels.
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
    NoFramesGiven,
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
    /// A line of a list of pairs cannot be read.
    #[error("{}, line {line}: {reason}", path.display())]
    ListLine {
        /// The list.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A list or manifest names files that do not exist.
    #[error("{} names {count} files that do not exist; is its root the right folder?{}", list.display(), lines(first))]
    MissingFiles {
        /// The list or manifest.
        list: PathBuf,
        /// How many are missing.
        count: usize,
        /// The first of them.
        first: Vec<PathBuf>,
    },
    /// Rainy and clean pictures do not pair.
    #[error("the rainy pictures in {} and the clean ones in {} do not pair:{}", rainy.display(), clean.display(), roles(problems))]
    Unpaired {
        /// Folder of the rainy pictures.
        rainy: PathBuf,
        /// Folder of the clean pictures.
        clean: PathBuf,
        /// Each with its pictures: references are clean ones, tests are rainy ones.
        problems: Vec<Problem>,
    },
    /// There are no pairs of pictures.
    #[error("there are no pairs in {}", path.display())]
    NoPairs {
        /// The folder, list or manifest.
        path: PathBuf,
    },
    /// A folder or file is laid out as none of the known data sets, or as several.
    #[error("cannot tell which pictures of {} belong together: {reason}", path.display())]
    UnknownLayout {
        /// The folder or file.
        path: PathBuf,
        /// What is missing or too much.
        reason: &'static str,
    },
    /// The pictures of a pair differ in size.
    #[error("{pair}: the rainy picture is {}x{}, the clean one {}x{}", rainy.0, rainy.1, clean.0, clean.1)]
    PairSizes {
        /// The pair's paths.
        pair: String,
        /// Width and height.
        rainy: (u32, u32),
        /// Width and height.
        clean: (u32, u32),
    },
    /// A picture that should hold two halves has no middle.
    #[error("{} is {width} pixels wide, which is not two halves", path.display())]
    OddWidth {
        /// The picture.
        path: PathBuf,
        /// Its width.
        width: u32,
    },
    /// A crop does not fit into a picture.
    #[error("{picture} is {}x{}, smaller than the crop of {crop}x{crop}: choose a smaller crop", size.0, size.1)]
    SmallerThanCrop {
        /// Its path.
        picture: String,
        /// Its width and height.
        size: (u32, u32),
        /// Side of the crop.
        crop: u32,
    },
    /// Samples of one batch differ in size.
    #[error(
        "samples {first_index} and {index} are {}x{} and {}x{} (height x width), so they make no batch: crop them to one size",
        first[0], first[1], other[0], other[1]
    )]
    MixedBatch {
        /// The batch's first sample.
        first_index: usize,
        /// Its height and width.
        first: [usize; 2],
        /// A sample of another size.
        index: usize,
        /// Its height and width.
        other: [usize; 2],
    },
    /// Too few samples for a single batch.
    #[error("{samples} samples make no batch of {batch_size}: choose smaller batches or keep the remainder")]
    NoBatch {
        /// Samples of the source.
        samples: usize,
        /// Samples in a batch.
        batch_size: usize,
    },
    /// A source of samples panicked: a bug of its own.
    #[error("making sample {index} of epoch {epoch} panicked")]
    SamplePanicked {
        /// The sample.
        index: usize,
        /// The epoch.
        epoch: u64,
    },
    /// The system refuses to start threads.
    #[error("cannot start threads")]
    Threads {
        /// The system's reason.
        source: io::Error,
    },
    /// A video is too short for a clean image.
    #[error("{video} has {frames} frames: a clean image needs at least {fewest}")]
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
    #[error("another review is using {}: end it, or choose another file for verdicts", path.display())]
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
    /// A file of JSON is not what it should be.
    #[error("{} is damaged or not of this version", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A folder holds no videos.
    #[error("there are no videos in {}: it must hold .y4m or video files, or one folder of frames for each video", path.display())]
    NoVideos {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of videos holds something that could be one or not.
    #[error("{}: {reason}", path.display())]
    NotAVideo {
        /// What was found.
        path: PathBuf,
        /// Why it is no video, and what to do.
        reason: &'static str,
    },
    /// Two videos would have the same name in the data set.
    #[error("{} and {} would both be called {name}: rename one", first.display(), second.display())]
    SameName {
        /// The name.
        name: String,
        /// One video.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The output folder holds something already.
    #[error("{} is not empty: {hint}", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A data set was begun from other videos or with other options.
    #[error("{} was begun differently: {what}; go on as it was begun, or choose another folder", path.display())]
    OtherPlan {
        /// The data set's folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// Another process is at work on the same data set.
    #[error("another process is building {}", path.display())]
    Busy {
        /// The data set's folder.
        path: PathBuf,
    },
}

fn lines(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("\n  {}", path.display())).collect()
}

/// Problems of pairing in the words of rain.
fn roles(problems: &[Problem]) -> String {
    let list = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let line = |problem: &Problem| match problem {
        Problem::Unpaired { role: Role::Reference, path } => format!("\n  no partner for the clean {}", path.display()),
        Problem::Unpaired { role: Role::Test, path } => format!("\n  no partner for the rainy {}", path.display()),
        Problem::Ambiguous { references, tests } => {
            format!("\n  ambiguous: the clean {} with the rainy {}", list(references), list(tests))
        }
    };
    problems.iter().map(line).collect()
}

impl Error {
    /// Names the action and the file of a failed system call, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
