//! On CUDA: grids and arguments of `kernels.cu`. In elements for each element: Adam reads 4 and writes 3, an average
//! reads 2 and writes 1.

use candle_core::DType;

use super::AdamStep;
use crate::Result;
use crate::cuda::{Arg, Grid, Launcher, Source, int};

pub(crate) const SOURCE: Source = Source {
    name: "update",
    text: concat!(include_str!("../cuda/sums.cu"), include_str!("../cuda/pieces.cu"), include_str!("kernels.cu")),
};

/// Parameter, gradient, first and second moment.
///
/// # Safety
/// All must hold `elements` elements; nothing else may use them meanwhile.
pub(crate) unsafe fn adam<L: Launcher>(
    launcher: &L,
    tensors: [&Arg<'_, L::Buffer>; 4],
    step: &AdamStep,
    elements: usize,
) -> Result<()> {
    let &AdamStep { betas: [beta1, beta2], scale, step, root, epsilon, kept } = step;
    let mut arguments: Vec<_> = tensors.map(Arg::again).into();
    arguments.extend([beta1, beta2, scale, step, root, epsilon, kept].map(Arg::Double));
    arguments.push(Arg::Int(int("adam", "elements", elements)?));
    // SAFETY: these are the kernel's parameters; each element belongs to one thread.
    unsafe { launcher.launch(&SOURCE, DType::F32, "adam", Grid::of(elements), &arguments) }
}

/// # Safety
/// Both must hold `elements` elements; nothing else may use the first meanwhile.
pub(crate) unsafe fn approach<L: Launcher>(
    launcher: &L,
    [average, to]: [&Arg<'_, L::Buffer>; 2],
    share: f64,
    elements: usize,
) -> Result<()> {
    let count = Arg::Int(int("approach", "elements", elements)?);
    let arguments = [average.again(), to.again(), Arg::Double(share), count];
    // SAFETY: these are the kernel's parameters; each element belongs to one thread.
    unsafe { launcher.launch(&SOURCE, DType::F32, "approach", Grid::of(elements), &arguments) }
}

/// The sum of the squares of each piece (`cuda::pieces`) of x, in f64.
///
/// # Safety
/// `x` must hold `elements` elements, `sums` one for each piece.
pub(crate) unsafe fn sum_squares<L: Launcher>(
    launcher: &L,
    [x, sums]: [&Arg<'_, L::Buffer>; 2],
    elements: usize,
) -> Result<()> {
    let arguments = [x.again(), sums.again(), Arg::Int(int("sums_of_squares", "elements", elements)?)];
    // SAFETY: these are the kernel's parameters; each piece has its sum.
    unsafe { launcher.launch(&SOURCE, DType::F32, "sum_squares", Grid::of_pieces(1, elements), &arguments) }
}
