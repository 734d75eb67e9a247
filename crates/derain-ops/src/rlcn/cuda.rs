//! RLCN on CUDA: grids, arguments and scratch of `kernels.cu`.
//!
//! Traffic per pixel, with elements of e bytes and arithmetic in r (4, or 8 for f64):
//!
//! | pass | cannot be avoided | what the kernels move |
//! | --- | --- | --- |
//! | forward | read I, write L: 2·e | 2·e, and the halo: 2·(window - 1) rows and columns of a block of 24 x 248 at the default window, out of the second-level cache as long as neighbouring blocks run together |
//! | backward | read I and dL, write dI: 3·e | 4·e + 6·r and the halo twice: three terms a pixel are written, and read again |
//!
//! Each pixel also takes 2·window + 6 additions in f64, cheap on processors made for computing (an H100 does half as many in f64 as in
//! f32), though not on those made for graphics (1/64).

use candle_core::DType;

use super::RlcnOptions;
use crate::cuda::{Arg, Grid, Launcher, Source, arithmetic, int};
use crate::{Error, Planes, Result};

pub(crate) const SOURCE: Source = Source { name: "rlcn", text: include_str!("kernels.cu") };

/// THREADS and ROWS of the kernels.
const THREADS: usize = 256;
const ROWS: usize = 4;

/// A strip's halo is as wide as the window on both sides together: beyond this, half of the threads and more would only serve it.
const MOST_RADIUS: usize = THREADS / 4;

/// A call's arguments that are numbers, as kernels take them.
struct Sizes {
    grid: Grid,
    height: i32,
    width: i32,
    radius: i32,
    band: i32,
}

impl Sizes {
    fn of(planes: Planes, options: &RlcnOptions) -> Result<Self> {
        let Planes { batch, channels, height, width } = planes;
        // A window that reaches beyond the picture on all sides sees no more by reaching further.
        let radius = (options.window / 2).min(height.max(width));
        if radius > MOST_RADIUS {
            let expected = "at most 129 pixels on CUDA";
            let got = options.window.to_string();
            return Err(Error::Option { op: SOURCE.name, option: "window", expected, got });
        }
        // Each band begins with a window's rows: two windows keep that to a third of its loads, and blocks many.
        let band = 2 * (2 * radius + 1).next_multiple_of(ROWS);
        // Offsets within a plane are ints.
        int(SOURCE.name, "H·W", planes.pixels())?;
        let strips = width.div_ceil(THREADS - 2 * radius);
        Ok(Self {
            grid: Grid { blocks: batch * channels * height.div_ceil(band) * strips, threads: (THREADS as u32, 1) },
            height: int(SOURCE.name, "H", height)?,
            width: int(SOURCE.name, "W", width)?,
            radius: int(SOURCE.name, "window", radius)?,
            band: int(SOURCE.name, "window", band)?,
        })
    }

    fn arguments<'a, B>(&self) -> [Arg<'a, B>; 4] {
        [Arg::Int(self.height), Arg::Int(self.width), Arg::Int(self.radius), Arg::Int(self.band)]
    }
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
    let sizes = Sizes::of(planes, options)?;
    let out = launcher.allocate(dtype, planes.len())?;
    let mut arguments = vec![x.again(), Arg::Buffer(&out)];
    arguments.extend(sizes.arguments());
    arguments.extend(option_arguments(options));
    // SAFETY: these are the kernel's parameters; each pixel of each plane is read and written by the one block that it belongs to.
    unsafe { launcher.launch(&SOURCE, dtype, "rlcn_forward", sizes.grid, &arguments)? };
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
    let sizes = Sizes::of(planes, options)?;
    let d_x = launcher.allocate(dtype, planes.len())?;
    let terms = launcher.allocate(arithmetic(dtype), 3 * planes.len())?;
    let terms = || (0..3).map(|term| Arg::At(&terms, term * planes.len()));
    let mut first = vec![x.again(), grad.again()];
    first.extend(terms());
    first.extend(sizes.arguments());
    first.extend(option_arguments(options));
    let mut second = vec![x.again()];
    second.extend(terms());
    second.push(Arg::Buffer(&d_x));
    second.extend(sizes.arguments());
    // SAFETY: these are the kernels' parameters; each pixel of each plane has its three terms and its gradient.
    unsafe {
        launcher.launch(&SOURCE, dtype, "rlcn_terms", sizes.grid, &first)?;
        launcher.launch(&SOURCE, dtype, "rlcn_gather", sizes.grid, &second)?;
    }
    Ok(d_x)
}
