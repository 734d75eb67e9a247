//! How much a scene may move.

use super::resample::Resampling;
use crate::Error;

/// Which motions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MotionModel {
    /// Shifts.
    Translation,
    /// Shifts, rotation and scale.
    Similarity,
}

impl MotionModel {
    pub(super) fn has_matrix(self) -> bool {
        self == Self::Similarity
    }
}

/// How frames are registered, and from when on a scene counts as moving.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionOptions {
    /// The motions that are looked for and undone.
    pub model: MotionModel,
    /// How frames are resampled where the motion is not a whole number of pixels.
    pub resampling: Resampling,
    /// The farthest that any pixel of a frame may lie from its place in the first, as a share of the
    /// picture's width or height, whichever is larger. A hand shakes less; a pan soon goes beyond.
    pub max_shift: f64,
    /// How far, in pixels, a part of the picture may lie off after registration.
    pub max_way: f64,
    /// The largest share of such parts. Below it, they are taken for things that move in a scene that
    /// does not.
    pub max_moving: f64,
}

impl Default for MotionOptions {
    /// Shifts up to 3 % of the longer side; parts off by more than 1 pixel in a third of the picture.
    fn default() -> Self {
        Self {
            model: MotionModel::Translation,
            resampling: Resampling::Lanczos,
            max_shift: 0.03,
            max_way: 1.0,
            max_moving: 1.0 / 3.0,
        }
    }
}

impl MotionOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        for (option, value) in
            [("max_shift", self.max_shift), ("max_way", self.max_way), ("max_moving", self.max_moving)]
        {
            if value.is_nan() || value < 0.0 {
                return Err(Error::option(option, value, "0 or more"));
            }
        }
        Ok(())
    }
}
