//! What can be wrong with a data set.

use std::io;
use std::path::PathBuf;

use derain_metrics::pairing::{Problem, Role};

use crate::paths::Shown;

/// Why pairs of pictures could not be found, loaded or built; a variant of [`Error`](crate::Error).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A list or manifest names files that do not exist.
    #[error("{} names {count} files that do not exist; is its root the right folder?{}", list.shown(), lines(first))]
    MissingFiles {
        /// The list or manifest.
        list: PathBuf,
        /// How many are missing.
        count: usize,
        /// The first of them.
        first: Vec<PathBuf>,
    },
    /// Rainy and clean pictures do not pair.
    #[error("the rainy pictures in {} and the clean ones in {} do not pair:{}", rainy.shown(), clean.shown(), roles(problems))]
    Unpaired {
        /// Folder of the rainy pictures.
        rainy: PathBuf,
        /// Folder of the clean pictures.
        clean: PathBuf,
        /// Each with its pictures: references are clean ones, tests are rainy ones.
        problems: Vec<Problem>,
    },
    /// There are no pairs of pictures.
    #[error("there are no pairs in {}", path.shown())]
    NoPairs {
        /// The folder, list or manifest.
        path: PathBuf,
    },
    /// A folder or file is laid out as none of the known data sets, or as several.
    #[error("cannot tell which pictures of {} belong together: {reason}", path.shown())]
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
    #[error("{} is {width} pixels wide, which is not two halves", path.shown())]
    OddWidth {
        /// The picture.
        path: PathBuf,
        /// Its width.
        width: u32,
    },
    /// A crop does not fit into a picture.
    #[error("{}x{}, the size of {picture}, is smaller than the crop of {crop}x{crop}: choose a smaller crop", size.0, size.1)]
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
    /// A sample whose planes are not as large as it says.
    #[error(
        "sample {index} is {height}x{width} (height x width): each picture must hold {expected} values, they hold {rainy} and {clean}"
    )]
    SampleLength {
        /// The sample.
        index: usize,
        /// Its height.
        height: usize,
        /// Its width.
        width: usize,
        /// Values that a picture of this size has.
        expected: usize,
        /// Values of the rainy picture.
        rainy: usize,
        /// Values of the clean picture.
        clean: usize,
    },
    /// A sample was asked for that a source does not have.
    #[error("there is no sample {index}: the source has {samples}, counted from 0")]
    NoSample {
        /// The sample asked for.
        index: usize,
        /// Samples of the source.
        samples: usize,
    },
    /// Too few samples for a single batch.
    #[error("{samples} samples make no batch of {batch_size}: choose smaller batches, or bring more samples")]
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
    /// A folder holds no videos.
    #[error("there are no videos in {}: it must hold .y4m or video files, or one folder of frames for each video", path.shown())]
    NoVideos {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of videos holds something that could be one or not.
    #[error("{}: {reason}", path.shown())]
    NotAVideo {
        /// What was found.
        path: PathBuf,
        /// Why it is no video, and what to do.
        reason: &'static str,
    },
    /// Two videos would have the same name in the data set.
    #[error("{} and {} would both be called {name}: rename one", first.shown(), second.shown())]
    SameName {
        /// The name.
        name: String,
        /// One video.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The output folder holds something already.
    #[error("{} is not empty: {hint}", path.shown())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A data set was begun from other videos or with other options.
    #[error("{} was begun differently: {what}; go on as it was begun, or choose another folder", path.shown())]
    OtherPlan {
        /// The data set's folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// Another process is at work on the same data set.
    #[error("another process is building {}", path.shown())]
    Busy {
        /// The data set's folder.
        path: PathBuf,
    },
}

fn lines(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("\n  {}", path.shown())).collect()
}

/// Problems of pairing in the words of rain.
fn roles(problems: &[Problem]) -> String {
    let list = |paths: &[PathBuf]| paths.iter().map(|path| path.shown().to_string()).collect::<Vec<_>>().join(", ");
    let line = |problem: &Problem| match problem {
        Problem::Unpaired { role: Role::Reference, path } => format!("\n  no partner for the clean {}", path.shown()),
        Problem::Unpaired { role: Role::Test, path } => format!("\n  no partner for the rainy {}", path.shown()),
        Problem::Ambiguous { references, tests } => {
            format!("\n  ambiguous: the clean {} with the rainy {}", list(references), list(tests))
        }
    };
    problems.iter().map(line).collect()
}
