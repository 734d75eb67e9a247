//! RLCN on CUDA: grids, arguments and scratch of `kernels.cu`.
//!
//! Traffic per pixel, with elements of e bytes and arithmetic in r (4, or 8 for f64):
//!
//! | pass | cannot be avoided | what the kernels move |
//! | --- | --- | --- |
//! | forward | read I, write L: 2·e | 2·e, and the halo, window - 1 rows and columns of a block of 24 x 248 at the default window, out of the second-level cache |
//! | backward | read I and dL, write dI: 3·e | 4·e + 6·r and the halo twice: three terms a pixel are written, and read again |
//!
//! Each pixel also takes 2·window + 6 additions in f64, cheap on processors made for computing (an H100 does half as
//! many in f64 as in f32), though not on those made for graphics (1/64).

use candle_core::DType;

use super::RlcnOptions;
use crate::cuda::window::Window;
use crate::cuda::{Arg, Launcher, Source, arithmetic};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source =
    Source { name: "rlcn", text: concat!(include_str!("../cuda/window.cu"), include_str!("kernels.cu")) };

/// ROWS of the kernels.
const ROWS: usize = 4;

fn window(planes: Planes, options: &RlcnOptions) -> Result<Window> {
    // Each band begins with a window's rows: two windows keep that to a third of its loads, and blocks many.
    Window::of(SOURCE.name, planes, options.window, |radius| 2 * (2 * radius + 1).next_multiple_of(ROWS))
}

fn option_arguments<'a, B>(options: &RlcnOptions) -> [Arg<'a, B>; 3] {
    let RlcnOptions { epsilon, variance_epsilon, clamp, .. } = *options;
    [Arg::Double(epsilon), Arg::Double(variance_epsilon), Arg::Int(clamp.into())]
}

/// The normalized planes of `x`, whose type of elements is `dtype`.
///
/// # Safety
/// `x` must hold its planes.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    options: &RlcnOptions,
    x: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let window = window(planes, options)?;
    let out = launcher.allocate(dtype, planes.len())?;
    let mut arguments = vec![x.again(), Arg::Buffer(&out)];
    arguments.extend(window.arguments());
    arguments.extend(option_arguments(options));
    // SAFETY: these are the kernel's parameters; each pixel of each plane is read and written by the one block that it
    // belongs to.
    unsafe { launcher.launch(&SOURCE, dtype, "rlcn_forward", window.grid, &arguments)? };
    Ok(out)
}

/// The gradient for x of a sum weighted by `grad`.
///
/// # Safety
/// `x` and `grad` must hold the planes.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    options: &RlcnOptions,
    x: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let window = window(planes, options)?;
    let d_x = launcher.allocate(dtype, planes.len())?;
    let terms = launcher.allocate(arithmetic(dtype), 3 * planes.len())?;
    let terms = || (0..3).map(|term| Arg::At(&terms, term * planes.len()));
    let mut first = vec![x.again(), grad.again()];
    first.extend(terms());
    first.extend(window.arguments());
    first.extend(option_arguments(options));
    let mut second = vec![x.again()];
    second.extend(terms());
    second.push(Arg::Buffer(&d_x));
    second.extend(window.arguments());
    // SAFETY: these are the kernels' parameters; each pixel of each plane has its three terms and its gradient.
    unsafe {
        launcher.launch(&SOURCE, dtype, "rlcn_terms", window.grid, &first)?;
        launcher.launch(&SOURCE, dtype, "rlcn_gather", window.grid, &second)?;
    }
    Ok(d_x)
}
