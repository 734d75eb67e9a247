//! SSIM on CUDA: grids, arguments and scratch of `kernels.cu`.
//!
//! Traffic per pixel, with elements of e bytes and arithmetic in r (4, or 8 for f64):
//!
//! | pass | cannot be avoided | what the kernels move |
//! | --- | --- | --- |
//! | value | read x and y: 2·e | 2·e, and the halo, window - 1 rows and columns of a block of 4 x 246 at the default window, out of the second-level cache |
//! | value and gradients | read x and y, write dx and dy: 4·e | 6·e + 8·r and halos: four derivatives a pixel are written, and read again |
//!
//! Arithmetic outweighs traffic: 8·window multiply-adds in f64 a pixel for the value, twice that with gradients. The
//! value alone and the one with gradients are the same kernel, so a training step takes two passes over the pictures,
//! not three.

use candle_core::DType;

use super::SsimOptions;
use crate::cuda::window::Window;
use crate::cuda::{Arg, Grid, Launcher, Source, arithmetic, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "ssim",
    text: concat!(include_str!("../cuda/window.cu"), include_str!("../cuda/sums.cu"), include_str!("kernels.cu")),
};

/// ROWS of the kernels.
const ROWS: usize = 4;

/// Two pictures of one size and type of elements.
pub(crate) struct Pictures<'a, B> {
    pub(crate) dtype: DType,
    /// Of both.
    pub(crate) planes: Planes,
    pub(crate) x: Arg<'a, B>,
    pub(crate) y: Arg<'a, B>,
}

/// What [`forward_for_gradients`] gives.
pub(crate) struct Forward<B> {
    /// The mean SSIM, a scalar.
    #[allow(
        dead_code,
        reason = "candle's operations keep nothing for their gradients: those come with the value once more"
    )]
    pub(crate) ssim: B,
    /// The derivatives of every pixel's SSIM by its four moments, `[4, B, C, H, W]`, in the type of arithmetic: what
    /// [`backward`] needs.
    pub(crate) partials: B,
}

/// The mean SSIM of two pictures, a scalar.
///
/// # Safety
/// The buffers must hold what [`Pictures`] says.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    pictures: &Pictures<'_, L::Buffer>,
    options: &SsimOptions,
) -> Result<L::Buffer> {
    // SAFETY: as the caller's.
    unsafe { mean(launcher, pictures, options, Arg::Null) }
}

/// The same, and what its gradients need, in one pass.
///
/// # Safety
/// As [`forward`].
pub(crate) unsafe fn forward_for_gradients<L: Launcher>(
    launcher: &L,
    pictures: &Pictures<'_, L::Buffer>,
    options: &SsimOptions,
) -> Result<Forward<L::Buffer>> {
    let partials = launcher.allocate(arithmetic(pictures.dtype), 4 * pictures.planes.len())?;
    // SAFETY: as the caller's; there are four derivatives for each pixel.
    let ssim = unsafe { mean(launcher, pictures, options, Arg::Buffer(&partials))? };
    Ok(Forward { ssim, partials })
}

/// # Safety
/// As [`forward`]; `partials` is null or holds four elements of the type of arithmetic for each pixel.
unsafe fn mean<L: Launcher>(
    launcher: &L,
    pictures: &Pictures<'_, L::Buffer>,
    options: &SsimOptions,
    partials: Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let &Pictures { dtype, planes, ref x, ref y } = pictures;
    let window = window(planes, options)?;
    let blocks = window.grid.blocks;
    let sums = launcher.allocate(DType::F64, blocks)?;
    let ssim = launcher.allocate(dtype, 1)?;
    let count = planes.len() as i64;
    let mut map = vec![x.again(), y.again(), Arg::Buffer(&sums), partials, Arg::Long(count)];
    map.extend(window.arguments());
    map.extend(gaussian(options)?);
    map.extend([Arg::Double(options.c1), Arg::Double(options.c2)]);
    let total =
        [Arg::Buffer(&sums), Arg::Int(int(SOURCE.name, "blocks", blocks)?), Arg::Long(count), Arg::Buffer(&ssim)];
    // SAFETY: these are the kernels' parameters; each block has its sum, and each pixel belongs to one block.
    unsafe {
        launcher.launch(&SOURCE, dtype, "ssim_map", window.grid, &map)?;
        launcher.launch(&SOURCE, dtype, "ssim_mean", Grid::of_sums(1), &total)?;
    }
    Ok(ssim)
}

/// The gradients for x and y of the mean times `grad`, a scalar, from [`Forward::partials`] of the same pictures and
/// options.
///
/// # Safety
/// As [`forward`]; `partials` must hold what [`forward_for_gradients`] gave, and `grad` one element of the pictures'
/// type.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    pictures: &Pictures<'_, L::Buffer>,
    options: &SsimOptions,
    partials: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<[L::Buffer; 2]> {
    let &Pictures { dtype, planes, ref x, ref y } = pictures;
    let window = window(planes, options)?;
    let d_x = launcher.allocate(dtype, planes.len())?;
    let d_y = launcher.allocate(dtype, planes.len())?;
    let mut arguments =
        vec![x.again(), y.again(), partials.again(), grad.again(), Arg::Buffer(&d_x), Arg::Buffer(&d_y)];
    arguments.push(Arg::Long(planes.len() as i64));
    arguments.extend(window.arguments());
    arguments.extend(gaussian(options)?);
    // SAFETY: these are the kernel's parameters; each pixel belongs to one block.
    unsafe { launcher.launch(&SOURCE, dtype, "ssim_gather", window.grid, &arguments)? };
    Ok([d_x, d_y])
}

fn window(planes: Planes, options: &SsimOptions) -> Result<Window> {
    Window::of(SOURCE.name, planes, options.window, |_| ROWS)
}

/// The window's side, which weights are for whatever the picture cuts off, and σ.
fn gaussian<'a, B>(options: &SsimOptions) -> Result<[Arg<'a, B>; 2]> {
    Ok([Arg::Int(int(SOURCE.name, "window", options.window)?), Arg::Double(options.sigma)])
}
