//! A part of a picture, at any level of its pyramid.

use super::pyramid::Plane;

/// Pixels left out at the rectangle's border, where gradients need neighbours.
const MARGIN: usize = 1;

/// Columns and rows of a picture, in its own pixels: from the first to before the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) x: [usize; 2],
    pub(super) y: [usize; 2],
}

impl Rectangle {
    pub(super) fn whole(size: (u32, u32)) -> Self {
        Self { x: [0, size.0 as usize], y: [0, size.1 as usize] }
    }

    /// The same in a level whose pixels are `pixel_size` large, less the margin.
    pub(super) fn at_level(&self, plane: &Plane, pixel_size: f64) -> Self {
        let side = |[from, to]: [usize; 2], length: usize| {
            let scaled = |at: usize| (at as f64 / pixel_size).round() as usize;
            let to = scaled(to).min(length.saturating_sub(MARGIN));
            [scaled(from).max(MARGIN).min(to), to]
        };
        Self { x: side(self.x, plane.width), y: side(self.y, plane.height) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.x[0] >= self.x[1] || self.y[0] >= self.y[1]
    }
}
