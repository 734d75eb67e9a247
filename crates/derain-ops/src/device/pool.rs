//! The memory that a GPU's tensors come from and go back to.

use candle_core::cuda_backend::cudarc::driver::CudaContext;
use candle_core::cuda_backend::cudarc::driver::result::device::get_default_mem_pool;
use candle_core::cuda_backend::cudarc::driver::result::mem_pool::{set_attribute, trim_to};
use candle_core::cuda_backend::cudarc::driver::sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
use candle_core::cuda_backend::cudarc::driver::sys::CUmemoryPool;
use candle_core::cuda_backend::{CudaDevice, WrapErr};

/// A driver without pools, or one that refuses, has none.
fn pool(context: &CudaContext) -> Option<CUmemoryPool> {
    if !context.has_async_alloc() {
        return None;
    }
    // SAFETY: the device is that of a live context.
    unsafe { get_default_mem_pool(context.cu_device()).ok() }
}

/// Lets the pool hold what tensors give back. By default it unmaps that whenever the device is waited for, and mapping
/// it anew takes longer than many a kernel. Where it cannot be, nothing but speed is lost.
pub(super) fn keep_freed_memory(device: &CudaDevice) {
    if let Some(pool) = pool(device.cuda_stream().context()) {
        let mut bytes = u64::MAX;
        // SAFETY: the pool is the device's own, which is never destroyed, and the attribute a 64-bit number.
        let _ = unsafe { set_attribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut bytes).cast()) };
    }
}

/// What the pool holds of what tensors gave back goes to the driver, once all work under way is done.
pub(crate) fn release_freed_memory(device: &CudaDevice) -> candle_core::Result<()> {
    let stream = device.cuda_stream();
    stream.synchronize().w()?;
    if let Some(pool) = pool(stream.context()) {
        // A pool that keeps its memory is no reason to fail here.
        // SAFETY: as above.
        let _ = unsafe { trim_to(pool, 0) };
    }
    Ok(())
}
