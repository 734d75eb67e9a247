//! What every metric asks of its two arrays.

use ndarray::{ArrayView3, Axis};

use crate::{Error, Side};

/// A sample of a picture: `f64`, `f32`, or an integer that `f64` holds exactly.
pub trait Sample: Copy + Into<f64> + Send + Sync {}

impl<T: Copy + Into<f64> + Send + Sync> Sample for T {}

/// `[H, W, C]` of both arrays, which must agree and hold something.
pub(crate) fn common_shape<A>(a: &ArrayView3<'_, A>, b: &ArrayView3<'_, A>) -> Result<[usize; 3], Error> {
    let [first, second] = [a, b].map(|view| view.dim().into());
    if first != second {
        return Err(Error::ShapeMismatch { first, second });
    }
    match first.contains(&0) {
        true => Err(Error::Empty { size: first }),
        false => Ok(first),
    }
}

pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), Error> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::NotPositive { name, value }),
    }
}

/// Why a score came out as NaN or infinite.
///
/// A sample that is not finite always makes the score so, therefore samples are looked at only afterwards.
pub(crate) fn explain<A: Sample>(a: &ArrayView3<'_, A>, b: &ArrayView3<'_, A>) -> Error {
    for (side, view) in [(Side::First, a), (Side::Second, b)] {
        if let Some((row, column, channel, value)) = find(view, |value| !value.is_finite()) {
            return Error::NotFinite { side, row, column, channel, value };
        }
    }
    Error::Overflow
}

/// The first sample in reading order that fits.
pub(crate) fn find<A: Sample>(
    view: &ArrayView3<'_, A>,
    fits: impl Fn(f64) -> bool,
) -> Option<(usize, usize, usize, f64)> {
    view.indexed_iter()
        .map(|((row, column, channel), &sample)| (row, column, channel, sample.into()))
        .find(|&(.., value)| fits(value))
}

/// The rows of an array in standard layout, each `W · C` samples long.
pub(crate) fn rows<'a, A>(view: &'a ArrayView3<'a, A>) -> Vec<&'a [A]> {
    view.axis_iter(Axis(0)).filter_map(|row| row.to_slice()).collect()
}
