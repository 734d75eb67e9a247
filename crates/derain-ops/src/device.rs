//! Where operations run: the CPU, or an NVIDIA GPU in builds with the feature `cuda`.
//!
//! ```
//! use derain_ops::device::cuda;
//! match cuda(0) {
//!     Ok(device) => assert!(device.is_cuda()),
//!     Err(error) => println!("{error}"),       // says whether the build or the machine lacks it, and what to do
//! }
//! ```

pub(crate) mod out_of_memory;
#[cfg(feature = "cuda")]
pub(crate) mod pool;

#[cfg(feature = "cuda")]
use std::collections::BTreeMap;
#[cfg(feature = "cuda")]
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
#[cfg(any(test, feature = "cuda"))]
use candle_core::Tensor;
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::{CudaDevice, WrapErr};

use crate::{Error, Result};

pub use out_of_memory::is_out_of_memory;

/// The GPU of this number, counted from 0 as `nvidia-smi` does.
///
/// All work on it is put on one stream, so tensors may go from thread to thread. (With candle's `Device::new_cuda` each
/// thread has a stream of its own, and what one has not finished another may read.) Every call gives the same device.
///
/// Memory that tensors give back stays with the process, for the next ones, as with PyTorch: `nvidia-smi` shows the
/// most that was ever in use at once. [`release_freed_memory`] gives it back.
///
/// # Errors
/// [`Error::NoCuda`] in builds without the feature `cuda`, [`Error::NoDevice`] where there is no such GPU or no driver,
/// [`Error::OldDevice`] where the GPU is of a compute capability below 8.0.
#[cfg(feature = "cuda")]
pub fn cuda(ordinal: usize) -> Result<Device> {
    // Two calls get the same stream: candle lets their tensors meet.
    static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&ordinal) {
        return Ok(device.clone());
    }
    // That makes an event for each use of a tensor, which one stream would not need. They stay on: see `cuda_alone`.
    let failed = |error| Error::NoDevice { ordinal, reason: crate::one_line::one_line(&error) };
    let device = CudaDevice::new_with_stream(ordinal).map_err(failed)?;
    check_capability(ordinal, device.cuda_stream().context().compute_capability().w().map_err(failed)?)?;
    pool::keep_freed_memory(&device);
    let device = Device::Cuda(device);
    opened.insert(ordinal, device.clone());
    Ok(device)
}

/// Refuses GPUs without the instructions that kernels use: for bf16, copies to shared memory, maxima that keep NaN.
#[cfg(feature = "cuda")]
fn check_capability(ordinal: usize, (major, minor): (i32, i32)) -> Result<()> {
    match major >= 8 {
        true => Ok(()),
        false => Err(Error::OldDevice { ordinal, major, minor }),
    }
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

/// Gives a GPU's driver what tensors have given back and the process keeps for the next ones: for others, or for a
/// tensor that no piece of it is large enough for. Waits for all work under way. On the CPU there is nothing to give.
///
/// # Errors
/// [`Error::Candle`]: what the driver says, perhaps of earlier work.
pub fn release_freed_memory(device: &Device) -> Result<()> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(pool::release_freed_memory(device)?),
        _ => Ok(()),
    }
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

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;

    #[test]
    fn old_gpus_are_refused() {
        assert!(check_capability(0, (8, 0)).is_ok() && check_capability(0, (12, 0)).is_ok());
        let error = check_capability(1, (7, 5)).unwrap_err();
        assert!(error.to_string().contains("cuda:1") && error.to_string().contains("7.5"), "{error}");
    }
}
