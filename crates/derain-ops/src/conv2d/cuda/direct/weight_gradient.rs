//! The gradient of a convolution's weights on CUDA: grids, arguments and scratch of `weight_gradient.cu`.
//!
//! Blocks share the pixels among themselves; each lane sums its own in the type of arithmetic, and blocks' sums are
//! added in f64, all in a fixed order: equal input gives equal bits. In f32 a lane's sum is as long as its share, over
//! which rounding grows: 500 terms for most layers, 130,000 where channels are 256 and the batch is 16 pictures of
//! 512x512. Halves are multiplied in f32 here, not by tensor cores.

use candle_core::DType;

use super::{bits, serves};
use crate::cuda::{Arg, Grid, Launcher, Source, arithmetic, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "conv2d_weight_gradient",
    text: concat!(
        include_str!("../../../cuda/copies.cu"),
        include_str!("../../../cuda/sums.cu"),
        include_str!("tile.cu"),
        include_str!("weight_gradient.cu")
    ),
};

/// As many blocks as keep a GPU's processors at work, where there are pixels enough.
const BLOCKS: usize = 1024;

/// GRADIENT_OUTPUTS of the kernels.
const OUTPUTS: usize = 16;

/// A convolution that [`serves`].
pub(crate) struct Convolution {
    pub(crate) dtype: DType,
    /// Of x.
    pub(crate) planes: Planes,
    /// O.
    pub(crate) outputs: usize,
    /// K.
    pub(crate) size: usize,
    pub(crate) dilation: usize,
}

impl Convolution {
    /// Blocks that share a tile's outputs and channels among themselves.
    fn groups(&self) -> usize {
        let channels = if self.size == 1 { 32 } else { 4 };
        self.outputs.div_ceil(OUTPUTS) * self.planes.channels.div_ceil(channels)
    }
}

/// The gradient for the weights `[O, C, K, K]`, from `x` and the gradient `[B, O, H, W]` for the sums.
///
/// # Safety
/// [`serves`] must say so. The buffers must hold what this says.
pub(crate) unsafe fn weight_gradient<L: Launcher>(
    launcher: &L,
    convolution: &Convolution,
    x: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let &Convolution { dtype, planes, outputs, size, dilation } = convolution;
    debug_assert!(serves(planes, outputs, size, dilation));
    // GRADIENT_PIXELS.
    let pixels = 1024 / arithmetic(dtype).size_in_bytes();
    let tiles = planes.width.div_ceil(1 << bits(planes)) * planes.height.div_ceil(pixels >> bits(planes));
    // Tiles are counted in an int.
    let tiles = int(SOURCE.name, "B·H·W", planes.batch * tiles)? as usize;
    let splits = BLOCKS.div_ceil(convolution.groups()).min(tiles);
    // SAFETY: as the caller's.
    unsafe { by_splits(launcher, convolution, splits, x, grad) }
}

/// [`weight_gradient`] with the pixels shared among `splits` blocks.
///
/// # Safety
/// As [`weight_gradient`].
pub(crate) unsafe fn by_splits<L: Launcher>(
    launcher: &L,
    convolution: &Convolution,
    splits: usize,
    x: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let &Convolution { dtype, planes, outputs, size, dilation } = convolution;
    let Planes { batch, channels, height, width } = planes;
    let weights = outputs * channels * size * size;
    let partial = launcher.allocate(arithmetic(dtype), splits * weights)?;
    let d_weight = launcher.allocate(dtype, weights)?;
    let mut arguments = vec![x.again(), grad.again(), Arg::Buffer(&partial)];
    let counts = [
        ("B", batch),
        ("C", channels),
        ("O", outputs),
        ("H", height),
        ("W", width),
        ("dilation", if size == 1 { 1 } else { dilation }),
        ("bits", bits(planes) as usize),
        ("splits", splits),
    ];
    for (name, count) in counts {
        arguments.push(Arg::Int(int(SOURCE.name, name, count)?));
    }
    let totals = [
        Arg::Buffer(&partial),
        Arg::Buffer(&d_weight),
        Arg::Int(int(SOURCE.name, "O·C·K·K", weights)?),
        Arg::Int(int(SOURCE.name, "splits", splits)?),
    ];
    // TOTALS and SHARES of the kernel.
    let totals_grid = Grid { blocks: weights.div_ceil(32), threads: (32, 8) };
    let kernel = if size == 1 { "conv2d_weight_gradient_1x1" } else { "conv2d_weight_gradient_3x3" };
    // SAFETY: these are the kernels' parameters; each sum belongs to one warp, each weight to one block.
    unsafe {
        launcher.launch(&SOURCE, dtype, kernel, Grid::of_sums(convolution.groups() * splits), &arguments)?;
        launcher.launch(&SOURCE, dtype, "conv2d_weight_gradient_total", totals_grid, &totals)?;
    }
    Ok(d_weight)
}

#[cfg(test)]
mod tests;
