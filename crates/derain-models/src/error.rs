use std::path::PathBuf;

use derain_ops::device::is_out_of_memory;

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
        /// What is wrong with it.
        source: Box<Error>,
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
    /// An operation refused its input.
    #[error(transparent)]
    Ops(#[from] derain_ops::Error),
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What else may have gone wrong: features that f32 holds can be infinite in f16.
fn beyond(precision: Precision) -> &'static str {
    match precision {
        Precision::F16 => ", or features are beyond the 65,504 that f16 holds: use bf16 or f32",
        Precision::F32 | Precision::Bf16 => "",
    }
}

impl Error {
    /// Whether a picture was too much for a GPU: for its memory, or for what counts elements there.
    pub(crate) fn is_too_large_for_device(&self) -> bool {
        match self {
            Self::Ops(derain_ops::Error::TooManyElements { .. }) => true,
            Self::Ops(error) => is_out_of_memory(error),
            Self::Candle(error) => is_out_of_memory(error),
            _ => false,
        }
    }
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

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
