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
    match is_out_of_memory(&error) {
        true => Error::OutOfDeviceMemory { op, device, shapes },
        false => Error::Cuda { op, device, shapes, source: Box::new(without_backtrace(error)) },
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
