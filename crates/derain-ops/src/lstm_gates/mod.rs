//! The gate arithmetic of convolutional LSTMs (Shi et al., "Convolutional LSTM Network", NIPS 2015), as in RRANet: no
//! peepholes.
//!
//! With the pre-activations a of the four gates, side by side in the channels of one tensor, and the previous cell c:
//!
//! ```text
//! i = σ(a_i)    f = σ(a_f)    g = tanh(a_g)    o = σ(a_o)        σ(a) = 1 / (1 + e^-a)
//! c' = f · c + i · g
//! h  = o · tanh(c')
//! ```
//!
//! All of it in one pass: seven planes of traffic for each channel, five read and two written. Gradients, with the
//! incoming dh and dc' and t = tanh(c'):
//!
//! ```text
//! d = dc' + dh · o · (1 - t²)        through the cell
//! da_i = d · g · i · (1 - i)    da_f = d · c · f · (1 - f)    da_g = d · i · (1 - g²)    da_o = dh · t · o · (1 - o)
//! dc = d · f
//! ```
//!
//! Gates are not kept between the passes but computed again; c' is read from the result. In f32, σ and tanh are within
//! a few units in the last place (f64 uses the standard library's functions). NaN stays NaN.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use derain_ops::{LstmState, lstm_gates};
//! let gates = Tensor::zeros((1, 4, 1, 1), DType::F32, &Device::Cpu)?;        // i = f = o = 1/2, g = 0
//! let cell = Tensor::new(&[[[[4f32]]]], &Device::Cpu)?;
//! let LstmState { hidden, cell } = lstm_gates(&gates, &cell)?;
//! assert_eq!(cell.flatten_all()?.to_vec1::<f32>()?, [2.]);
//! assert!((hidden.flatten_all()?.to_vec1::<f32>()?[0] - 0.4820).abs() < 1e-4);     // tanh(2) / 2
//! # Ok::<(), derain_ops::Error>(())
//! ```

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
#[cfg(feature = "cuda")]
mod gpu;
mod op;
#[doc(hidden)]
pub mod rect;
#[doc(hidden)]
pub mod reference;
mod sigmoid;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cuda;

use candle_core::Tensor;

#[cfg(test)]
pub(crate) use cuda::SOURCE as KERNELS;

use crate::plane::{check_device, check_dtype, check_float};
use crate::{Error, Planes, Result};

/// What a step of an LSTM passes on to the next.
#[derive(Clone, Debug)]
pub struct LstmState {
    /// h, `[B, C, H, W]`: the step's result.
    pub hidden: Tensor,
    /// c', `[B, C, H, W]`.
    pub cell: Tensor,
}

/// One step's state from its gates and the previous cell, with gradients for both.
///
/// `gates` is `[B, 4·C, H, W]`, the pre-activations of i, f, g and o in this order; `cell` is `[B, C, H, W]`. Type f32
/// or f64 (on GPUs also f16 and bf16), the same for both, strided or not.
///
/// # Errors
/// When a shape or a type does not fit, or a dimension is 0.
pub fn lstm_gates(gates: &Tensor, cell: &Tensor) -> Result<LstmState> {
    check(gates, cell)?;
    // The hidden states of the whole batch, then its cells: both are contiguous parts.
    let packed = gates.contiguous()?.apply_op2(&cell.contiguous()?, op::LstmGates)?;
    Ok(LstmState { hidden: packed.get(0)?, cell: packed.get(1)? })
}

fn check(gates: &Tensor, cell: &Tensor) -> Result<()> {
    const OP: &str = "lstm_gates";
    let shape =
        |argument, expected, got: &Tensor| Error::Shape { op: OP, argument, expected, got: got.shape().clone() };
    let planes = cell.dims4().ok().map(Planes::from).filter(|planes| !planes.is_empty());
    let Some(Planes { batch, channels, height, width }) = planes else {
        return Err(shape("cell", "[B, C, H, W] with no dimension 0".into(), cell));
    };
    let four = [batch, 4 * channels, height, width];
    if gates.dims() != four {
        return Err(shape("gates", format!("[B, 4·C, H, W] = {four:?}, to fit `cell`"), gates));
    }
    check_device(OP, cell)?;
    check_float(OP, "cell", cell)?;
    check_dtype(OP, "gates", gates, cell.dtype())
}
