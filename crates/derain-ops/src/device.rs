//! Where operations run: the CPU, or an NVIDIA GPU in builds with the feature `cuda`.
//!
//! ```
//! use derain_ops::device::cuda;
//! match cuda(0) {
//!     Ok(device) => assert!(device.is_cuda()),
//!     Err(error) => println!("{error}"),       // says whether the build or the machine lacks it, and what to do
//! }
//! ```

mod out_of_memory;

#[cfg(feature = "cuda")]
use std::collections::BTreeMap;
#[cfg(feature = "cuda")]
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
#[cfg(any(test, feature = "cuda"))]
use candle_core::Tensor;

use crate::{Error, Result};

pub use out_of_memory::is_out_of_memory;

/// The GPU of this number, counted from 0 as `nvidia-smi` does.
///
/// All work on it is put on one stream, so tensors may go from thread to thread. (With candle's `Device::new_cuda` each
/// thread has a stream of its own, and what one has not finished another may read.) Every call gives the same device.
///
/// Memory that tensors give back stays with the process, for the next ones, as with PyTorch: `nvidia-smi` shows the
/// most that was ever in use at once.
///
/// # Errors
/// [`Error::NoCuda`] in builds without the feature `cuda`, [`Error::NoDevice`] where there is no such GPU or no driver.
#[cfg(feature = "cuda")]
pub fn cuda(ordinal: usize) -> Result<Device> {
    // Two calls get the same stream: candle lets their tensors meet.
    static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&ordinal) {
        return Ok(device.clone());
    }
    // That makes an event for each use of a tensor, which one stream would not need. They stay on: see `cuda_alone`.
    let device = Device::new_cuda_with_stream(ordinal)
        .map_err(|error| Error::NoDevice { ordinal, reason: crate::one_line::one_line(&error) })?;
    keep_freed_memory(&device);
    opened.insert(ordinal, device.clone());
    Ok(device)
}

/// The same GPU as [`cuda`] gives, for a program that computes on it through this device alone: faster, by a promise.
///
/// By default every use of a tensor leaves an event, so that other streams wait for it. This turns them off for all
/// tensors of the device, and for good: [`cuda`] gives the same device, from then on without events. Where networks are
/// many small operations it shows: a training step of RRANet took 77 ms for 119 on an H100 (`docs/gpu.md`).
///
/// # Safety
/// Nothing may touch a tensor of this device but through this device, as long as the process runs. candle lets tensors
/// of another `CudaDevice` of the same GPU meet these, copies from GPU to GPU on the target's stream, and hands out the
/// stream's context, from which more streams can be made: none of these would wait for what this stream has yet to
/// write, or keep it from giving memory back that is still read. Nor may cudarc's pinned memory be used with its
/// stream, as that waits by events. candle's own copies to and from the CPU are safe.
///
/// # Errors
/// As [`cuda`].
#[cfg(feature = "cuda")]
pub unsafe fn cuda_alone(ordinal: usize) -> Result<Device> {
    let device = cuda(ordinal)?;
    if let Device::Cuda(device) = &device {
        // SAFETY: the caller vouches for there being one stream, in which everything has an order already.
        unsafe { device.disable_event_tracking() };
    }
    Ok(device)
}

/// Lets the pool that tensors come from hold what they give back. By default it unmaps that whenever the device is
/// waited for, and mapping it anew takes longer than many a kernel. A driver without pools, or one that refuses,
/// changes nothing but speed.
#[cfg(feature = "cuda")]
fn keep_freed_memory(device: &Device) {
    use candle_core::cuda_backend::cudarc::driver::result::{device::get_default_mem_pool, mem_pool::set_attribute};
    use candle_core::cuda_backend::cudarc::driver::sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let Device::Cuda(device) = device else { return };
    let stream = device.cuda_stream();
    let context = stream.context();
    if !context.has_async_alloc() {
        return;
    }
    let mut bytes = u64::MAX;
    // SAFETY: the device is that of a live context. The pool is the device's own, which is never destroyed, and the
    // attribute a 64-bit number.
    let _ = unsafe {
        get_default_mem_pool(context.cu_device())
            .and_then(|pool| set_attribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut bytes).cast()))
    };
}

/// The GPU of this number, counted from 0 as `nvidia-smi` does.
///
/// # Errors
/// [`Error::NoCuda`]: this build has no support for GPUs.
#[cfg(not(feature = "cuda"))]
pub fn cuda(ordinal: usize) -> Result<Device> {
    Err(Error::NoCuda { ordinal })
}

/// As [`cuda`], for a program that computes on the GPU through this device alone.
///
/// # Safety
/// None here: this build has no support for GPUs.
///
/// # Errors
/// [`Error::NoCuda`]: this build has no support for GPUs.
#[cfg(not(feature = "cuda"))]
pub unsafe fn cuda_alone(ordinal: usize) -> Result<Device> {
    cuda(ordinal)
}

/// Runs tensor operations on behalf of an operation of this crate: what goes wrong on a GPU then says in which, where
/// and on what.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn named<R>(op: &'static str, inputs: &[&Tensor], f: impl FnOnce() -> Result<R>) -> Result<R> {
    let done = f();
    #[cfg(feature = "cuda")]
    if let Some(Device::Cuda(device)) = inputs.first().map(|input| input.device()) {
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape()).collect();
        return done.map_err(|error| match error {
            Error::Candle(error) => crate::cuda::failure::failure(op, device, &shapes, error),
            own => own,
        });
    }
    let _ = (op, inputs);
    done
}
