//! What an error of the device says: in which operation, on which GPU and what.

use std::fmt::Write;

use candle_core::Shape;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
use candle_core::cuda_backend::{CudaDevice, CudaError};

use crate::Error;
use crate::device::out_of_memory::is_out_of_memory;
use crate::one_line::without_backtrace;

/// What went wrong in an operation, where and on what.
pub(crate) fn failure(op: &'static str, device: &CudaDevice, inputs: &[&Shape], error: candle_core::Error) -> Error {
    let device = describe(device);
    let shapes = inputs.iter().map(|shape| format!("{:?}", shape.dims())).collect::<Vec<_>>().join(", ");
    let error = without_backtrace(error);
    if is_out_of_memory(&error) {
        return Error::OutOfDeviceMemory { op, device, shapes };
    }
    Error::Cuda { op, device, shapes, source: Box::new(error) }
}

/// What went wrong where an operation's kernels were loaded.
pub(crate) fn not_loaded(op: &'static str, device: &CudaDevice, inputs: &[&Shape], error: candle_core::Error) -> Error {
    let error = without_backtrace(error);
    match is_of_older_driver(&error) {
        true => Error::DriverTooOld { op, device: describe(device), source: Box::new(error) },
        false => failure(op, device, inputs, error),
    }
}

fn is_of_older_driver(error: &candle_core::Error) -> bool {
    let candle_core::Error::Cuda(inner) = error else { return false };
    matches!(inner.downcast_ref(), Some(CudaError::Cuda(DriverError(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION))))
}

/// A device in words, such as `cuda:0 (NVIDIA H100, compute capability 9.0)`.
pub(crate) fn describe(device: &CudaDevice) -> String {
    let stream = device.cuda_stream();
    let context = stream.context();
    let mut words = format!("cuda:{}", context.ordinal());
    if let (Ok(name), Ok((major, minor))) = (context.name(), context.compute_capability()) {
        // Writing to a string cannot fail.
        let _ = write!(words, " ({name}, compute capability {major}.{minor})");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_drivers_are_told_by_their_code() {
        let said = |code| candle_core::Error::Cuda(Box::new(CudaError::Cuda(DriverError(code))));
        assert!(is_of_older_driver(&said(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)));
        assert!(!is_of_older_driver(&said(CUresult::CUDA_ERROR_INVALID_PTX)));
        assert!(!is_of_older_driver(&candle_core::Error::msg("UNSUPPORTED_PTX_VERSION")));
    }
}
