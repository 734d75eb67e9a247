//! Batch normalization on CUDA: grids, arguments and scratch of `kernels.cu`.
//!
//! In elements for each element of x:
//!
//! | pass | cannot be avoided | what the kernels move |
//! | --- | --- | --- |
//! | [`moments`], then [`normalize`] | read x for its moments and again to normalize it, write y: 3 (2 where x fits the second-level cache) | the same |
//! | [`normalize`] alone, by running statistics | read x, write y: 2 | the same |
//! | [`backward_through_statistics`] | read x and g for their sums and again, write dx: 5 (3 where they fit the cache) | the same |
//! | the same before a ReLU | read its result as well, twice: 7 (4) | the same |
//! | [`backward_with_constants`] | read x and g, write dx: 3 | the same: sums and dx are one pass |
//!
//! Instance normalization is the same on one picture of B·C channels.

use candle_core::DType;

use crate::cuda::{Arg, Grid, Launcher, Source, arithmetic, int};
use crate::{Activation, Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "batch_norm",
    text: concat!(include_str!("../cuda/sums.cu"), include_str!("../cuda/pieces.cu"), include_str!("kernels.cu")),
};

/// What normalizes the elements of a call, whose type is `dtype`.
pub(crate) struct Normalization<'a, B> {
    pub(crate) dtype: DType,
    /// Of x.
    pub(crate) planes: Planes,
    /// `[C]`.
    pub(crate) gamma: Arg<'a, B>,
    /// Means, then biased variances, `[2, C]`, in f64.
    pub(crate) moments: Arg<'a, B>,
    pub(crate) epsilon: f64,
    /// After training's alone.
    pub(crate) activation: Activation,
}

/// The gradients of a sum weighted by an incoming gradient.
pub(crate) struct Gradients<B> {
    /// `[B, C, H, W]`.
    pub(crate) x: B,
    /// `[C]`.
    pub(crate) gamma: B,
    /// `[C]`.
    pub(crate) beta: B,
}

/// Counts of a call, as kernels take them.
struct Counts {
    planes: usize,
    pieces: Grid,
    batch: i32,
    channels: i32,
    pixels: i32,
}

impl Counts {
    fn of(planes: Planes) -> Result<Self> {
        let of_planes = planes.batch * planes.channels;
        let pieces = Grid::of_pieces(of_planes, planes.pixels());
        // A channel's pieces are counted in an int, too.
        int(SOURCE.name, "B·H·W", pieces.blocks / planes.channels)?;
        Ok(Self {
            planes: of_planes,
            pieces,
            batch: int(SOURCE.name, "B", planes.batch)?,
            channels: int(SOURCE.name, "C", planes.channels)?,
            pixels: int(SOURCE.name, "H·W", planes.pixels())?,
        })
    }

    /// C and H·W, which most kernels take in this order.
    fn sizes<'a, B>(&self) -> [Arg<'a, B>; 2] {
        [Arg::Int(self.channels), Arg::Int(self.pixels)]
    }

    /// A block for each channel.
    fn channels(&self) -> Grid {
        Grid::of_sums(self.planes / self.batch as usize)
    }
}

/// What a batch says of its channels.
pub(crate) struct Moments<B> {
    /// Means, then biased variances, `[2, C]`, in f64: what [`Normalization`] takes.
    pub(crate) biased: B,
    /// Means, then unbiased variances, `[2, C]`, in the type of arithmetic: what running statistics take. NaN for a
    /// channel of one element.
    pub(crate) statistics: B,
}

/// The moments of every channel of `x`.
///
/// # Safety
/// `x` must hold its planes, of the type.
pub(crate) unsafe fn moments<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    x: &Arg<'_, L::Buffer>,
) -> Result<Moments<L::Buffer>> {
    let counts = Counts::of(planes)?;
    let pieces = launcher.allocate(DType::F64, 2 * counts.pieces.blocks)?;
    let biased = launcher.allocate(DType::F64, 2 * planes.channels)?;
    let statistics = launcher.allocate(arithmetic(dtype), 2 * planes.channels)?;
    let of_pieces = [x.again(), Arg::Buffer(&pieces), Arg::Int(counts.pixels)];
    let mut of_channels = vec![Arg::Buffer(&pieces), Arg::Buffer(&biased), Arg::Buffer(&statistics)];
    of_channels.push(Arg::Int(counts.batch));
    of_channels.extend(counts.sizes());
    // SAFETY: these are the kernels' parameters; each piece has its two numbers, and each channel.
    unsafe {
        launcher.launch(&SOURCE, dtype, "batch_norm_pieces", counts.pieces, &of_pieces)?;
        launcher.launch(&SOURCE, dtype, "batch_norm_moments", counts.channels(), &of_channels)?;
    }
    Ok(Moments { biased, statistics })
}

/// `x` normalized, times γ, plus `beta` `[C]`, and the activation of that.
///
/// # Safety
/// The buffers must hold what [`Normalization`] says, and `x` its planes.
pub(crate) unsafe fn normalize<L: Launcher>(
    launcher: &L,
    normalization: &Normalization<'_, L::Buffer>,
    beta: &Arg<'_, L::Buffer>,
    x: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let &Normalization { dtype, planes, ref gamma, ref moments, epsilon, activation } = normalization;
    let counts = Counts::of(planes)?;
    let y = launcher.allocate(dtype, planes.len())?;
    let mut arguments =
        vec![x.again(), gamma.again(), beta.again(), moments.again(), Arg::Double(epsilon), Arg::Buffer(&y)];
    arguments.push(Arg::Int(i32::from(activation == Activation::Relu)));
    arguments.extend(counts.sizes());
    // SAFETY: these are the kernel's parameters; each element belongs to one piece.
    unsafe { launcher.launch(&SOURCE, dtype, "batch_norm_normalize", counts.pieces, &arguments)? };
    Ok(y)
}

/// Gradients through the moments, which are those of `x` itself, from the result `y` and its gradient. Without an
/// activation y is not read.
///
/// # Safety
/// The buffers must hold what [`Normalization`] says, `x`, `y` and `grad` its planes.
pub(crate) unsafe fn backward_through_statistics<L: Launcher>(
    launcher: &L,
    normalization: &Normalization<'_, L::Buffer>,
    x: &Arg<'_, L::Buffer>,
    y: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<Gradients<L::Buffer>> {
    let &Normalization { dtype, planes, ref gamma, ref moments, epsilon, .. } = normalization;
    let counts = Counts::of(planes)?;
    let gate = if normalization.activation == Activation::Relu { y.again() } else { Arg::Null };
    let d_x = launcher.allocate(dtype, planes.len())?;
    // SAFETY: as the caller's.
    let Coefficients { totals, gamma: d_gamma, beta } =
        unsafe { coefficients(launcher, normalization, [x, grad, &gate], Arg::Null)? };
    let mut arguments = vec![x.again(), grad.again(), gate, gamma.again(), moments.again(), Arg::Double(epsilon)];
    arguments.extend([Arg::Buffer(&totals), Arg::Buffer(&d_x), Arg::Int(counts.batch)]);
    arguments.extend(counts.sizes());
    // SAFETY: these are the kernel's parameters; each element belongs to one piece.
    unsafe { launcher.launch(&SOURCE, dtype, "batch_norm_backward", counts.pieces, &arguments)? };
    Ok(Gradients { x: d_x, gamma: d_gamma, beta })
}

/// Gradients where the moments are constants, without activation.
///
/// # Safety
/// As [`backward_through_statistics`].
pub(crate) unsafe fn backward_with_constants<L: Launcher>(
    launcher: &L,
    normalization: &Normalization<'_, L::Buffer>,
    x: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<Gradients<L::Buffer>> {
    let d_x = launcher.allocate(normalization.dtype, normalization.planes.len())?;
    // SAFETY: as the caller's.
    let Coefficients { gamma, beta, .. } =
        unsafe { coefficients(launcher, normalization, [x, grad, &Arg::Null], Arg::Buffer(&d_x))? };
    Ok(Gradients { x: d_x, gamma, beta })
}

/// dγ and dβ.
struct Coefficients<B> {
    /// Both, `[2, C]`, in f64.
    totals: B,
    gamma: B,
    beta: B,
}

/// From x, the gradient, and the result of a ReLU or null.
///
/// # Safety
/// As [`backward_through_statistics`]; `d_x` is null or holds as many elements as `x`.
unsafe fn coefficients<L: Launcher>(
    launcher: &L,
    normalization: &Normalization<'_, L::Buffer>,
    [x, grad, gate]: [&Arg<'_, L::Buffer>; 3],
    d_x: Arg<'_, L::Buffer>,
) -> Result<Coefficients<L::Buffer>> {
    let &Normalization { dtype, planes, ref gamma, ref moments, epsilon, .. } = normalization;
    let counts = Counts::of(planes)?;
    let sums = launcher.allocate(DType::F64, 2 * counts.pieces.blocks)?;
    let totals = launcher.allocate(DType::F64, 2 * planes.channels)?;
    let d_gamma = launcher.allocate(dtype, planes.channels)?;
    let d_beta = launcher.allocate(dtype, planes.channels)?;
    let mut of_pieces =
        vec![x.again(), grad.again(), gate.again(), gamma.again(), moments.again(), Arg::Double(epsilon)];
    of_pieces.extend([Arg::Buffer(&sums), d_x]);
    of_pieces.extend(counts.sizes());
    let mut of_channels = vec![Arg::Buffer(&sums), Arg::Buffer(&totals), Arg::Buffer(&d_gamma), Arg::Buffer(&d_beta)];
    of_channels.push(Arg::Int(counts.batch));
    of_channels.extend(counts.sizes());
    // SAFETY: these are the kernels' parameters; each piece has its two sums, and each channel its gradients.
    unsafe {
        launcher.launch(&SOURCE, dtype, "batch_norm_gradient_sums", counts.pieces, &of_pieces)?;
        launcher.launch(&SOURCE, dtype, "batch_norm_coefficient_gradients", counts.channels(), &of_channels)?;
    }
    Ok(Coefficients { totals, gamma: d_gamma, beta: d_beta })
}
