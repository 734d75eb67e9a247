//! CUDA: what every operation's `cuda.rs` launches its kernels through.
//!
//! An operation's kernels are text, compiled for the type of its elements. `cuda.rs` beside it decides on grids and
//! arguments against the [`Launcher`] trait alone. [`gpu`] is the launcher for GPUs, by candle's device and stream;
//! [`compiled`] keeps what NVRTC made of the texts. [`on_cpu`] compiles the text for the processor and runs it under
//! several orders of threads, so that kernels, grids, arguments and scratch sizes are tested on machines without a GPU.

#[cfg(feature = "cuda")]
pub(crate) mod compiled;
#[cfg(feature = "cuda")]
pub(crate) mod failure;
#[cfg(feature = "cuda")]
pub(crate) mod gpu;
#[cfg(test)]
pub(crate) mod on_cpu;
#[cfg(test)]
#[cfg(feature = "cuda")]
pub(crate) mod tests_gpu;
#[cfg(test)]
mod texts;
pub(crate) mod window;

use candle_core::DType;

use crate::{Error, Result};

/// Types of elements and their conversions, put before every operation's text.
const ELEMENTS: &str = include_str!("element.cu");

/// An operation's kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The operation's name, which no other source has.
    pub(crate) name: &'static str,
    /// CUDA C++.
    pub(crate) text: &'static str,
}

impl Source {
    /// The whole text to compile for elements of a type.
    pub(crate) fn text_for(&self, dtype: DType) -> Result<String> {
        let element = match dtype {
            DType::F64 => "ELEMENT_F64",
            DType::F32 => "ELEMENT_F32",
            DType::F16 => "ELEMENT_F16",
            DType::BF16 => "ELEMENT_BF16",
            got => return Err(Error::DType { op: self.name, argument: "x", got }),
        };
        Ok(format!("#define {element}\n{ELEMENTS}\n{}", self.text))
    }
}

/// The type that kernels compute in for stored elements: f32 for the 16-bit types.
pub(crate) fn arithmetic(stored: DType) -> DType {
    if stored == DType::F64 { DType::F64 } else { DType::F32 }
}

/// An argument of a kernel. The kernel's parameter must be of exactly this type.
#[derive(Debug)]
pub(crate) enum Arg<'a, B> {
    /// A pointer to the start of a buffer.
    Buffer(&'a B),
    /// A pointer to this element of a buffer.
    At(&'a B, usize),
    /// A null pointer.
    Null,
    /// `int`.
    Int(i32),
    /// `long long`.
    Long(i64),
    /// `double`.
    Double(f64),
}

impl<B> Arg<'_, B> {
    /// The same argument once more.
    pub(crate) fn again(&self) -> Self {
        match *self {
            Self::Buffer(buffer) => Self::Buffer(buffer),
            Self::At(buffer, elements) => Self::At(buffer, elements),
            Self::Null => Self::Null,
            Self::Int(value) => Self::Int(value),
            Self::Long(value) => Self::Long(value),
            Self::Double(value) => Self::Double(value),
        }
    }
}

/// One launch's size. Blocks have x and y, grids x alone: it reaches furthest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Blocks.
    pub(crate) blocks: usize,
    /// Threads of a block.
    pub(crate) threads: (u32, u32),
}

impl Grid {
    const THREADS: u32 = 256;

    /// One thread for each of `count` elements.
    pub(crate) fn of(count: usize) -> Self {
        Self::of_planes(1, count)
    }

    /// One thread for each of the elements of each plane; no block lies in two planes. `place_of` in `planes.cu` tells
    /// threads where they are.
    pub(crate) fn of_planes(planes: usize, elements: usize) -> Self {
        Self { blocks: planes * elements.div_ceil(Self::THREADS as usize), threads: (Self::THREADS, 1) }
    }

    /// One block for each of the pieces of each plane: `piece_of` in `pieces.cu` tells it which.
    pub(crate) fn of_pieces(planes: usize, elements: usize) -> Self {
        Self { blocks: planes * pieces(elements), threads: (Self::THREADS, 1) }
    }

    /// `blocks` blocks, each of which adds something up: `sum_block` in `sums.cu`.
    pub(crate) fn of_sums(blocks: usize) -> Self {
        Self { blocks, threads: (Self::THREADS, 1) }
    }
}

/// Pieces of a plane of `elements` elements. A block adds up one of them: PIECE elements, as in `pieces.cu`.
pub(crate) fn pieces(elements: usize) -> usize {
    const PIECE: usize = 16 * Grid::THREADS as usize;
    elements.div_ceil(PIECE)
}

/// Where kernels run.
pub(crate) trait Launcher {
    /// Memory there.
    type Buffer;

    /// Memory for `length` elements, whose contents are not defined.
    fn allocate(&self, dtype: DType, length: usize) -> Result<Self::Buffer>;

    /// Runs a kernel of a source compiled for a type of elements, after all launches before it.
    ///
    /// # Safety
    /// The arguments must be those of the kernel's parameters in number and type, and its accesses must lie inside the
    /// buffers.
    unsafe fn launch(
        &self,
        source: &Source,
        dtype: DType,
        kernel: &'static str,
        grid: Grid,
        arguments: &[Arg<'_, Self::Buffer>],
    ) -> Result<()>;
}

/// A count as a kernel's `int`.
pub(crate) fn int(op: &'static str, option: &'static str, count: usize) -> Result<i32> {
    let expected = "at most 2,147,483,647 on CUDA";
    i32::try_from(count).map_err(|_| Error::Option { op, option, expected, got: count.to_string() })
}
