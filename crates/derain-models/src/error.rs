use std::error::Error as StdError;
use std::path::PathBuf;

use derain_ops::device;
use derain_ops::one_line::one_line;

use crate::Precision;
use crate::weights::WeightError;

/// What can go wrong between a weight file, a picture and its result. Causes are in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No network has this name.
    #[error("no network is called `{name}`; there are: spanet, rranet")]
    UnknownNetwork {
        /// The name that came.
        name: String,
    },
    /// No precision has this name.
    #[error("no precision is called `{name}`; there are: f32, f16, bf16")]
    UnknownPrecision {
        /// The name that came.
        name: String,
    },
    /// A precision that the device has no code for.
    #[error("{precision} is for GPUs; on {device} networks compute in f32")]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// Where.
        device: String,
    },
    /// The weight file could not be read.
    #[error(transparent)]
    WeightFile(#[from] WeightError),
    /// The weight file was read, but its tensors are not those of the network.
    #[error("these are not the weights of {network}: {problems}")]
    Weights {
        /// The network that was asked for.
        network: &'static str,
        /// What is missing, unexpected or of another shape, with names.
        problems: String,
    },
    /// A file is not the weights that were asked for.
    #[error("cannot use the weights {}", path.display())]
    WeightsAt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: another [`Error`].
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A weight file with a value that is NaN or infinite.
    #[error("the weights are damaged: tensor `{name}` holds a value that is not a number or infinite")]
    NotFiniteWeights {
        /// The tensor's name, made safe to print.
        name: String,
    },
    /// The network's result is NaN or infinite: its weights do not fit the picture's values.
    #[error(
        "the network's result is not a number or infinite at column {x}, row {y}; the weights are damaged or diverged{}",
        beyond(*.precision)
    )]
    NotFiniteResult {
        /// The pixel's column.
        x: u32,
        /// The pixel's row.
        y: u32,
        /// In which the network computed.
        precision: Precision,
    },
    /// A configuration that describes no network.
    #[error("{option} must be {expected}, got {got}")]
    Config {
        /// The option's name.
        option: &'static str,
        /// The values it may take.
        expected: &'static str,
        /// The value that came.
        got: String,
    },
    /// A tensor that is no batch of pictures.
    #[error("pictures must be [B, 3, H, W] with no dimension 0, got {got:?}")]
    Pictures {
        /// The shape that came.
        got: candle_core::Shape,
    },
    /// Tensors of pictures in another type than the network computes in.
    #[error("this network takes pictures of {expected:?}, got {got:?}; `to_dtype` converts them")]
    PictureType {
        /// The type that was needed.
        expected: candle_core::DType,
        /// The type that came.
        got: candle_core::DType,
    },
    /// A picture without pixels.
    #[error("the picture has no pixels ({width}x{height})")]
    EmptyPicture {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A float picture with a pixel that is NaN or infinite.
    #[error("the picture has a value that is not a number or infinite at column {x}, row {y}")]
    NotFinite {
        /// The pixel's column.
        x: u32,
        /// The pixel's row.
        y: u32,
    },
    /// A pixel format this crate does not know.
    #[error("pixels of the format {format} are not supported; convert the picture to 8 or 16 bits a channel")]
    PixelFormat {
        /// The format's name.
        format: String,
    },
    /// The network would need more memory than allowed.
    #[error(
        "a picture of {width}x{height} needs about {:.1} MB, more than the {:.1} MB allowed; raise the limit, or cut or scale the picture",
        *.needed as f64 / 1e6,
        *.limit as f64 / 1e6
    )]
    Memory {
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
        /// Bytes that inference would take.
        needed: u64,
        /// Bytes that it may take.
        limit: u64,
    },
    /// A GPU has no memory left for a picture, not even for a band of its rows.
    #[error(
        "the GPU has no memory left for a picture of {width}x{height}, nor for bands of it; cut or scale the picture, or compute on the cpu, which needs less"
    )]
    DeviceMemory {
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
    },
    /// The temporary file that holds what memory does not could not be made, read or written.
    #[error(
        "the temporary file for the picture's features cannot be used; name a folder with room, or allow more memory"
    )]
    Spool(#[source] std::io::Error),
    /// Whoever watched a run's progress stopped it.
    #[error("the run was stopped")]
    Stopped,
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

/// What else may have gone wrong: features that f32 holds can be infinite in f16.
fn beyond(precision: Precision) -> &'static str {
    match precision {
        Precision::F16 => ", or features are beyond the 65,504 that f16 holds: use bf16 or f32",
        Precision::F32 | Precision::Bf16 => "",
    }
}

impl Error {
    /// Whether a GPU had no memory left, for a picture or for the weights.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::DeviceMemory { .. } => true,
            Self::Ops(error) => device::is_out_of_memory(error),
            Self::Candle(error) => device::is_out_of_memory(error),
            Self::WeightFile(error) => device::is_out_of_memory(error),
            Self::WeightsAt { source, .. } => source.downcast_ref().is_some_and(Self::is_out_of_memory),
            _ => false,
        }
    }

    /// Whether a picture was too much for a GPU: for its memory, or for what counts elements there.
    pub(crate) fn is_too_large_for_device(&self) -> bool {
        matches!(self, Self::Ops(derain_ops::Error::TooManyElements { .. })) || self.is_out_of_memory()
    }
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    /// As candle gives it back from an operation of `derain-ops`.
    fn of_operation(error: derain_ops::Error) -> Error {
        candle_core::Error::from(error).into()
    }

    fn full() -> derain_ops::Error {
        derain_ops::Error::OutOfDeviceMemory { op: "irnn", device: "cuda:0".into(), shapes: "[1]".into() }
    }

    fn at(source: Error) -> Error {
        Error::WeightsAt { path: "a.pth".into(), source: Box::new(source) }
    }

    #[test]
    fn a_gpu_without_memory_is_told_in_every_wrapping() {
        let of_weights = WeightError::of_candle(&[1], candle_core::DType::F32)(full().into());
        for error in [full().into(), of_operation(full()), Error::WeightFile(of_weights)] {
            assert!(error.is_out_of_memory() && error.is_too_large_for_device(), "{error}");
            assert!(at(error).is_out_of_memory());
        }
        assert!(Error::DeviceMemory { width: 1, height: 1 }.is_out_of_memory());
        let many = of_operation(derain_ops::Error::TooManyElements { op: "irnn", got: 1 });
        assert!(many.is_too_large_for_device() && !many.is_out_of_memory(), "{many}");
        for other in [candle_core::Error::UnwrapNone.into(), derain_ops::Error::NoCuda { ordinal: 0 }.into()] {
            assert!(!at(other).is_out_of_memory());
        }
    }

    #[test]
    fn sources_are_found_by_their_types() {
        let outer = at(WeightError::BigEndian.into());
        let source = StdError::source(&outer).and_then(|source| source.downcast_ref());
        assert!(matches!(source, Some(Error::WeightFile(WeightError::BigEndian))), "{outer}");
        let tensor = WeightError::of_candle(&[1], candle_core::DType::F32)(candle_core::Error::UnwrapNone);
        assert!(StdError::source(&tensor).is_some_and(|source| source.is::<candle_core::Error>()));
    }

    #[test]
    fn what_a_source_says_is_not_said_twice() {
        let unwritable = WeightError::from(safetensors::SafeTensorError::HeaderTooLarge);
        for error in [Error::from(unwritable), at(WeightError::BigEndian.into()), of_operation(full())] {
            let said = error.to_string();
            let sources = std::iter::successors(StdError::source(&error), |&error| error.source());
            sources.for_each(|source| assert!(!said.contains(&source.to_string()), "{said}"));
        }
    }

    #[test]
    fn results_beyond_f16_are_told_from_damaged_weights() {
        let said = |precision| Error::NotFiniteResult { x: 1, y: 2, precision }.to_string();
        assert!(
            said(Precision::F16)
                .ends_with("diverged, or features are beyond the 65,504 that f16 holds: use bf16 or f32")
        );
        assert!(said(Precision::F32).ends_with("diverged") && said(Precision::Bf16).ends_with("diverged"));
    }
}
