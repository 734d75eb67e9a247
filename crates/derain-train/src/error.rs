use candle_core::Shape;

/// What can be wrong with a call of this crate.
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
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;
