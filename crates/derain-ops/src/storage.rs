//! From candle's storages to slices, for operations on the CPU.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

use crate::element::Element;

/// The elements of a contiguous CPU storage.
///
/// # Errors
/// When they are not contiguous, or of another type.
pub fn elements<'a, E: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [E]> {
    let all = E::slice(storage);
    match (all, layout.contiguous_offsets()) {
        (Some(all), Some((start, end))) => Ok(&all[start..end]),
        (Some(_), None) => candle_core::bail!("expected a contiguous tensor, got {layout:?}"),
        (None, _) => candle_core::bail!("expected {:?} elements, got {:?}", E::DTYPE, storage.dtype()),
    }
}

/// Calls `f` with the elements of CPU tensors, which may be strided.
///
/// # Errors
/// When a tensor is of another type or on another device.
pub fn with_elements<E: Element, R, const N: usize>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[E]; N]) -> R,
) -> Result<R> {
    let tensors = tensors.map(Tensor::contiguous);
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor?);
    }
    let storages: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[E]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&storages) {
        *slice = match &**storage {
            Storage::Cpu(storage) => elements(storage, layout)?,
            other => candle_core::bail!("expected a tensor on the cpu, got one on {:?}", other.device().location()),
        };
    }
    Ok(f(slices))
}
