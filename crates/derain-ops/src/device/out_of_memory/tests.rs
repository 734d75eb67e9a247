//! What counts as a device without memory, in every wrapping that it comes in.

use candle_core::Error as Candle;

use super::is_out_of_memory;
use crate::Error;

/// What kernels' launches say.
fn own() -> Error {
    Error::OutOfDeviceMemory { op: "irnn", device: "cuda:0".into(), shapes: "[1]".into() }
}

/// What candle says of a library's failure.
fn of_library(status: &'static str) -> Candle {
    Candle::Wrapped(Box::new(status))
}

/// As other crates may wrap it.
#[derive(Debug, thiserror::Error)]
#[error("outside")]
struct Outside(#[source] Error);

fn failed(source: Candle) -> Error {
    Error::Cuda { op: "conv2d", device: "cuda:0".into(), shapes: "[1]".into(), source: Box::new(source) }
}

#[test]
fn out_of_memory_is_found_in_any_wrapping() {
    let full = || of_library("CUDNN_STATUS_ALLOC_FAILED");
    let outside = Outside(Error::Candle(full()));
    assert!(is_out_of_memory(&own()) && is_out_of_memory(&full()) && is_out_of_memory(&outside));
    for candle in [full(), Candle::Cuda(Box::new(own())), Candle::Cuda(Box::new(full())), full().context("a batch")] {
        assert!(is_out_of_memory(&candle), "{candle}");
        let (wrapped, failed) = (Error::Candle(candle), failed(full()));
        assert!(is_out_of_memory(&wrapped) && is_out_of_memory(&failed), "{wrapped}; {failed}");
    }
}

/// What the driver said is found by its type, and printed once by whoever prints the chain.
#[test]
fn a_failures_source_is_candles_error() {
    let error = failed(of_library("CUDNN_STATUS_NOT_SUPPORTED"));
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.downcast_ref::<Candle>().is_some());
    assert!(!error.to_string().contains(&source.to_string()), "{error}");
}

#[test]
fn other_failures_are_not_taken_for_it() {
    let other = || of_library("CUDNN_STATUS_NOT_SUPPORTED");
    for error in [Error::Candle(other()), failed(other()), Error::NoCuda { ordinal: 0 }] {
        assert!(!is_out_of_memory(&error), "{error}");
    }
    assert!(!is_out_of_memory(&Candle::Cuda(Box::new(Error::NoCuda { ordinal: 0 }))));
}

/// As a driver says it: an allocation of candle's own operations, and a module that is loaded.
#[cfg(feature = "cuda")]
#[test]
fn a_drivers_refusal_counts() {
    use candle_core::cuda_backend::CudaError;
    use candle_core::cuda_backend::cudarc::driver::DriverError;
    use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
    for (status, expected) in [(CUresult::CUDA_ERROR_OUT_OF_MEMORY, true), (CUresult::CUDA_ERROR_LAUNCH_FAILED, false)]
    {
        let load = CudaError::Load { cuda: DriverError(status), module_name: "fill".into() };
        for error in [CudaError::Cuda(DriverError(status)), load] {
            assert_eq!(is_out_of_memory(&Error::Candle(Candle::Cuda(Box::new(error)))), expected, "{status:?}");
        }
    }
}
