use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The dimensions of a `[B, C, H, W]` picture batch stored plane after plane, rows contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Pictures, B.
    pub batch: usize,
    /// Channels of each picture, C.
    pub channels: usize,
    /// Rows, H.
    pub height: usize,
    /// Columns, W.
    pub width: usize,
}

impl Planes {
    /// Pixels of one plane, H·W.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Elements of the whole batch, B·C·H·W.
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.pixels()
    }

    /// Elements of `copies` such batches, unless the count overflows.
    pub(crate) fn checked_len(&self, copies: usize) -> Option<usize> {
        let Self { batch, channels, height, width } = *self;
        [batch, channels, height, width].into_iter().try_fold(copies, usize::checked_mul)
    }

    /// Whether any dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<(usize, usize, usize, usize)> for Planes {
    fn from((batch, channels, height, width): (usize, usize, usize, usize)) -> Self {
        Self { batch, channels, height, width }
    }
}

/// The dimensions of a tensor that an operation can work on: four of them, none zero, of a type and on a device that it
/// has code for.
pub(crate) fn of_tensor(op: &'static str, x: &Tensor) -> Result<Planes> {
    let dims = x.dims4().ok().map(Planes::from).filter(|planes| !planes.is_empty());
    let planes = dims.ok_or_else(|| {
        let expected = "[B, C, H, W] with no dimension 0".into();
        Error::Shape { op, argument: "x", expected, got: x.shape().clone() }
    })?;
    check_device(op, x)?;
    check_float(op, "x", x)?;
    Ok(planes)
}

/// Refuses a tensor of a type that operations have no code for on its device: they take f32 and f64, and on GPUs f16
/// and bf16.
pub(crate) fn check_float(op: &'static str, argument: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        DType::F16 | DType::BF16 if tensor.device().is_cuda() => Ok(()),
        got => Err(Error::DType { op, argument, got }),
    }
}

/// Refuses a tensor on a device that operations have no kernels for.
pub(crate) fn check_device(op: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.device() {
        Device::Cpu => Ok(()),
        Device::Cuda(_) if cfg!(feature = "cuda") => Ok(()),
        other => Err(Error::Device { op, device: format!("{:?}", other.location()) }),
    }
}

/// Refuses a tensor whose shape is not `dims`; `form` names its dimensions for the message.
pub(crate) fn check_shape(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    dims: &[usize],
    form: &str,
) -> Result<()> {
    if tensor.dims() == dims {
        return Ok(());
    }
    let expected = format!("{form} = {dims:?}, to fit `x`");
    Err(Error::Shape { op, argument, expected, got: tensor.shape().clone() })
}

/// Refuses a tensor of another type than `dtype`.
pub(crate) fn check_dtype(op: &'static str, argument: &'static str, tensor: &Tensor, dtype: DType) -> Result<()> {
    if tensor.dtype() == dtype { Ok(()) } else { Err(Error::DType { op, argument, got: tensor.dtype() }) }
}
