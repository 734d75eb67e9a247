//! Frames laid over the first one, and scenes that move refused.
//!
//! A clean image takes each pixel's values over all frames, so every frame must show the same thing
//! at the same pixel: one pixel of drift ruins it. [`StillnessCheck`] notices a camera that moved;
//! [`Registration`] undoes small movements: shifts, or shifts with rotation and scale
//! ([`MotionModel`]).
//!
//! The motion is the one that minimises a robust sum of luma differences, coarse to fine, by
//! Gauss–Newton steps (`align.rs`). Streaks of rain are differences too large to pull. Frames are
//! then resampled ([`Resampling`]); a shift within 1/16 pixel of a whole number of pixels is taken
//! for that and copies them, so whole-pixel shake is undone exactly.
//!
//! A scene is refused when the motion goes beyond a limit, as in a pan, or when many parts of the
//! picture do not follow the whole: parallax, or rotation where only shifts are undone.
//!
//! ```
//! use derain_data::{MotionOptions, Registration};
//! use image::{Rgb, RgbImage, imageops};
//!
//! let scene = RgbImage::from_fn(96, 64, |x, y| Rgb([((x * x + 3 * y * y) / 40 % 256) as u8; 3]));
//! let moved = imageops::crop_imm(&scene, 2, 1, 80, 60).to_image();
//! let first = imageops::crop_imm(&scene, 0, 0, 80, 60).to_image();
//!
//! let mut registration = Registration::new(MotionOptions::default())?;
//! registration.register(&first)?;
//! let registered = registration.register(&moved)?;
//! // What was at (2, 1) is at (0, 0).
//! assert_eq!((registered.motion.dx, registered.motion.dy), (-2.0, -1.0));
//! assert_eq!((registered.missing.left, registered.missing.top), (2, 1));
//! assert_eq!(registered.image.get_pixel(40, 30), first.get_pixel(40, 30));
//! # Ok::<(), derain_data::Error>(())
//! ```

mod align;
mod blocks;
mod equations;
mod motion;
mod options;
mod pyramid;
mod rectangle;
mod resample;
mod sample;
mod steady;
mod step;
mod stillness;
#[cfg(test)]
mod tests;

use image::RgbImage;

use crate::Error;
use crate::brief_debug::brief_debug;

pub use motion::{Insets, Motion};
pub use options::{MotionModel, MotionOptions};
pub use resample::Resampling;
pub use steady::{Camera, steady};
pub use stillness::{STILL_LIMIT, StillnessCheck};

use align::Aligner;
use pyramid::Pyramid;

/// Motion is measured at the first resolution with at most this many pixels. With so many to
/// average, halving twice as much does not lower the precision that counts.
const FINEST_PIXELS: usize = 1_200_000;

/// Shifts this near to whole pixels, in pixels, are taken for whole. About the precision of the
/// measurement in dense rain, and too little to be seen.
const SNAP: f64 = 1.0 / 16.0;

/// A frame as the first frame sees it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Registered {
    /// The pixels, each at its place in the first frame.
    pub image: RgbImage,
    /// Where the first frame's pixels were in this frame; what `image` was resampled by.
    pub motion: Motion,
    /// Borders of `image` that the frame does not show.
    pub missing: Insets,
}

brief_debug!(Registered, |registered| {
    image: registered.image.dimensions(),
    motion: registered.motion,
    missing: registered.missing,
});

/// Registers frames to the first.
#[derive(Clone, Debug)]
pub struct Registration {
    options: MotionOptions,
    reference: Option<(Pyramid, (u32, u32))>,
    frames: usize,
}

impl Registration {
    /// With no frame yet.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn new(options: MotionOptions) -> Result<Self, Error> {
        options.check()?;
        Ok(Self { options, reference: None, frames: 0 })
    }

    /// Frames registered so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Registers the next frame. The first is returned as it is.
    ///
    /// # Errors
    /// [`Error::FrameSize`] if the frame is not as large as the first, [`Error::SceneMoves`] or
    /// [`Error::PartsMove`] if it cannot be laid over the first. The registration is as before then.
    pub fn register(&mut self, frame: &RgbImage) -> Result<Registered, Error> {
        let size = frame.dimensions();
        let Some((reference, expected)) = &self.reference else {
            self.reference = Some((Pyramid::new(frame, FINEST_PIXELS), size));
            self.frames = 1;
            return Ok(Registered { image: frame.clone(), motion: Motion::default(), missing: Insets::default() });
        };
        if size != *expected {
            return Err(Error::FrameSize { frame: self.frames, found: size, expected: *expected });
        }
        let pyramid = Pyramid::new(frame, FINEST_PIXELS);
        let aligner = Aligner { reference, frame: &pyramid, size };
        let motion = self.measure(&aligner)?;
        let image = resample::resample(frame, &motion, self.options.resampling);
        self.frames += 1;
        Ok(Registered { image, motion, missing: Insets::of(&motion, size) })
    }

    fn measure(&self, aligner: &Aligner) -> Result<Motion, Error> {
        let size = aligner.size;
        let estimate = aligner.global(self.options.model);
        if estimate.error.is_infinite() {
            // Nothing to see anywhere: any motion does, so none is best.
            return Ok(Motion::default());
        }
        let motion = snap(estimate.motion, size);
        let limit = self.options.max_shift * f64::from(size.0.max(size.1));
        let way = motion.largest(size);
        // Not a number is beyond every limit.
        if way.is_nan() || way > limit {
            let Motion { dx, dy, .. } = motion;
            let advice = "take frames between which the camera stays in place, from a tripod if need be";
            return Err(Error::SceneMoves { frame: self.frames, dx, dy, way, limit, advice });
        }
        let parts = blocks::compare(aligner, &motion, self.options.max_way);
        if parts.moving as f64 > self.options.max_moving * parts.seen as f64 {
            let advice = match self.options.model {
                MotionModel::Translation => {
                    "if the camera turned or zoomed, register with `MotionModel::Similarity` (`--camera turning`)"
                }
                MotionModel::Similarity => "near and far things cannot both be laid over the first frame",
            };
            let (moving, seen, way) = (parts.moving, parts.seen, parts.way);
            return Err(Error::PartsMove {
                frame: self.frames,
                dx: motion.dx,
                dy: motion.dy,
                moving,
                seen,
                way,
                advice,
            });
        }
        Ok(motion)
    }
}

/// Whole pixels where the motion is nearly that.
fn snap(motion: Motion, size: (u32, u32)) -> Motion {
    let shift = Motion::shift(motion.dx, motion.dy);
    let corners = motion.corners(size).into_iter();
    let turned = corners.map(|(x, y)| (x - shift.dx).hypot(y - shift.dy)).fold(0.0, f64::max);
    if turned > SNAP {
        return motion;
    }
    let whole = |shift: f64| if (shift - shift.round()).abs() <= SNAP { shift.round() } else { shift };
    Motion::shift(whole(shift.dx), whole(shift.dy))
}
