use std::error::Error as StdError;

use candle_core::{DType, Shape};

use crate::one_line::one_line;

/// What can be wrong with a call of this crate's operations. Causes are in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument's shape does not fit the operation or the other arguments.
    #[error("{op}: `{argument}` must have shape {expected}, got {got:?}")]
    Shape {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name in the operation's signature.
        argument: &'static str,
        /// The shape that was needed, in words.
        expected: String,
        /// The shape that came.
        got: Shape,
    },
    /// The element type is not one the operation computes in, or the arguments' types differ.
    #[error(
        "{op}: `{argument}` is {got:?}; this operation takes f32 or f64, on GPUs also f16 and bf16, the same for all its arguments"
    )]
    DType {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name in the operation's signature.
        argument: &'static str,
        /// The type that came.
        got: DType,
    },
    /// A slice does not hold as many elements as its stated dimensions need.
    #[error("{op}: `{argument}` must hold {expected} elements, got {got}")]
    Length {
        /// The operation that was called.
        op: &'static str,
        /// The argument's name in the operation's signature.
        argument: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// An option lies outside its range.
    #[error("{op}: {option} must be {expected}, got {got}")]
    Option {
        /// The operation that was called.
        op: &'static str,
        /// The option's name.
        option: &'static str,
        /// The values it may take, in words.
        expected: &'static str,
        /// The value that came, printed.
        got: String,
    },
    /// A GPU was asked for in a build that cannot use any.
    #[error(
        "cuda:{ordinal} cannot be used: this build has no CUDA support; build with the feature `cuda`, or compute on the cpu"
    )]
    NoCuda {
        /// The GPU's number.
        ordinal: usize,
    },
    /// There is no such GPU, or its driver does not answer.
    #[error("cuda:{ordinal} cannot be used: {reason}; `nvidia-smi -L` lists the GPUs that the driver sees")]
    NoDevice {
        /// The GPU's number.
        ordinal: usize,
        /// What the driver said.
        reason: String,
    },
    /// The GPU is older than those that operations have kernels for.
    #[error(
        "cuda:{ordinal} cannot be used: its compute capability is {major}.{minor}, and 8.0 or newer is needed; compute on the cpu"
    )]
    OldDevice {
        /// The GPU's number.
        ordinal: usize,
        /// Its compute capability, before the point.
        major: i32,
        /// And behind it.
        minor: i32,
    },
    /// The operation has no kernels for the device that its arguments are on.
    #[error("{op} does not run on {device}: move its arguments to the cpu")]
    Device {
        /// The operation that was called.
        op: &'static str,
        /// The device.
        device: String,
    },
    /// An operation's kernels could not be compiled for a GPU.
    #[error("{op}: its kernels for {dtype:?} do not compile for {device}:\n{log}")]
    Kernels {
        /// The operation that was called.
        op: &'static str,
        /// The type of elements that they were compiled for.
        dtype: DType,
        /// The GPU.
        device: String,
        /// What the compiler said.
        log: String,
    },
    /// A GPU has no memory left for an operation.
    #[error(
        "{op}: {device} has no memory left for inputs of shape {shapes}; use smaller pictures or batches, or compute on the cpu"
    )]
    OutOfDeviceMemory {
        /// The operation that was called.
        op: &'static str,
        /// The GPU.
        device: String,
        /// The inputs' shapes.
        shapes: String,
    },
    /// More elements than a GPU's kernels can count. Take fewer rows at once.
    #[error("{op}: {got} elements exceed the GPU kernels' limit of 4,294,967,295; use smaller pictures or batches")]
    TooManyElements {
        /// The operation that was called.
        op: &'static str,
        /// The elements of its largest tensor.
        got: usize,
    },
    /// A GPU's driver refused a launch. It may report the failure of an earlier one: `CUDA_LAUNCH_BLOCKING=1` makes
    /// each launch wait for its end.
    #[error("{op} failed on {device} for inputs of shape {shapes}")]
    Cuda {
        /// The operation that was called.
        op: &'static str,
        /// The GPU.
        device: String,
        /// The inputs' shapes.
        shapes: String,
        /// What the driver said: a [`candle_core::Error`].
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The driver does not know the code that NVRTC makes of an operation's kernels.
    #[error(
        "{op}: the driver of {device} is older than this NVRTC: update it, or let the loader find the NVRTC of a CUDA version that it knows"
    )]
    DriverTooOld {
        /// The operation that was called.
        op: &'static str,
        /// The GPU.
        device: String,
        /// What the driver said: a [`candle_core::Error`].
        source: Box<dyn StdError + Send + Sync>,
    },
    /// candle refused an operation on the tensors.
    #[error("{}", one_line(.0))]
    Candle(candle_core::Error),
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            // Of candle's variants this one alone gives back what it holds.
            other => Self::Cuda(Box::new(other)),
        }
    }
}

/// An error of this crate that went through candle, as those of operations do, comes out as it was.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::Cuda(inner) => match inner.downcast() {
                Ok(own) => *own,
                Err(inner) => Self::Candle(candle_core::Error::Cuda(inner)),
            },
            other => Self::Candle(other),
        }
    }
}
