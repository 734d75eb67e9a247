//! Sizes of kernels that sum over a square window around each pixel: `window.cu`.

use super::{Arg, Grid, int};
use crate::{Error, Planes, Result};

/// THREADS of the kernels.
const THREADS: usize = 256;

/// A strip's halo is as wide as the window on both sides together: beyond this, half of the threads and more would only
/// serve it.
pub(crate) const MOST_RADIUS: usize = THREADS / 4;

/// A launch over all strips and bands of all planes.
pub(crate) struct Window {
    pub(crate) grid: Grid,
    height: i32,
    width: i32,
    radius: i32,
    band: i32,
}

impl Window {
    /// For a window of `side` pixels. `band` gives the rows of a block for the radius.
    pub(crate) fn of(op: &'static str, planes: Planes, side: usize, band: impl FnOnce(usize) -> usize) -> Result<Self> {
        let Planes { batch, channels, height, width } = planes;
        // A window that reaches beyond the picture on all sides sees no more by reaching further.
        let radius = (side / 2).min(height.max(width));
        if radius > MOST_RADIUS {
            let expected = "at most 129 pixels on CUDA";
            return Err(Error::Option { op, option: "window", expected, got: side.to_string() });
        }
        let band = band(radius);
        // Offsets within a plane are ints, from the rows before it to those after it.
        int(op, "H·W", (height + band + 2 * radius) * width)?;
        let strips = width.div_ceil(THREADS - 2 * radius);
        Ok(Self {
            grid: Grid { blocks: batch * channels * height.div_ceil(band) * strips, threads: (THREADS as u32, 1) },
            height: int(op, "H", height)?,
            width: int(op, "W", width)?,
            radius: int(op, "window", radius)?,
            band: int(op, "window", band)?,
        })
    }

    /// H, W, the window's radius and the rows of a band, which every kernel takes in this order.
    pub(crate) fn arguments<'a, B>(&self) -> [Arg<'a, B>; 4] {
        [Arg::Int(self.height), Arg::Int(self.width), Arg::Int(self.radius), Arg::Int(self.band)]
    }
}
