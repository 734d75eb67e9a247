//! Upsampling on CUDA: grids and arguments of `kernels.cu`.
//!
//! What cannot be avoided, in elements for each pixel of the small picture, is what the kernels move: forward reads 1
//! and writes 4, backward reads 4 and writes 1. Neighbouring threads read the same pixels: those come from the cache.

use candle_core::DType;

use super::Upsampling;
use crate::cuda::{Arg, Grid, Launcher, Source, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source =
    Source { name: "upsample2x", text: concat!(include_str!("../cuda/planes.cu"), include_str!("kernels.cu")) };

/// `x`, whose dimensions are `planes` and whose type of elements is `dtype`, at twice its height and width.
///
/// # Safety
/// `x` must hold its planes.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    mode: Upsampling,
    x: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let [height, width] = sides(planes)?;
    let out = launcher.allocate(dtype, 4 * planes.len())?;
    let grid = Grid::of_planes(planes.batch * planes.channels, 4 * planes.pixels());
    let kernel = match mode {
        Upsampling::Nearest => "upsample2x_nearest",
        Upsampling::Bilinear => "upsample2x_bilinear",
    };
    // SAFETY: these are the kernel's parameters; a thread for each result reads pixels of its own plane.
    unsafe { launcher.launch(&SOURCE, dtype, kernel, grid, &[x.again(), Arg::Buffer(&out), height, width])? };
    Ok(out)
}

/// The gradient for x of a sum weighted by `grad`; `planes` are the dimensions of the small picture.
///
/// # Safety
/// `grad` must hold four times the planes' elements.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    mode: Upsampling,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let [height, width] = sides(planes)?;
    let d_x = launcher.allocate(dtype, planes.len())?;
    let grid = Grid::of_planes(planes.batch * planes.channels, planes.pixels());
    let kernel = match mode {
        Upsampling::Nearest => "upsample2x_nearest_backward",
        Upsampling::Bilinear => "upsample2x_bilinear_backward",
    };
    // SAFETY: these are the kernel's parameters; a thread for each pixel of x reads gradients of its own plane.
    unsafe { launcher.launch(&SOURCE, dtype, kernel, grid, &[grad.again(), Arg::Buffer(&d_x), height, width])? };
    Ok(d_x)
}

/// H and W.
fn sides<'a, B>(planes: Planes) -> Result<[Arg<'a, B>; 2]> {
    // Offsets within a plane of the large picture are ints.
    int(SOURCE.name, "4·H·W", 4 * planes.pixels())?;
    Ok([Arg::Int(int(SOURCE.name, "H", planes.height)?), Arg::Int(int(SOURCE.name, "W", planes.width)?)])
}
