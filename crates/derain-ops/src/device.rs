//! Where operations run: the CPU, or an NVIDIA GPU in builds with the feature `cuda`.
//!
//! ```
//! use derain_ops::device::cuda;
//! match cuda(0) {
//!     Ok(device) => assert!(device.is_cuda()),
//!     Err(error) => println!("{error}"),       // says whether the build or the machine lacks it, and what to do
//! }
//! ```

#[cfg(feature = "cuda")]
use std::collections::BTreeMap;
use std::error::Error as StdError;
#[cfg(feature = "cuda")]
use std::sync::{Mutex, PoisonError};

use candle_core::Device;
#[cfg(any(test, feature = "cuda"))]
use candle_core::Tensor;

use crate::{Error, Result};

/// The GPU of this number, counted from 0 as `nvidia-smi` does.
///
/// All work on it is put on one stream, so tensors may go from thread to thread. (With candle's `Device::new_cuda` each thread has a
/// stream of its own, and what one has not finished another may read.)
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
    let device = Device::new_cuda_with_stream(ordinal)
        .map_err(|error| Error::NoDevice { ordinal, reason: first_line(&error) })?;
    opened.insert(ordinal, device.clone());
    Ok(device)
}

/// The GPU of this number, counted from 0 as `nvidia-smi` does.
///
/// # Errors
/// [`Error::NoCuda`]: this build has no support for GPUs.
#[cfg(not(feature = "cuda"))]
pub fn cuda(ordinal: usize) -> Result<Device> {
    Err(Error::NoCuda { ordinal })
}

/// Runs tensor operations on behalf of an operation of this crate: what goes wrong on a GPU then says in which, where and on what.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn named<R>(op: &'static str, inputs: &[&Tensor], f: impl FnOnce() -> Result<R>) -> Result<R> {
    let done = f();
    #[cfg(feature = "cuda")]
    if let Some(Device::Cuda(device)) = inputs.first().map(|input| input.device()) {
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape()).collect();
        return done.map_err(|error| match error {
            Error::Candle(error) => crate::cuda::gpu::failure(op, device, &shapes, error),
            own => own,
        });
    }
    let _ = (op, inputs);
    done
}

/// Whether a device had no memory left, whatever the error is wrapped in.
pub fn is_out_of_memory(error: &(dyn StdError + 'static)) -> bool {
    if matches!(error.downcast_ref(), Some(Error::OutOfDeviceMemory { .. })) {
        return true;
    }
    if let Some(error) = error.downcast_ref::<candle_core::Error>() {
        return of_candle(error);
    }
    #[cfg(feature = "cuda")]
    {
        use candle_core::cuda_backend::CudaError;
        use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
        use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
        match error.downcast_ref::<CudaError>() {
            Some(CudaError::Cuda(driver)) => return driver.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY,
            Some(CudaError::Cublas(blas)) => return blas.0 == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED,
            _ => {}
        }
    }
    error.source().is_some_and(is_out_of_memory)
}

/// Candle's variants that hold another error say nothing of it as their source.
fn of_candle(error: &candle_core::Error) -> bool {
    use candle_core::Error as Candle;
    match error {
        Candle::Cuda(inner) => is_out_of_memory(&**inner),
        Candle::WrappedContext { wrapped, .. } => is_out_of_memory(&**wrapped),
        Candle::Context { inner, .. } | Candle::WithPath { inner, .. } | Candle::WithBacktrace { inner, .. } => {
            of_candle(inner)
        }
        // What cuDNN says is wrapped as text.
        Candle::Wrapped(text) => {
            let text = text.to_string();
            ["ALLOC_FAILED", "ALLOCATION_FAILED", "OUT_OF_MEMORY"].iter().any(|status| text.contains(status))
        }
        _ => false,
    }
}

/// Without the backtrace that candle appends.
#[cfg(feature = "cuda")]
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
