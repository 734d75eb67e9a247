//! The crate's error type.

use std::fmt;

use crate::pairing::Problem;

/// Which of the two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first argument.
    First,
    /// The second argument.
    Second,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

/// Why there is no score, or no pairing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pictures differ in height, width or channels.
    #[error("the pictures differ in size: {} and {}", shape(first), shape(second))]
    ShapeMismatch {
        /// `[H, W, C]` of the first picture.
        first: [usize; 3],
        /// `[H, W, C]` of the second picture.
        second: [usize; 3],
    },
    /// There is nothing to compare.
    #[error("the pictures have no samples: {}", shape(size))]
    Empty {
        /// `[H, W, C]` of both pictures.
        size: [usize; 3],
    },
    /// The SSIM window does not fit into the picture.
    #[error("a picture of {height} x {width} is too small for SSIM with a window of {window} x {window}")]
    TooSmall {
        /// Rows of the pictures.
        height: usize,
        /// Columns of the pictures.
        width: usize,
        /// Side of the window.
        window: usize,
    },
    /// A sample is NaN or infinite.
    #[error("the {side} picture holds {value} at row {row}, column {column}, channel {channel}")]
    NotFinite {
        /// Which picture.
        side: Side,
        /// Where, from the top.
        row: usize,
        /// Where, from the left.
        column: usize,
        /// Which channel.
        channel: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// A protocol got a floating-point sample outside 0..1.
    #[error(
        "the {side} picture holds {value} at row {row}, column {column}, channel {channel}: \
         protocols take floating-point pictures in 0..1, so scale or clamp it first"
    )]
    OutOfRange {
        /// Which picture.
        side: Side,
        /// Where, from the top.
        row: usize,
        /// Where, from the left.
        column: usize,
        /// Which channel.
        channel: usize,
        /// The sample.
        value: f64,
    },
    /// The samples are finite, but squares of them are not.
    #[error("the samples are too large, or the data range too small or large, for a score in f64: scale the pictures")]
    Overflow,
    /// A protocol got an array that is neither colour nor grey.
    #[error("protocols take pictures of 3 channels (RGB) or 1 (grey), not {channels}")]
    Channels {
        /// Size of the last axis.
        channels: usize,
    },
    /// The side of the SSIM window has no middle, or the window holds nothing but it.
    #[error("the SSIM window must have an odd side of at least 3, not {size}")]
    WindowSize {
        /// Side of the window.
        size: usize,
    },
    /// A number that must be finite and greater than zero is not.
    #[error("{name} must be finite and greater than 0, not {value}")]
    NotPositive {
        /// Which option.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// No protocol has this name.
    #[error("there is no protocol `{name}`: choose rgb, y or spanet")]
    UnknownProtocol {
        /// What was given.
        name: String,
    },
    /// Some pictures have no partner, or more than one.
    #[error("the pictures do not pair:{}", lines(problems))]
    Pairing {
        /// All of them: first what has no partner, then what has too many.
        problems: Vec<Problem>,
    },
}

/// This crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

fn shape([height, width, channels]: &[usize; 3]) -> String {
    format!("{height} x {width} x {channels}")
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
