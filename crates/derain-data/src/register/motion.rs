//! How a frame lies against the first.

use image::{RgbImage, imageops};
use serde::Serialize;

/// Where the first frame's pixels lie in another frame: (x, y) at
/// c + `scale` R(`rotation`) ((x, y) − c) + (`dx`, `dy`), c the picture's centre.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Motion {
    /// Pixels to the right.
    pub dx: f64,
    /// Pixels down.
    pub dy: f64,
    /// Radians, from the x axis towards the y axis: clockwise on the screen.
    pub rotation: f64,
    /// Enlargement, 1 for none.
    pub scale: f64,
}

impl Default for Motion {
    /// No motion.
    fn default() -> Self {
        Self { dx: 0.0, dy: 0.0, rotation: 0.0, scale: 1.0 }
    }
}

impl Motion {
    /// A shift.
    pub(super) fn shift(dx: f64, dy: f64) -> Self {
        Self { dx, dy, ..Self::default() }
    }

    /// The matrix (p −q; q p) of rotation and scale.
    pub(super) fn matrix(&self) -> (f64, f64) {
        (self.scale * self.rotation.cos(), self.scale * self.rotation.sin())
    }

    pub(super) fn from_matrix(p: f64, q: f64, dx: f64, dy: f64) -> Self {
        Self { dx, dy, rotation: q.atan2(p), scale: p.hypot(q) }
    }

    /// How far the pixel at (`x`, `y`) moves in pictures of `size` = (width, height), in pixels.
    #[must_use]
    pub fn displacement(&self, size: (u32, u32), x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x - (f64::from(size.0) - 1.0) / 2.0, y - (f64::from(size.1) - 1.0) / 2.0);
        let (p, q) = self.matrix();
        (self.dx + (p - 1.0) * x - q * y, self.dy + q * x + (p - 1.0) * y)
    }

    /// How far the four corners move: upper left, upper right, lower left, lower right.
    pub(super) fn corners(&self, size: (u32, u32)) -> [(f64, f64); 4] {
        let (right, bottom) = (f64::from(size.0) - 1.0, f64::from(size.1) - 1.0);
        [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)].map(|(x, y)| self.displacement(size, x, y))
    }

    /// The longest way that a pixel of a picture of `size` moves, in pixels.
    #[must_use]
    pub fn largest(&self, size: (u32, u32)) -> f64 {
        // The displacement is linear, so its length is largest in a corner.
        self.corners(size).into_iter().map(|(x, y)| x.hypot(y)).fold(0.0, f64::max)
    }
}

/// Rows and columns at the borders of a registered frame whose content is not in the frame: the
/// pixels there repeat its nearest ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Insets {
    /// Columns at the left.
    pub left: u32,
    /// Rows at the top.
    pub top: u32,
    /// Columns at the right.
    pub right: u32,
    /// Rows at the bottom.
    pub bottom: u32,
}

impl Insets {
    pub(super) fn of(motion: &Motion, size: (u32, u32)) -> Self {
        let [upper_left, upper_right, lower_left, lower_right] = motion.corners(size);
        // Casts saturate: negative lengths become 0.
        let inset = |a: f64, b: f64, side: u32| (a.max(b).ceil() as u32).min(side);
        Self {
            left: inset(-upper_left.0, -lower_left.0, size.0),
            right: inset(upper_right.0, lower_right.0, size.0),
            top: inset(-upper_left.1, -upper_right.1, size.1),
            bottom: inset(lower_left.1, lower_right.1, size.1),
        }
    }

    /// What is within of a picture of that size: left, top, width, height.
    #[must_use]
    pub fn within(self, (width, height): (u32, u32)) -> (u32, u32, u32, u32) {
        let seen = |side: u32, first: u32, last: u32| side.saturating_sub(first).saturating_sub(last);
        (self.left, self.top, seen(width, self.left, self.right), seen(height, self.top, self.bottom))
    }

    /// What is within of a picture, without the borders. Nothing, 0 pixels wide or high, if they meet.
    #[must_use]
    pub fn crop(self, picture: &RgbImage) -> RgbImage {
        let (left, top, width, height) = self.within(picture.dimensions());
        imageops::crop_imm(picture, left, top, width, height).to_image()
    }

    /// The larger of both on each side: what is missing in either of two frames.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::{Insets, Motion};

    #[test]
    fn a_quarter_turn_moves_corners_to_corners() {
        let motion = Motion { rotation: std::f64::consts::FRAC_PI_2, ..Motion::default() };
        let (dx, dy) = motion.displacement((5, 5), 0.0, 0.0);
        assert!((dx - 4.0).abs() < 1e-12 && dy.abs() < 1e-12, "{dx} {dy}");
        assert!((motion.largest((5, 5)) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn insets_are_where_the_frame_ends() {
        // The first frame's pixel 0 lies at −1.5 of the other one: two columns are missing.
        let insets = Insets::of(&Motion::shift(-1.5, 2.0), (10, 10));
        assert_eq!(insets, Insets { left: 2, top: 0, right: 0, bottom: 2 });
        assert_eq!(
            insets.union(Insets { top: 1, ..Insets::default() }),
            Insets { left: 2, top: 1, right: 0, bottom: 2 }
        );
        assert_eq!(insets.within((10, 20)), (2, 0, 8, 18));
        assert_eq!(Insets::of(&Motion::shift(-100.0, 0.0), (10, 10)).left, 10);
    }

    #[test]
    fn crops_leave_the_borders_out() {
        let picture = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 0]));
        let cropped = Insets { left: 2, top: 1, right: 1, bottom: 0 }.crop(&picture);
        assert_eq!(cropped, RgbImage::from_fn(2, 3, |x, y| Rgb([x as u8 + 2, y as u8 + 1, 0])));
        assert_eq!(Insets::default().crop(&picture), picture);
        assert_eq!(Insets { left: 3, right: 2, ..Insets::default() }.crop(&picture).dimensions(), (0, 4));
        let beyond = Insets { left: u32::MAX, top: 9, right: 1, bottom: u32::MAX };
        assert_eq!(beyond.crop(&picture).dimensions(), (0, 0));
    }
}
