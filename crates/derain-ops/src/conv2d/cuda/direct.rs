//! The convolution on CUDA in one pass, without columns: grids, arguments and scratch of `direct/kernels.cu`.
//!
//! A product of matrices whose right side is never stored: a block reads its pixels once for all taps of the kernel,
//! and finishes its sums (bias, scale, residual, ReLU) before it writes them. f32 and f64 by the ordinary units, f16
//! and bf16 by tensor cores, summed in f32. Sums have a fixed order: equal input gives equal bits.
//!
//! In elements for each element of the result, with C channels of input: reads x C/O times (once for each 64 outputs,
//! and what surrounds a tile), the residual once, and writes the result; 2·K²·C operations.

pub(crate) mod weight_gradient;

use candle_core::DType;

use super::Activation;
use super::Epilogue;
use crate::cuda::{Arg, Grid, Launcher, Source, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "conv2d_direct",
    text: concat!(
        include_str!("../../cuda/copies.cu"),
        include_str!("direct/tile.cu"),
        include_str!("direct/floats.cu"),
        include_str!("direct/halves.cu"),
        include_str!("direct/kernels.cu")
    ),
};

/// `MOST_DILATION` of `tile.cu`.
const MOST_DILATION: usize = 4;

/// `PACKED_OUTPUTS` of `tile.cu`.
const PACKED_OUTPUTS: usize = 64;

/// Fewer blocks than this leave some of a GPU's processors idle: a smaller tile makes more blocks.
const FEW_BLOCKS: usize = 256;

/// Whether this serves a convolution of `planes` to `outputs` channels.
pub(crate) fn serves(planes: Planes, outputs: usize, size: usize, dilation: usize) -> bool {
    // Places in the packed weights and pixels of a plane are ints, places in a picture and in its result 32 bits.
    let weights = (planes.channels + 16) * (outputs + 64) * size * size;
    let counted = weights.max(planes.pixels()) <= i32::MAX as usize
        && outputs.max(planes.channels) * planes.pixels() <= u32::MAX as usize;
    (size == 1 || (size == 3 && dilation <= MOST_DILATION)) && counted
}

/// What is convolved.
pub(crate) struct Convolution<'a, B> {
    /// Of x.
    pub(crate) planes: Planes,
    pub(crate) x: Arg<'a, B>,
    pub(crate) weight: Arg<'a, B>,
    pub(crate) taps: Taps,
    /// K.
    pub(crate) size: usize,
    pub(crate) dilation: usize,
}

/// How weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taps {
    /// `[O, C, K, K]`.
    AsTheyAre,
    /// `[C, O, K, K]`, and the last tap comes first: a convolution's own weights make the gradient for its x of that
    /// for its sums.
    Turned,
    /// As [`pack`] makes them of either.
    Packed,
}

/// What a block works on, and its kernels for 1x1 and for 3x3, as in `kernels.cu`.
pub(crate) struct Tile {
    kernels: [&'static str; 2],
    outputs: usize,
    pixels: usize,
    threads: u32,
}

const OF_16: Tile = Tile { kernels: ["conv2d_1x1_16", "conv2d_3x3_16"], outputs: 16, pixels: 512, threads: 128 };
const OF_32: Tile = Tile { kernels: ["conv2d_1x1_32", "conv2d_3x3_32"], outputs: 32, pixels: 256, threads: 128 };
const OF_64: Tile = Tile { kernels: ["conv2d_1x1_64", "conv2d_3x3_64"], outputs: 64, pixels: 256, threads: 256 };

#[cfg(test)]
pub(crate) const TILES: [&Tile; 3] = [&OF_16, &OF_32, &OF_64];

/// The width of tiles, as its power of 2: as wide as a warp, or less for narrow pictures.
fn bits(planes: Planes) -> u32 {
    match planes.width {
        0..=8 => 3,
        9..=16 => 4,
        _ => 5,
    }
}

impl Tile {
    /// Of as few outputs as there are, or 32 of many where there would be few blocks.
    fn of(planes: Planes, outputs: usize) -> &'static Self {
        match outputs {
            0..=16 => &OF_16,
            33.. if OF_64.blocks(planes, outputs) >= FEW_BLOCKS => &OF_64,
            _ => &OF_32,
        }
    }

    fn blocks(&self, planes: Planes, outputs: usize) -> usize {
        let (width, height) = (1 << bits(planes), self.pixels >> bits(planes));
        let tiles = planes.height.div_ceil(height) * planes.width.div_ceil(width);
        planes.batch * tiles * outputs.div_ceil(self.outputs)
    }
}

/// The convolution with its epilogue.
///
/// # Safety
/// [`serves`] must say so. The buffers must hold what [`Convolution`] and [`Epilogue`] say, for the same pictures.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    convolution: &Convolution<'_, L::Buffer>,
    epilogue: &Epilogue<'_, L::Buffer>,
) -> Result<L::Buffer> {
    // SAFETY: as the caller's.
    unsafe { by_tile(launcher, Tile::of(convolution.planes, epilogue.planes.channels), convolution, epilogue) }
}

/// [`forward`] with a tile of the caller's choice, which changes no result.
///
/// # Safety
/// As [`forward`].
pub(crate) unsafe fn by_tile<L: Launcher>(
    launcher: &L,
    tile: &Tile,
    convolution: &Convolution<'_, L::Buffer>,
    epilogue: &Epilogue<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let &Convolution { planes, size, dilation, taps, ref x, ref weight } = convolution;
    let &Epilogue { dtype, activation, .. } = epilogue;
    let outputs = epilogue.planes.channels;
    let own = match taps {
        Taps::Packed => None,
        // SAFETY: as the caller's.
        _ => Some(unsafe { pack(launcher, weight, taps, &Packing::of(dtype, planes.channels, outputs, size))? }),
    };
    let packed = own.as_ref().map_or_else(|| weight.again(), Arg::Buffer);
    let y = launcher.allocate(dtype, epilogue.planes.len())?;
    let [bias, scale, residual] = [&epilogue.bias, &epilogue.scale, &epilogue.residual].map(Arg::again);
    let mut arguments = vec![x.again(), packed, bias, scale, residual, Arg::Buffer(&y)];
    let counts = [
        ("C", planes.channels),
        ("O", outputs),
        ("H", planes.height),
        ("W", planes.width),
        ("dilation", if size == 1 { 1 } else { dilation }),
        ("bits", bits(planes) as usize),
        ("relu", usize::from(activation == Activation::Relu)),
    ];
    for (name, count) in counts {
        arguments.push(Arg::Int(int(SOURCE.name, name, count)?));
    }
    let grid = Grid { blocks: tile.blocks(planes, outputs), threads: (tile.threads, 1) };
    // SAFETY: these are the kernel's parameters; each element of the result belongs to one thread, and what is read is
    // inside x or packed.
    unsafe { launcher.launch(&SOURCE, dtype, tile.kernels[usize::from(size > 1)], grid, &arguments)? };
    Ok(y)
}

/// How many weights there are, and how many are packed: those beyond are 0.
pub(crate) struct Packing {
    dtype: DType,
    inputs: usize,
    outputs: usize,
    /// K².
    taps: usize,
    /// Inputs and outputs.
    padded: (usize, usize),
}

impl Packing {
    pub(crate) fn of(dtype: DType, inputs: usize, outputs: usize, size: usize) -> Self {
        // CHUNK of the kernels.
        let chunk = match dtype {
            DType::F64 => 2,
            DType::F32 => 4,
            _ => 16,
        };
        let padded = (inputs.next_multiple_of(chunk), outputs.next_multiple_of(PACKED_OUTPUTS));
        Self { dtype, inputs, outputs, taps: size * size, padded }
    }

    /// Elements of packed weights.
    pub(crate) fn count(&self) -> usize {
        self.padded.0 * self.taps * self.padded.1
    }
}

/// The weights as the kernels read them, whatever their tile.
///
/// # Safety
/// [`serves`] must say so, and `weight` hold the weights in the order that `taps` says, which is none of packed ones.
pub(crate) unsafe fn pack<L: Launcher>(
    launcher: &L,
    weight: &Arg<'_, L::Buffer>,
    taps: Taps,
    packing: &Packing,
) -> Result<L::Buffer> {
    let packed = launcher.allocate(packing.dtype, packing.count())?;
    let mut arguments = vec![weight.again(), Arg::Buffer(&packed)];
    let &Packing { dtype, inputs, outputs, taps: places, padded } = packing;
    for count in [inputs, outputs, places, padded.0, padded.1, usize::from(taps == Taps::Turned)] {
        arguments.push(Arg::Int(int(SOURCE.name, "weights", count)?));
    }
    // SAFETY: these are the kernel's parameters; a thread for each packed weight.
    unsafe { launcher.launch(&SOURCE, dtype, "conv2d_pack", Grid::of(packing.count()), &arguments)? };
    Ok(packed)
}

#[cfg(test)]
mod tests;
