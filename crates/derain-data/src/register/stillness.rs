//! A camera that moved, noticed.

use image::RgbImage;

use super::align::Aligner;
use super::options::MotionModel;
use super::rectangle::Rectangle;
use super::{Motion, Pyramid, blocks};
use crate::Error;

/// A scene counts as still while it lies within this many pixels of the first frame. Beyond, a
/// pixel shows more of its neighbour than of itself.
pub const STILL_LIMIT: f64 = 0.5;

/// The share of the picture's parts that may move by themselves.
const MOST_MOVING: f64 = 1.0 / 3.0;

/// A motion counts only if the frame differs by less than this share of what it differs by at rest. On a plain wall in
/// heavy rain the best fit is as good as chance makes it; a camera that moved leaves no doubt.
const CONVINCING: f32 = 0.9;

/// In fewer pixels than these a few drops outweigh the scene, and no motion can be told: such frames pass.
const FEWEST_PIXELS: u32 = 2048;

/// Motion is measured at the first resolution with at most this many pixels: the limit is coarse.
const FINEST_PIXELS: usize = 300_000;

/// Checks that frames show the first frame's scene in the same place. Nothing is resampled.
#[derive(Clone, Debug, Default)]
pub struct StillnessCheck {
    reference: Option<(Pyramid, (u32, u32))>,
    frames: usize,
}

impl StillnessCheck {
    /// With no frame yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the next frame against the first.
    ///
    /// # Errors
    /// [`Error::FrameSize`] if the frame is not as large as the first, [`Error::SceneMoves`] if the
    /// picture has moved by more than [`STILL_LIMIT`] pixels, [`Error::PartsMove`] if more than a
    /// third of its parts have.
    pub fn check(&mut self, frame: &RgbImage) -> Result<(), Error> {
        let size = frame.dimensions();
        let pyramid = Pyramid::new(frame, FINEST_PIXELS);
        let index = self.frames;
        let Some((reference, expected)) = &self.reference else {
            self.reference = Some((pyramid, size));
            self.frames = 1;
            return Ok(());
        };
        self.frames += 1;
        if size != *expected {
            return Err(Error::FrameSize { frame: index, found: size, expected: *expected });
        }
        if size.0.saturating_mul(size.1) < FEWEST_PIXELS {
            return Ok(());
        }
        let aligner = Aligner { reference, frame: &pyramid, size };
        let estimate = aligner.global(MotionModel::Translation);
        if estimate.error.is_infinite() {
            return Ok(());
        }
        let motion = estimate.motion;
        let way = motion.largest(size);
        let whole = Rectangle::whole(size);
        let (there, at_rest) =
            (aligner.difference(&whole, &motion), aligner.difference(&whole, &Motion::shift(0.0, 0.0)));
        if way.is_nan() || (way > STILL_LIMIT && there < CONVINCING * at_rest) {
            return Err(Error::SceneMoves {
                frame: index,
                dx: motion.dx,
                dy: motion.dy,
                way,
                limit: STILL_LIMIT,
                advice: advice(&aligner, &motion),
            });
        }
        let parts = blocks::compare(&aligner, &motion, STILL_LIMIT);
        if parts.moving as f64 > MOST_MOVING * parts.seen as f64 {
            let (moving, seen, way) = (parts.moving, parts.seen, parts.way);
            let advice = advice(&aligner, &motion);
            return Err(Error::PartsMove { frame: index, dx: motion.dx, dy: motion.dy, moving, seen, way, advice });
        }
        Ok(())
    }
}

/// How a clip may be taken all the same, which depends on whether the camera turned beside this shift.
fn advice(aligner: &Aligner<'_>, shift: &Motion) -> &'static str {
    let turned = aligner.global(MotionModel::Similarity).motion;
    let corners = turned.corners(aligner.size).into_iter();
    let turn = corners.map(|(x, y)| (x - turned.dx).hypot(y - turned.dy)).fold(0.0, f64::max);
    let whole = Rectangle::whole(aligner.size);
    if turn > STILL_LIMIT && aligner.difference(&whole, &turned) < CONVINCING * aligner.difference(&whole, shift) {
        return "the camera turned or zoomed: take the clip with `Camera::Handheld` and, in it, `MotionModel::Similarity` (`--camera turning`), else \
                one from a tripod; by default (`--camera handheld`) shifts alone are undone";
    }
    "if a hand shook the camera, take the clip with `Camera::Handheld` (`--camera handheld`), and if it turned or zoomed as well, \
     with `MotionModel::Similarity` in it (`--camera turning`), else one from a tripod"
}
