//! Glue between candle's tensors and the launches of `cuda.rs`.

use std::cell::RefCell;

use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Storage, Tensor};

use super::{AdamStep, cuda};
use crate::Result;
use crate::cuda::gpu::on_storages_to_change;
use crate::cuda::{Arg, pieces};

/// In place; the gradient is contiguous.
pub(super) fn adam(
    parameter: &Tensor,
    gradient: &Tensor,
    [first, second]: [&Tensor; 2],
    step: &AdamStep,
) -> Result<()> {
    const OP: &str = "adam";
    // Each is locked while it changes: one memory for two would be waited for without end.
    let places = [parameter, gradient, first, second].map(place);
    if (1..4).any(|at| places[..at].contains(&places[at])) {
        return Err(candle_core::Error::msg("adam: its tensors must not share memory").into());
    }
    let count = parameter.elem_count();
    change(parameter, |w| {
        change(first, |m| {
            change(second, |v| {
                on_gpu(gradient, |g| {
                    on_storages_to_change(OP, [w, m, v], vec![Some(g)], |gpu, [w, m, v], inputs| {
                        let g = inputs[0].as_ref().map_or(Arg::Null, |g| g.argument());
                        // SAFETY: the entry point has checked shapes and types; storages that change are borrowed mutably.
                        unsafe { cuda::adam(gpu, [&w.argument(), &g, &m.argument(), &v.argument()], step, count) }
                    })
                })
            })
        })
    })
}

/// In place; `to` is contiguous.
pub(super) fn approach(average: &Tensor, to: &Tensor, share: f64) -> Result<()> {
    const OP: &str = "approach";
    if place(average) == place(to) {
        return Err(candle_core::Error::msg("approach: its tensors must not share memory").into());
    }
    let count = average.elem_count();
    change(average, |average| {
        on_gpu(to, |to| {
            on_storages_to_change(OP, [average], vec![Some(to)], |gpu, [average], inputs| {
                let to = inputs[0].as_ref().map_or(Arg::Null, |to| to.argument());
                // SAFETY: as in `adam`.
                unsafe { cuda::approach(gpu, [&average.argument(), &to], share, count) }
            })
        })
    })
}

/// Every tensor's pieces one after the other in one memory, which is read once.
pub(super) fn sums_of_squares(tensors: &[Tensor]) -> Result<Vec<f64>> {
    const OP: &str = "sums_of_squares";
    let counts: Vec<usize> = tensors.iter().map(|tensor| pieces(tensor.elem_count())).collect();
    let Some(device) = tensors.first().map(Tensor::device) else { return Ok(vec![]) };
    let sums = Tensor::zeros(counts.iter().sum::<usize>().max(1), DType::F64, device)?;
    let mut first = 0;
    for (tensor, &count) in tensors.iter().zip(&counts) {
        let tensor = tensor.contiguous()?;
        change(&sums, |sums| {
            on_gpu(&tensor, |x| {
                on_storages_to_change(OP, [sums], vec![Some(x)], |gpu, [sums], inputs| {
                    let x = inputs[0].as_ref().map_or(Arg::Null, |x| x.argument());
                    // SAFETY: there is a sum for each piece of each tensor.
                    unsafe { cuda::sum_squares(gpu, [&x, &sums.argument_at(first)], tensor.elem_count()) }
                })
            })
        })?;
        first += count;
    }
    let sums: Vec<f64> = sums.to_vec1()?;
    let mut rest = &sums[..];
    let of_tensor = |&count: &usize| {
        let (these, others) = rest.split_at(count);
        rest = others;
        these.iter().sum()
    };
    Ok(counts.iter().map(of_tensor).collect())
}

/// Where a tensor's storage lies.
fn place(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}

/// Calls `f` with a tensor's storage, to be changed.
fn change(tensor: &Tensor, f: impl FnOnce((&mut CudaStorage, &Layout)) -> Result<()>) -> Result<()> {
    Ok(tensor.inplace_op1(&Change(RefCell::new(Some(f))))?)
}

/// Once.
struct Change<F>(RefCell<Option<F>>);

impl<F: FnOnce((&mut CudaStorage, &Layout)) -> Result<()>> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("update: all its tensors must be on the same GPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        match self.0.take() {
            Some(f) => Ok(f((storage, layout))?),
            None => candle_core::bail!("update: called twice"),
        }
    }
}

/// Calls `f` with a tensor's storage.
fn on_gpu<R>(tensor: &Tensor, f: impl FnOnce((&CudaStorage, &Layout)) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => f((storage, layout)),
        _ => Err(candle_core::Error::msg("update: all its tensors must be on the same GPU").into()),
    }
}

#[cfg(test)]
mod tests;
