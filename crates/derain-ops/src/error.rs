use candle_core::{DType, Shape};

/// What can be wrong with a call of this crate's operations.
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
    #[error("{op}: `{argument}` is {got:?}; this operation takes f32 or f64, the same for all its arguments")]
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
    /// candle refused an operation on the tensors.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            other => candle_core::Error::wrap(other),
        }
    }
}
