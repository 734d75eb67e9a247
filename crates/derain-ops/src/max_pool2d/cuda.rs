//! Max pooling on CUDA: grids and arguments of `kernels.cu`.
//!
//! What cannot be avoided, in elements for each pixel of x, is what the kernels move: forward reads 1 and writes 1/4,
//! backward reads 1 and 1/4 (the winner is found again) and writes 1.

use candle_core::DType;

use crate::cuda::{Arg, Grid, Launcher, Source, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source =
    Source { name: "max_pool2d", text: concat!(include_str!("../cuda/planes.cu"), include_str!("kernels.cu")) };

/// The largest pixel of every window of `x`, whose dimensions are `planes` and whose type of elements is `dtype`.
///
/// # Safety
/// `x` must hold its planes; their heights and widths must be even.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    x: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let [height, width] = sides(planes)?;
    let out = launcher.allocate(dtype, planes.len() / 4)?;
    let grid = Grid::of_planes(planes.batch * planes.channels, planes.pixels() / 4);
    // SAFETY: these are the kernel's parameters; a thread for each result reads the window that the caller vouches for.
    unsafe {
        launcher.launch(&SOURCE, dtype, "max_pool2d_forward", grid, &[x.again(), Arg::Buffer(&out), height, width])?
    };
    Ok(out)
}

/// The gradient for x of a sum weighted by `grad`.
///
/// # Safety
/// As [`forward`], and `grad` must hold as many elements as its result.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    x: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let [height, width] = sides(planes)?;
    let d_x = launcher.allocate(dtype, planes.len())?;
    let grid = Grid::of_planes(planes.batch * planes.channels, planes.pixels());
    let arguments = [x.again(), grad.again(), Arg::Buffer(&d_x), height, width];
    // SAFETY: these are the kernel's parameters; a thread for each pixel of x reads its window and that window's
    // gradient.
    unsafe { launcher.launch(&SOURCE, dtype, "max_pool2d_backward", grid, &arguments)? };
    Ok(d_x)
}

/// H and W.
fn sides<'a, B>(planes: Planes) -> Result<[Arg<'a, B>; 2]> {
    // Offsets within a plane are ints.
    int(SOURCE.name, "H·W", planes.pixels())?;
    Ok([Arg::Int(int(SOURCE.name, "H", planes.height)?), Arg::Int(int(SOURCE.name, "W", planes.width)?)])
}
