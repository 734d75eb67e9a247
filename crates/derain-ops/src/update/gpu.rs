//! Glue between candle's tensors and the launches of `cuda.rs`.

use std::cell::RefCell;

use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Storage, Tensor};

use super::{AdamStep, AdamTensors, cuda, place};
use crate::Result;
use crate::cuda::gpu::on_storages_to_change;
use crate::cuda::{Arg, pieces};

pub(super) fn adam(tensors: &AdamTensors<'_>, step: &AdamStep) -> Result<()> {
    const OP: &str = "adam";
    let &AdamTensors { parameter, gradient, first, second } = tensors;
    let (gradient, count) = (gradient.contiguous()?, parameter.elem_count());
    // Locked in candle's order, that of their places: whoever computes with two of them meanwhile waits, and is not
    // waited for.
    let mut order = [(0, parameter), (1, first), (2, second)];
    order.sort_by_key(|(_, tensor)| place(tensor));
    let [(i, a), (j, b), (k, c)] = order;
    change(OP, a, |a| {
        change(OP, b, |b| {
            change(OP, c, |c| {
                let mut changed = [(i, a), (j, b), (k, c)];
                changed.sort_by_key(|&(at, _)| at);
                let changed = changed.map(|(_, storage)| storage);
                on_gpu(OP, &gradient, |g| {
                    on_storages_to_change(OP, changed, vec![Some(g)], |gpu, [w, m, v], inputs| {
                        let g = inputs[0].as_ref().map_or(Arg::Null, |g| g.argument());
                        // SAFETY: the entry point has checked shapes and types; storages that change are borrowed
                        // mutably.
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
    let count = average.elem_count();
    change(OP, average, |average| {
        on_gpu(OP, to, |to| {
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
        change(OP, &sums, |sums| {
            on_gpu(OP, &tensor, |x| {
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

/// Calls `f` with a tensor's storage, to be changed.
fn change(op: &'static str, tensor: &Tensor, f: impl FnOnce((&mut CudaStorage, &Layout)) -> Result<()>) -> Result<()> {
    Ok(tensor.inplace_op1(&Change { op, f: RefCell::new(Some(f)) })?)
}

/// Calls `f` once.
struct Change<F> {
    op: &'static str,
    f: RefCell<Option<F>>,
}

impl<F: FnOnce((&mut CudaStorage, &Layout)) -> Result<()>> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("{}: all its tensors must be on the same GPU", self.op)
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        match self.f.take() {
            Some(f) => Ok(f((storage, layout))?),
            None => candle_core::bail!("{}: called twice", self.op),
        }
    }
}

/// Calls `f` with a tensor's storage.
fn on_gpu<R>(op: &'static str, tensor: &Tensor, f: impl FnOnce((&CudaStorage, &Layout)) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => f((storage, layout)),
        _ => Err(candle_core::Error::msg(format!("{op}: all its tensors must be on the same GPU")).into()),
    }
}

#[cfg(test)]
mod tests;
