//! What an error of the device says: in which operation, on which GPU and what.

use std::fmt::Write;

use candle_core::Shape;
use candle_core::cuda_backend::CudaDevice;

use crate::Error;
use crate::device::is_out_of_memory;
use crate::one_line::without_backtrace;

/// What went wrong in an operation, where and on what.
pub(crate) fn failure(op: &'static str, device: &CudaDevice, inputs: &[&Shape], error: candle_core::Error) -> Error {
    let device = describe(device);
    let shapes = inputs.iter().map(|shape| format!("{:?}", shape.dims())).collect::<Vec<_>>().join(", ");
    let error = without_backtrace(error);
    if is_out_of_memory(&error) {
        return Error::OutOfDeviceMemory { op, device, shapes };
    }
    // candle tells the driver's codes by their names alone.
    let is_of_older_driver = error.to_string().contains("UNSUPPORTED_PTX_VERSION");
    let source = Box::new(error);
    match is_of_older_driver {
        true => Error::DriverTooOld { op, device, source },
        false => Error::Cuda { op, device, shapes, source },
    }
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
