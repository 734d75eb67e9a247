//! Which errors say that a device had no memory left.

use std::error::Error as StdError;

use crate::Error;

/// Whether a device had no memory left, whether candle or an operation says so, and whatever has that as its source.
/// The error types of `derain-models` and `derain-train` stand for such an error rather than having it as their source:
/// ask their own `is_out_of_memory`.
pub fn is_out_of_memory(error: &(dyn StdError + 'static)) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::OutOfDeviceMemory { .. }) => return true,
        // Its text is candle's, which is thus no source.
        Some(Error::Candle(error)) => return of_candle(error),
        _ => {}
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
            Some(CudaError::Cuda(driver) | CudaError::Load { cuda: driver, .. }) => {
                return driver.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY;
            }
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

#[cfg(test)]
mod tests;
