//! The scans on CUDA: grids, arguments and scratch of `kernels/`.
//!
//! In elements for each element of x:
//!
//! | pass | cannot be avoided | what the kernels move |
//! | --- | --- | --- |
//! | [`forward`] | read x, write four maps: 5 | the same where the strips at work fit the second-level cache; else x up to three times more, for the other axis and for both ways back, as at 1080x1920 |
//! | [`backward`] | read h and g of four directions, write dx: 9 | 11: along columns dx is written, along rows read and written. 2 more of it for what is beyond 256 rows or 2048 columns of f32, half as many of f64, where it does not fit the cache |

use candle_core::DType;

use super::Direction;
use crate::cuda::{Arg, Grid, Launcher, Source, arithmetic, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "irnn",
    text: concat!(
        include_str!("kernels/lines.cu"),
        include_str!("kernels/forward.cu"),
        include_str!("kernels/gradients.cu"),
        include_str!("kernels/columns.cu"),
        include_str!("kernels/rows.cu")
    ),
};

/// Lines of a block's strip, and segments that it divides chunks of a line into: LANES and SEGMENTS of the kernels.
const LANES: usize = 32;
const SEGMENTS: u32 = 8;
/// Positions of a chunk: CHUNK of the kernels, SEGMENTS · RUN.
const CHUNK: usize = 128;
/// For gradients along rows: pixels that a warp takes at a step, warps of a block, and columns of the widest narrow
/// picture. PER_WARP, ROW_WARPS and NARROW of the kernels.
const PER_WARP: usize = 256;
const ROW_WARPS: u32 = 4;
const NARROW: usize = 128;

/// The inputs of a call, whose type of elements is `dtype`.
pub(crate) struct Inputs<'a, B> {
    pub(crate) dtype: DType,
    /// Of x, which is `[B, C, H, W]`.
    pub(crate) planes: Planes,
    /// `[4, C]`.
    pub(crate) weights: Arg<'a, B>,
    /// `[4, C]`.
    pub(crate) biases: Arg<'a, B>,
    /// `[B, 4, H, W]`, or null.
    pub(crate) maps: Arg<'a, B>,
}

/// What [`backward`] gives.
pub(crate) struct Gradients<B> {
    /// `[B, C, H, W]`.
    pub(crate) x: B,
    /// Those of the weights, then of the biases, `[2, 4, C]`.
    pub(crate) coefficients: B,
}

/// Counts of a call, as kernels take them.
struct Counts {
    planes: usize,
    channels: i32,
    height: i32,
    width: i32,
    column_strips: usize,
    row_strips: usize,
}

impl Counts {
    fn of(planes: Planes) -> Result<Self> {
        // Offsets within a plane are ints, and so is the number of a block.
        int(SOURCE.name, "H·W", planes.pixels() + planes.width * CHUNK)?;
        let (column_strips, row_strips) = (planes.width.div_ceil(LANES), planes.height.div_ceil(LANES));
        Ok(Self {
            planes: planes.batch * planes.channels,
            channels: int(SOURCE.name, "C", planes.channels)?,
            height: int(SOURCE.name, "H", planes.height)?,
            width: int(SOURCE.name, "W", planes.width)?,
            column_strips,
            row_strips,
        })
    }

    fn grid(&self, strips: usize) -> Grid {
        Grid { blocks: self.planes * strips, threads: (LANES as u32, SEGMENTS) }
    }
}

/// The four scans of `x`, `[B, 4·C, H, W]`.
///
/// # Safety
/// The buffers must hold what [`Inputs`] says, and `x` its planes.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    inputs: &Inputs<'_, L::Buffer>,
    x: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let counts = Counts::of(inputs.planes)?;
    let out = launcher.allocate(inputs.dtype, 4 * inputs.planes.len())?;
    let arguments = [
        x.again(),
        inputs.weights.again(),
        inputs.biases.again(),
        inputs.maps.again(),
        Arg::Buffer(&out),
        Arg::Int(counts.channels),
        Arg::Int(counts.height),
        Arg::Int(counts.width),
    ];
    let grid = counts.grid(counts.column_strips + counts.row_strips);
    // SAFETY: these are the kernel's parameters; it writes 4·B·C·H·W results and reads what the caller vouches for.
    unsafe { launcher.launch(&SOURCE, inputs.dtype, "irnn_forward", grid, &arguments)? };
    Ok(out)
}

/// How the gradients along rows are shared out: a warp takes several rows where they are short.
struct Rows {
    kernel: &'static str,
    /// Columns that a group of a warp's lanes takes at a step: SPAN.
    span: usize,
}

impl Rows {
    fn of(width: usize) -> Self {
        if width <= NARROW {
            Self { kernel: "irnn_backward_narrow_rows", span: PER_WARP / 4 }
        } else {
            Self { kernel: "irnn_backward_wide_rows", span: PER_WARP }
        }
    }

    fn a_block(&self) -> usize {
        ROW_WARPS as usize * (PER_WARP / self.span)
    }
}

/// The gradients for x, weights and biases of a sum weighted by `grad`, from the scans `h` before their maps, both
/// `[B, 4·C, H, W]`.
///
/// # Safety
/// The buffers must hold what [`Inputs`] says, and `h` and `grad` as many elements as the result.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    inputs: &Inputs<'_, L::Buffer>,
    h: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<Gradients<L::Buffer>> {
    let &Inputs { dtype, planes, .. } = inputs;
    let counts = Counts::of(planes)?;
    let x = launcher.allocate(dtype, planes.len())?;
    // 16-bit elements would round the sum of four directions three times.
    let wider =
        if arithmetic(dtype) == dtype { None } else { Some(launcher.allocate(arithmetic(dtype), planes.len())?) };
    let partial = wider.as_ref().unwrap_or(&x);
    let rows = Rows::of(planes.width);
    let row_strips = planes.height.div_ceil(rows.a_block());
    let sums = |strips| launcher.allocate(DType::F64, Direction::ALL.len() * counts.planes * strips * 2);
    let (column_sums, row_sums) = (sums(counts.column_strips)?, sums(row_strips)?);
    let coefficients = launcher.allocate(dtype, 2 * Direction::ALL.len() * planes.channels)?;

    let common = || [h.again(), grad.again(), inputs.weights.again(), inputs.maps.again(), Arg::Buffer(partial)];
    let dimensions = || [Arg::Int(counts.channels), Arg::Int(counts.height), Arg::Int(counts.width)];
    let mut by_columns = Vec::from(common());
    by_columns.push(Arg::Buffer(&column_sums));
    by_columns.extend(dimensions());
    let mut by_rows = Vec::from(common());
    by_rows.extend([Arg::Buffer(&x), Arg::Buffer(&row_sums)]);
    by_rows.extend(dimensions());
    let totals = [
        Arg::Buffer(&column_sums),
        Arg::Buffer(&row_sums),
        Arg::Buffer(&coefficients),
        Arg::Int(int(SOURCE.name, "B", planes.batch)?),
        Arg::Int(counts.channels),
        Arg::Int(int(SOURCE.name, "W", counts.column_strips)?),
        Arg::Int(int(SOURCE.name, "H", row_strips)?),
    ];
    let row_grid = Grid { blocks: counts.planes * row_strips, threads: (LANES as u32, ROW_WARPS) };
    // SAFETY: these are the kernels' parameters. Each strip of each plane has its two sums in two of the four
    // directions, each element of x belongs to one strip of columns and one of rows, and warps above 8·C do nothing.
    unsafe {
        launcher.launch(&SOURCE, dtype, "irnn_backward_columns", counts.grid(counts.column_strips), &by_columns)?;
        launcher.launch(&SOURCE, dtype, rows.kernel, row_grid, &by_rows)?;
        launcher.launch(
            &SOURCE,
            dtype,
            "irnn_coefficient_gradients",
            Grid::of(LANES * 8 * planes.channels),
            &totals,
        )?;
    }
    Ok(Gradients { x, coefficients })
}

/// The gradient for the direction maps, `[B, 4, H, W]`, from the scans before their maps.
///
/// # Safety
/// `h` and `grad` must hold `[B, 4·C, H, W]` elements of the type.
pub(crate) unsafe fn map_gradients<L: Launcher>(
    launcher: &L,
    dtype: DType,
    planes: Planes,
    h: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let count = planes.batch * Direction::ALL.len() * planes.pixels();
    let maps = launcher.allocate(dtype, count)?;
    let arguments = [
        h.again(),
        grad.again(),
        Arg::Buffer(&maps),
        Arg::Int(int(SOURCE.name, "C", planes.channels)?),
        Arg::Long(planes.pixels() as i64),
        Arg::Long(count as i64),
    ];
    // SAFETY: these are the kernel's parameters; threads above the count do nothing.
    unsafe { launcher.launch(&SOURCE, dtype, "irnn_map_gradients", Grid::of(count), &arguments)? };
    Ok(maps)
}
