//! Kernels on NVIDIA GPUs: compiled by NVRTC, launched on the stream of candle's device.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg, SyncOnDrop,
};
use candle_core::cuda_backend::{CudaDevice, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Layout, Shape, Storage, Tensor};

use super::failure::{failure, not_loaded};
use super::{Arg, Grid, Launcher, Source, compiled};
use crate::device::out_of_memory::is_out_of_memory;
use crate::device::pool::release_freed_memory;
use crate::{Error, Result};

/// Evaluates an expression on a storage's typed slice, or another one for types that no kernel takes.
macro_rules! with_slice {
    ($slice:expr, $name:ident => $value:expr, $otherwise:expr) => {
        match $slice {
            CudaStorageSlice::F64($name) => $value,
            CudaStorageSlice::F32($name) => $value,
            CudaStorageSlice::F16($name) => $value,
            CudaStorageSlice::BF16($name) => $value,
            CudaStorageSlice::U8($name) => $value,
            CudaStorageSlice::U32($name) => $value,
            _ => $otherwise,
        }
    };
}

/// A device at work on one call of an operation.
pub(crate) struct Gpu<'a> {
    op: &'static str,
    device: &'a CudaDevice,
    /// Those of the call's inputs, for errors.
    shapes: Vec<&'a Shape>,
}

/// Memory of a [`Gpu`].
pub(crate) enum Memory<'a> {
    /// A tensor's, which kernels read.
    Lent(&'a CudaStorage),
    /// That of [`Launcher::allocate`], which kernels read and write. Its address never changes.
    Own(RefCell<CudaStorage>, CUdeviceptr),
    /// A tensor's, which kernels change.
    Changed(RefCell<&'a mut CudaStorage>, CUdeviceptr),
}

impl Memory<'_> {
    /// What kernels have written, as candle takes it.
    pub(crate) fn into_storage(self) -> Result<CudaStorage> {
        match self {
            Self::Own(storage, _) => Ok(storage.into_inner()),
            Self::Lent(_) | Self::Changed(..) => {
                Err(candle_core::Error::msg("an operation gave its input as its result").into())
            }
        }
    }
}

/// A contiguous tensor's elements on a device: its storage and where in it they start.
pub(crate) struct Input<'a> {
    memory: Memory<'a>,
    start: usize,
}

impl<'a> Input<'a> {
    /// As a kernel's argument.
    pub(crate) fn argument(&self) -> Arg<'_, Memory<'a>> {
        self.argument_at(0)
    }

    /// The same, `elements` elements further on.
    pub(crate) fn argument_at(&self, elements: usize) -> Arg<'_, Memory<'a>> {
        Arg::At(&self.memory, self.start + elements)
    }
}

/// Refuses storages of another GPU than the first one's: what a kernel reads there is no memory to it.
pub(crate) fn check_same_gpu<'a>(
    op: &'static str,
    first: &CudaStorage,
    others: impl IntoIterator<Item = &'a CudaStorage>,
) -> Result<()> {
    let place = first.device().location();
    if others.into_iter().all(|other| other.device().location() == place) {
        return Ok(());
    }
    Err(candle_core::Error::msg(format!("{op}: all its arguments must be on the same GPU")).into())
}

/// Calls `f` with the elements of storages, as a custom operation's inputs come: contiguous and on one device.
pub(crate) fn on_storages<'a, R, const N: usize>(
    op: &'static str,
    inputs: [(&'a CudaStorage, &'a Layout); N],
    f: impl FnOnce(&Gpu<'a>, [Input<'a>; N]) -> Result<R>,
) -> Result<R> {
    if let Some((_, layout)) = inputs.iter().find(|(_, layout)| !layout.is_contiguous()) {
        return Err(candle_core::Error::msg(format!("{op}: expected a contiguous tensor, got {layout:?}")).into());
    }
    check_same_gpu(op, inputs[0].0, inputs.iter().map(|(storage, _)| *storage))?;
    let shapes = inputs.iter().map(|(_, layout)| layout.shape()).collect();
    let gpu = Gpu { op, device: inputs[0].0.device(), shapes };
    f(&gpu, inputs.map(|(storage, layout)| Input { memory: Memory::Lent(storage), start: layout.start_offset() }))
}

/// Calls `f` with the elements of CUDA tensors, which may be strided.
pub(crate) fn on_tensors<R, const N: usize>(
    op: &'static str,
    tensors: [&Tensor; N],
    f: impl for<'a> FnOnce(&Gpu<'a>, [Input<'a>; N]) -> Result<R>,
) -> Result<R> {
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor.contiguous()?);
    }
    let storages: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let inputs: Vec<_> = storages
        .iter()
        .filter_map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => Some((storage, *layout)),
            _ => None,
        })
        .collect();
    let inputs: [_; N] = inputs
        .try_into()
        .map_err(|_| candle_core::Error::msg(format!("{op}: all its arguments must be on the same GPU")))?;
    on_storages(op, inputs, f)
}

/// Calls `f` with the elements of storages that it changes, and of others where there are any.
pub(crate) fn on_storages_to_change<R, const N: usize>(
    op: &'static str,
    changed: [(&mut CudaStorage, &Layout); N],
    inputs: Vec<Option<(&CudaStorage, &Layout)>>,
    f: impl for<'a> FnOnce(&Gpu<'a>, [Input<'a>; N], Vec<Option<Input<'a>>>) -> Result<R>,
) -> Result<R> {
    let mut layouts: Vec<&Layout> = changed.iter().map(|(_, layout)| *layout).collect();
    layouts.extend(inputs.iter().flatten().map(|&(_, layout)| layout));
    if let Some(layout) = layouts.iter().find(|layout| !layout.is_contiguous()) {
        return Err(candle_core::Error::msg(format!("{op}: expected a contiguous tensor, got {layout:?}")).into());
    }
    let Some((first, _)) = changed.first() else {
        return Err(candle_core::Error::msg(format!("{op}: nothing to change")).into());
    };
    let others = changed[1..].iter().map(|(storage, _)| &**storage);
    check_same_gpu(op, first, others.chain(inputs.iter().flatten().map(|&(storage, _)| storage)))?;
    let device = first.device.clone();
    let gpu = Gpu { op, device: &device, shapes: layouts.into_iter().map(Layout::shape).collect() };
    let mut to_change = Vec::with_capacity(N);
    for (storage, layout) in changed {
        let address = gpu.address_to_change(storage)?;
        let memory = Memory::Changed(RefCell::new(storage), address);
        to_change.push(Input { memory, start: layout.start_offset() });
    }
    let Ok(to_change) = <[Input<'_>; N]>::try_from(to_change) else {
        return Err(candle_core::Error::msg(format!("{op}: fewer storages than there are")).into());
    };
    let lent = |(storage, layout): (_, &Layout)| Input { memory: Memory::Lent(storage), start: layout.start_offset() };
    let inputs = inputs.into_iter().map(|input| input.map(lent)).collect();
    f(&gpu, to_change, inputs)
}

/// What kernels have written, as a tensor of this shape without gradient.
pub(crate) fn tensor(memory: Memory<'_>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_storage(Storage::Cuda(memory.into_storage()?), shape, BackpropOp::none(), false))
}

impl<'a> Gpu<'a> {
    fn error(&self, error: candle_core::Error) -> Error {
        failure(self.op, self.device, &self.shapes, error)
    }

    fn address(&self, storage: &CudaStorage) -> Result<CUdeviceptr> {
        let stream: Arc<CudaStream> = self.device.cuda_stream();
        Ok(with_slice!(&storage.slice, slice => slice.device_ptr(&stream).0, {
            return Err(Error::DType { op: self.op, argument: "x", got: storage.dtype() });
        }))
    }

    /// Where kernels may write once whoever reads or writes there now, on another stream, is done.
    fn address_to_change(&self, storage: &mut CudaStorage) -> Result<CUdeviceptr> {
        let stream: Arc<CudaStream> = self.device.cuda_stream();
        let dtype = storage.dtype();
        Ok(with_slice!(&mut storage.slice, slice => slice.device_ptr_mut(&stream).0, {
            return Err(Error::DType { op: self.op, argument: "x", got: dtype });
        }))
    }

    fn allocate_slice(&self, dtype: DType, length: usize) -> candle_core::Result<CudaStorageSlice> {
        // CUDA has no memory of 0 bytes.
        let length = length.max(1);
        // SAFETY: kernels write all of what they allocate before anything reads it; the contents of these types are any
        // bits.
        unsafe {
            Ok(match dtype {
                DType::F64 => CudaStorageSlice::F64(self.device.alloc(length)?),
                DType::F32 => CudaStorageSlice::F32(self.device.alloc(length)?),
                DType::F16 => CudaStorageSlice::F16(self.device.alloc(length)?),
                DType::BF16 => CudaStorageSlice::BF16(self.device.alloc(length)?),
                DType::U8 => CudaStorageSlice::U8(self.device.alloc(length)?),
                DType::U32 => CudaStorageSlice::U32(self.device.alloc(length)?),
                got => return Err(Error::DType { op: self.op, argument: "scratch", got }.into()),
            })
        }
    }
}

impl<'a> Launcher for Gpu<'a> {
    type Buffer = Memory<'a>;

    fn allocate(&self, dtype: DType, length: usize) -> Result<Memory<'a>> {
        let slice = match self.allocate_slice(dtype, length) {
            // What tensors have given back may lie in pieces too small for this one.
            Err(error) if is_out_of_memory(&error) => {
                release_freed_memory(self.device).and_then(|()| self.allocate_slice(dtype, length))
            }
            done => done,
        };
        let slice = slice.map_err(|error| self.error(error))?;
        let storage = CudaStorage { slice, device: self.device.clone() };
        let address = self.address(&storage)?;
        Ok(Memory::Own(RefCell::new(storage), address))
    }

    unsafe fn launch(
        &self,
        source: &Source,
        dtype: DType,
        kernel: &'static str,
        grid: Grid,
        arguments: &[Arg<'_, Memory<'a>>],
    ) -> Result<()> {
        let stream = self.device.cuda_stream();
        let Some(blocks) = u32::try_from(grid.blocks).ok().filter(|&blocks| i32::try_from(blocks).is_ok()) else {
            let expected = "at most 2,147,483,647 on CUDA";
            return Err(Error::Option { op: self.op, option: "blocks", expected, got: grid.blocks.to_string() });
        };
        if blocks == 0 {
            return Ok(());
        }
        let ptx = compiled::ptx(self.op, source, dtype, self.device)?;
        let failed = |error| self.error(error);
        let function = {
            // Two threads might both load a module, and the first one's be unloaded under its launch.
            static LOADING: Mutex<()> = Mutex::new(());
            let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
            self.device
                .get_or_load_custom_func(kernel, &compiled::module_name(source, dtype), &ptx)
                .map_err(|error| not_loaded(self.op, self.device, &self.shapes, error))?
        };

        let (mut values, mut reads) = (Vec::with_capacity(arguments.len()), Vec::new());
        for argument in arguments {
            values.push(self.value(argument, &stream, &mut reads)?);
        }
        let mut launch = function.builder();
        for value in &values {
            launch.arg(value);
        }
        let config = LaunchConfig {
            grid_dim: (blocks, 1, 1),
            block_dim: (grid.threads.0, grid.threads.1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the caller vouches for the arguments' number, types and reach. `values` outlives the launch, which
        // copies them.
        unsafe { launch.launch(config) }.w().map_err(failed)?;
        drop(reads);
        for argument in arguments {
            let (Arg::Buffer(memory) | Arg::At(memory, _)) = argument else { continue };
            match memory {
                Memory::Lent(_) => {}
                Memory::Own(storage, _) => note_write(&mut storage.borrow_mut(), &stream),
                Memory::Changed(storage, _) => note_write(&mut storage.borrow_mut(), &stream),
            }
        }
        Ok(())
    }
}

/// Other streams wait for what was written: dropping the guard after the launch says that it may have been.
fn note_write(storage: &mut CudaStorage, stream: &CudaStream) {
    with_slice!(&mut storage.slice, slice => drop(slice.device_ptr_mut(stream).1), ());
}

/// A kernel's parameter, in its own type's bytes from the first one on.
#[repr(C, align(8))]
struct Value([u8; 8]);

// SAFETY: the launch copies as many of the bytes as the kernel's parameter has; they are those of a pointer or a
// number.
unsafe impl DeviceRepr for Value {}

impl Value {
    fn of<const N: usize>(bytes: [u8; N]) -> Self {
        let mut all = [0; 8];
        all[..N].copy_from_slice(&bytes);
        Self(all)
    }
}

impl<'a> Gpu<'a> {
    /// A parameter; `reads` are the tensors that the launch reads, to be dropped after it.
    fn value<'b>(
        &self,
        argument: &Arg<'b, Memory<'a>>,
        stream: &'b CudaStream,
        reads: &mut Vec<SyncOnDrop<'b>>,
    ) -> Result<Value> {
        let (memory, offset) = match *argument {
            Arg::Buffer(memory) => (memory, 0),
            Arg::At(memory, offset) => (memory, offset),
            Arg::Null => return Ok(Value::of(0u64.to_ne_bytes())),
            Arg::Int(value) => return Ok(Value::of(value.to_ne_bytes())),
            Arg::Long(value) => return Ok(Value::of(value.to_ne_bytes())),
            Arg::Double(value) => return Ok(Value::of(value.to_ne_bytes())),
        };
        let (address, size) = match memory {
            Memory::Own(storage, address) => (*address, storage.borrow().dtype().size_in_bytes()),
            Memory::Changed(storage, address) => (*address, storage.borrow().dtype().size_in_bytes()),
            Memory::Lent(storage) => {
                let (address, read) = with_slice!(&storage.slice, slice => slice.device_ptr(stream), {
                    return Err(Error::DType { op: self.op, argument: "x", got: storage.dtype() });
                });
                reads.push(read);
                (address, storage.dtype().size_in_bytes())
            }
        };
        Ok(Value::of((address + (offset * size) as CUdeviceptr).to_ne_bytes()))
    }
}
