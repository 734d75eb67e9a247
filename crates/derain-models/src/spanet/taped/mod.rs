//! SPANet as one operation with gradients, for training on the CPU.
//!
//! Run tensor by tensor, a step of training spends more time on rearranging, clearing, adding and paging tensors than
//! on arithmetic. Here everything between the picture and the results stays in the kernels' layout
//! ([`derain_ops::pixels`]), in buffers that serve every step again. Per pixel and channel the forward pass keeps three
//! values a block and four an attention module; the scans, four times as wide, are computed again on the way back,
//! direction by direction.
//!
//! | file | holds |
//! | --- | --- |
//! | `parameters.rs` | all parameters as one list, and each convolution's place in it |
//! | `run.rs` | a convolution and its gradients, on buffers of one pass |
//! | `block.rs`, `attention.rs` | a residual block and an attention module, forward and backward |
//! | `op.rs` | the network as a candle operation |

mod attention;
mod block;
mod op;
mod parameters;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::Tensor;
use derain_ops::pixels::Pool;

use super::{SpaNet, SpaNetOutput};
use crate::Result;

/// Memory of earlier passes, for both element types.
#[derive(Debug, Default)]
pub(super) struct Pools {
    single: Arc<Pool<f32>>,
    double: Arc<Pool<f64>>,
}

/// Runs the network on pictures `[B, 3, H, W]`, f32 or f64, on the CPU.
pub(super) fn forward(network: &SpaNet, pictures: &Tensor, pools: &Arc<Pools>) -> Result<SpaNetOutput> {
    let (network, parameters) = parameters::collect(network)?;
    let maps = usize::from(network.has_attention());
    let op = op::SpaNetOp::new(network, Arc::clone(pools), pictures.track_op() || parameters.track_op());
    let both = pictures.contiguous()?.apply_op2(&parameters, op)?;
    let attention = if maps == 0 { None } else { Some(both.narrow(1, 3, 1)?) };
    Ok(SpaNetOutput { clean: both.narrow(1, 0, 3)?, attention })
}
