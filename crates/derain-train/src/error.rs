use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{DType, Shape};
use derain_data::paths::Shown;
use derain_ops::device;
use derain_ops::one_line::one_line;

/// What can go wrong with a training and its pieces. Causes are in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two tensors that are compared have different shapes.
    #[error("{op}: shapes differ, {left:?} and {right:?}")]
    Shapes {
        /// The function.
        op: &'static str,
        /// The first tensor's shape.
        left: Shape,
        /// The second tensor's shape.
        right: Shape,
    },
    /// Two tensors that are compared are not of one type of floats.
    #[error("{op}: both tensors must be of one type of floats, got {left:?} and {right:?}")]
    NotFloats {
        /// The function.
        op: &'static str,
        /// The first tensor's type.
        left: DType,
        /// The second tensor's type.
        right: DType,
    },
    /// There are not as many tensors as parameters.
    #[error("{op}: {got} tensors for {expected} parameters")]
    Count {
        /// The function.
        op: &'static str,
        /// The parameters that there are.
        expected: usize,
        /// The tensors that came.
        got: usize,
    },
    /// A schedule's steps do not rise.
    #[error("the steps of a schedule must rise, got {steps:?}")]
    Steps {
        /// The steps that came.
        steps: Vec<u64>,
    },
    /// A rate or factor that is not above 0 and finite.
    #[error("{name} must be above 0 and finite, got {value}")]
    NotPositive {
        /// Which number.
        name: &'static str,
        /// The number that came.
        value: f64,
    },
    /// The smallest pair of the validation cannot be scored.
    #[error("the smallest pair of the validation is {}x{} and cannot be scored: leave it out, or score more of it (`validation.size`)", size.0, size.1)]
    Unscorable {
        /// Width and height of what is scored of it.
        size: (u32, u32),
        /// Why.
        source: derain_metrics::Error,
    },
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
    /// A configuration file is no TOML, or has a key that is not known, or a value of another type.
    #[error("{} is no configuration of a training", path.shown())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// Where and why: a `toml::de::Error`.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A configuration asks for something that makes no sense.
    #[error("`{key}` is {value}: it must be {expected}")]
    Config {
        /// The key, with its tables.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// All photographs are held out.
    #[error(
        "{} holds {found} photographs, of which {held_out} are to be held out, so none is left to train on: lower `held_out` or bring more",
        folder.shown()
    )]
    AllHeldOut {
        /// The folder of photographs.
        folder: PathBuf,
        /// Photographs that there are.
        found: usize,
        /// Photographs that the validation is to have.
        held_out: usize,
    },
    /// A training picture cannot be used, which was found before training began.
    #[error(
        "a training picture cannot be used, and by their headers {others} more may be like it; before training begins, do as the cause says, or \
         repair it, or take it, with its partner, out of the data"
    )]
    UnusablePicture {
        /// Pictures or pairs after it whose headers look wrong as well.
        others: usize,
        /// Which one, and what is wrong with it.
        source: derain_data::Error,
    },
    /// Whole pictures of several sizes cannot be one batch, which was found before training began.
    #[error(
        "{} is {}x{} and {} {}x{}: whole pictures of several sizes do not go into one batch; set `batch_size` to 1, or take crops (`augment.crop`)",
        first.shown(), first_size.0, first_size.1, other.shown(), other_size.0, other_size.1
    )]
    MixedSizes {
        /// A training picture.
        first: PathBuf,
        /// Its width and height.
        first_size: (usize, usize),
        /// Another one.
        other: PathBuf,
        /// That one's width and height.
        other_size: (usize, usize),
    },
    /// More steps are done than are asked for.
    #[error(
        "{} holds a training of {done} steps, and {steps} are asked for: ask for more to go on (`steps` or `epochs`), or choose another output folder",
        folder.shown()
    )]
    StepsDone {
        /// The output folder.
        folder: PathBuf,
        /// Steps done.
        done: u64,
        /// Steps asked for.
        steps: u64,
    },
    /// Sample pictures of a training would become its data.
    #[error(
        "the output folder {} lies in {}, where training or validation pictures come from: what is written there would be taken for \
         one of them; choose an output folder elsewhere",
        output.shown(), data.shown()
    )]
    OutputInData {
        /// The output folder.
        output: PathBuf,
        /// The folder of pictures.
        data: PathBuf,
    },
    /// A new training would overwrite another.
    #[error("a training was begun in {}: resume it, or choose another output folder", folder.shown())]
    Begun {
        /// The output folder.
        folder: PathBuf,
    },
    /// A new training would overwrite what is left of one that ended before its first checkpoint.
    #[error(
        "{} holds {left} of a training that had written no checkpoint yet: resume it, which begins it anew, or choose another output folder",
        folder.shown()
    )]
    NoCheckpointYet {
        /// The output folder.
        folder: PathBuf,
        /// A file that was found in it.
        left: &'static str,
    },
    /// A training's checkpoint is gone, and a new training would overwrite what is left.
    #[error(
        "{} has no checkpoint to go on from, but {left} of an earlier training, which would be overwritten: put `checkpoint.safetensors` back, \
         move the training's files away to begin anew, or choose another output folder",
        folder.shown()
    )]
    CheckpointGone {
        /// The output folder.
        folder: PathBuf,
        /// A file that was found in it.
        left: &'static str,
    },
    /// Another process trains into the same folder.
    #[error("another process is training into {}", folder.shown())]
    Busy {
        /// The output folder.
        folder: PathBuf,
    },
    /// A training was begun with another configuration or other data.
    #[error(
        "{} was begun differently: {}; go on as it was begun, or choose another output folder",
        folder.shown(), differences.join("; ")
    )]
    BegunDifferently {
        /// The output folder.
        folder: PathBuf,
        /// What differs: the key, its value then and now.
        differences: Vec<String>,
    },
    /// A checkpoint is damaged or not one of this version.
    #[error("{} is no checkpoint that can be resumed: {reason}", path.shown())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A log is damaged before its end, which no kill does: move it away, and a resume begins a new one.
    #[error("line {line} of {} is damaged ({reason}): repair it or move the file away", path.shown())]
    Log {
        /// The file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The loss or its gradient is no number or has exploded.
    #[error(
        "training diverged: at step {step} the {quantity} is {value}; {kept}. Begin another training, in a \
         folder of its own, from the best weights so far (`init_from`), with a lower learning rate (`schedule.rate`), a limit of the gradient's norm \
         (`clip_norm`) or a warm-up; or look for damaged pictures"
    )]
    Diverged {
        /// The step that was not taken, counted from 1.
        step: u64,
        /// Loss or gradient norm.
        quantity: &'static str,
        /// Its value.
        value: f64,
        /// Which checkpoint there is.
        kept: String,
    },
    /// A batch's parts do not go evenly into the ranks.
    #[error(
        "`micro_batches` is {micro_batches}, which {ranks} ranks cannot share evenly: it must be a multiple of {ranks}"
    )]
    Uneven {
        /// Parts of a batch.
        micro_batches: usize,
        /// Processes of the training.
        ranks: usize,
    },
    /// A rank was started with another configuration or other data than rank 0.
    #[error("rank {rank} was started otherwise than rank 0: {}; give all ranks the same configuration and data", differences.join("; "))]
    RanksDiffer {
        /// This rank.
        rank: usize,
        /// What differs: the key, its value at rank 0 and here.
        differences: Vec<String>,
    },
    /// Ranks that were to have the same weights have not.
    #[error(
        "after step {step} the weights of rank {rank} are not those of rank 0, so nothing was written; are all machines of one kind, with one \
         build of this program? Resume from the last checkpoint"
    )]
    RanksApart {
        /// Steps done.
        step: u64,
        /// The first rank whose weights differ.
        rank: usize,
    },
    /// Another rank failed, and has the error that says why.
    #[error("rank {rank} failed")]
    OtherRank {
        /// The rank that failed.
        rank: usize,
    },
    /// There is no such rank.
    #[error("there is no rank {rank} among {ranks}")]
    NoRank {
        /// The rank that was asked for.
        rank: usize,
        /// How many there are.
        ranks: usize,
    },
    /// MPI cannot be used.
    #[cfg(feature = "mpi")]
    #[error("cannot start MPI: {reason}")]
    Mpi {
        /// Why.
        reason: &'static str,
    },
    /// An observer cannot go on.
    #[error("what watches the training failed")]
    Observer(#[source] Box<dyn StdError + Send + Sync>),
    /// Pictures or pairs could not be read, or a file not be written.
    #[error(transparent)]
    Data(#[from] derain_data::Error),
    /// The network or a weight file refused.
    #[error(transparent)]
    Models(#[from] derain_models::Error),
    /// A validation pair could not be scored.
    #[error(transparent)]
    Metrics(#[from] derain_metrics::Error),
    /// An operation refused its input.
    #[error(transparent)]
    Ops(#[from] derain_ops::Error),
    /// candle refused an operation.
    #[error("{}", one_line(.0))]
    Candle(candle_core::Error),
}

/// What an operation of `derain-ops` says comes out of candle as [`Error::Ops`].
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match error.into() {
            derain_ops::Error::Candle(error) => Self::Candle(error),
            own => Self::Ops(own),
        }
    }
}

impl Error {
    /// Whether a GPU had no memory left: smaller batches or crops, or more `micro_batches`, may then do.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Models(error) => error.is_out_of_memory(),
            Self::Ops(error) => device::is_out_of_memory(error),
            Self::Candle(error) => device::is_out_of_memory(error),
            _ => false,
        }
    }

    /// Names the action and the file of a failed system call, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A key of the configuration that must be something else.
    pub(crate) fn config(key: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self::Config { key, value: value.to_string(), expected }
    }
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_memory_is_told_in_every_wrapping() {
        let full =
            || derain_ops::Error::OutOfDeviceMemory { op: "irnn", device: "cuda:0".into(), shapes: "[1]".into() };
        let through_candle = candle_core::Error::from(full());
        for error in [Error::Ops(full()), Error::Models(full().into()), through_candle.into()] {
            assert!(error.is_out_of_memory(), "{error}");
        }
        assert!(!Error::from(candle_core::Error::UnwrapNone).is_out_of_memory());
    }

    #[test]
    fn a_configurations_mistake_is_found_by_its_type() {
        let error = crate::TrainConfig::from_toml("seed = \"x\"").unwrap_err();
        assert!(error.source().is_some_and(|source| source.is::<toml::de::Error>()), "{error}");
    }
}
