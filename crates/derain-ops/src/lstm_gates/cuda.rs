//! The gates on CUDA: grids and arguments of `kernels.cu`.
//!
//! What cannot be avoided, in elements for each element of the cell, is what the kernels move: forward reads 5 and
//! writes 2, backward reads 7 and writes 5.

use candle_core::DType;

use crate::cuda::{Arg, Grid, Launcher, Source, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source =
    Source { name: "lstm_gates", text: concat!(include_str!("../cuda/planes.cu"), include_str!("kernels.cu")) };

/// What [`backward`] gives.
pub(crate) struct Gradients<B> {
    /// For the pre-activations, `[B, 4·C, H, W]`.
    pub(crate) gates: B,
    /// For the previous cell, `[B, C, H, W]`.
    pub(crate) cell: B,
}

/// h and then c', `[2, B, C, H, W]`, from the pre-activations `[B, 4·C, H, W]` and the previous cell, whose dimensions
/// are `planes`.
///
/// # Safety
/// `gates` and `cell` must hold as many elements of the type.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    gates: &Arg<'_, L::Buffer>,
    cell: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let (grid, elements) = pictures(planes)?;
    let out = launcher.allocate(dtype, 2 * planes.len())?;
    let arguments = [gates.again(), cell.again(), Arg::Buffer(&out), Arg::At(&out, planes.len()), elements];
    // SAFETY: these are the kernel's parameters; a thread for each element of the cell writes its h and its c'.
    unsafe { launcher.launch(&SOURCE, dtype, "lstm_gates_forward", grid, &arguments)? };
    Ok(out)
}

/// The gradients of a sum weighted by those of h and of c', both `[B, C, H, W]`.
///
/// # Safety
/// As [`forward`], and the gradients must hold as many elements as the cell.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    gates: &Arg<'_, L::Buffer>,
    cell: &Arg<'_, L::Buffer>,
    [d_hidden, d_next]: [&Arg<'_, L::Buffer>; 2],
) -> Result<Gradients<L::Buffer>> {
    let (grid, elements) = pictures(planes)?;
    let d_gates = launcher.allocate(dtype, 4 * planes.len())?;
    let d_cell = launcher.allocate(dtype, planes.len())?;
    let inputs = [gates.again(), cell.again(), d_hidden.again(), d_next.again()];
    let mut arguments = Vec::from(inputs);
    arguments.extend([Arg::Buffer(&d_gates), Arg::Buffer(&d_cell), elements]);
    // SAFETY: these are the kernel's parameters; a thread for each element of the cell writes its five gradients.
    unsafe { launcher.launch(&SOURCE, dtype, "lstm_gates_backward", grid, &arguments)? };
    Ok(Gradients { gates: d_gates, cell: d_cell })
}

/// One thread for each element of the cell, and how many a picture has.
fn pictures<'a, B>(planes: Planes) -> Result<(Grid, Arg<'a, B>)> {
    let elements = planes.channels * planes.pixels();
    Ok((Grid::of_planes(planes.batch, elements), Arg::Int(int(SOURCE.name, "C·H·W", elements)?)))
}
