//! The sums of a convolution and both their gradients by cuDNN.
//!
//! Candle calls it for the sums alone, and leaves it free to round f32 to TF32, which keeps 10 bits of the mantissa.
//! Here f32 stays f32; f16 and bf16 are multiplied by tensor cores and summed in f32. cuDNN chooses the algorithm, once
//! for each convolution, among those that give equal bits for equal input.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;
use std::thread::LocalKey;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t as DataAlgorithm, cudnnConvolutionBwdFilterAlgo_t as FilterAlgorithm,
    cudnnConvolutionFwdAlgo_t as ForwardAlgorithm, cudnnConvolutionMode_t, cudnnMathType_t, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, CudnnError,
    FilterDescriptor, TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr, ValidAsZeroBits};
use candle_core::cuda_backend::{CudaDType, CudaDevice, DeviceId, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Shape, Storage, Tensor, WithDType};
use half::{bf16, f16};

use crate::cuda::gpu::check_same_gpu;
use crate::{Error, Result};

const OP: &str = "conv2d";
const FORMAT: cudnnTensorFormat_t = cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;

/// Memory that an algorithm may take beside its arguments; there is another that takes next to none.
const MOST_WORKSPACE: usize = 1 << 30;

/// Choices that a thread keeps: more than networks have convolutions for all sizes of a folder's pictures, in about a
/// megabyte.
const MOST_CHOICES: usize = 4096;

/// Algorithms of one kind, and how many bytes of workspace each takes.
type Choices<A> = RefCell<HashMap<Key, (A, usize)>>;

thread_local! {
    /// Handles belong to threads; all of a device work on its stream.
    static HANDLES: RefCell<HashMap<DeviceId, Arc<Cudnn>>> = RefCell::default();
    static FORWARD: Choices<ForwardAlgorithm> = RefCell::default();
    static OF_DATA: Choices<DataAlgorithm> = RefCell::default();
    static OF_FILTER: Choices<FilterAlgorithm> = RefCell::default();
}

/// What a choice of algorithm hangs on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    device: DeviceId,
    dtype: DType,
    x: [c_int; 4],
    weight: [c_int; 4],
    padding: c_int,
    dilation: c_int,
}

/// The algorithm for a convolution and the bytes of its workspace, asked of cuDNN once: the first of the `preferred`
/// that serves it within [`MOST_WORKSPACE`], else the last resort.
fn choose<A: Copy>(
    choices: &'static LocalKey<Choices<A>>,
    key: Key,
    preferred: impl FnOnce() -> std::result::Result<Vec<A>, CudnnError>,
    last_resort: A,
    workspace: impl Fn(A) -> std::result::Result<usize, CudnnError>,
) -> candle_core::Result<(A, usize)> {
    if let Some(choice) = choices.with_borrow(|choices| choices.get(&key).copied()) {
        return Ok(choice);
    }
    // What an algorithm does not serve, it has no workspace for, but an error.
    let within =
        |&algorithm: &A| Some((algorithm, workspace(algorithm).ok().filter(|&bytes| bytes <= MOST_WORKSPACE)?));
    let choice = match preferred()?.iter().find_map(within) {
        Some(choice) => choice,
        None => (last_resort, workspace(last_resort)?),
    };
    choices.with_borrow_mut(|choices| {
        if choices.len() >= MOST_CHOICES {
            choices.clear();
        }
        choices.insert(key, choice);
    });
    Ok(choice)
}

/// An element, and how its products are made and summed.
trait Value: WithDType + CudaDType + DeviceRepr + ValidAsZeroBits + CudnnDataType {
    type Sum: CudnnDataType;
    const MATH: cudnnMathType_t;
}

impl Value for f64 {
    type Sum = f64;
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_FMA_MATH;
}

impl Value for f32 {
    type Sum = f32;
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_FMA_MATH;
}

impl Value for f16 {
    type Sum = f32;
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
}

impl Value for bf16 {
    type Sum = f32;
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
}

/// Evaluates an expression with `$value` standing for the elements' type.
macro_rules! with_value {
    ($dtype:expr, $value:ident => $result:expr) => {
        match $dtype {
            DType::F64 => {
                type $value = f64;
                $result
            }
            DType::F32 => {
                type $value = f32;
                $result
            }
            DType::F16 => {
                type $value = f16;
                $result
            }
            DType::BF16 => {
                type $value = bf16;
                $result
            }
            got => Err(Error::DType { op: OP, argument: "x", got }),
        }
    };
}

/// Sums of x `[B, C, H, W]` times `weight` `[O, C, K, K]`, with zeros around x. All tensors here are contiguous and
/// without gradient.
pub(super) fn forward(x: &Tensor, weight: &Tensor, padding: usize, dilation: usize) -> Result<Tensor> {
    with_value!(x.dtype(), T => forward_of::<T>(x, weight, padding, dilation))
}

/// The gradient for x, of this shape, from that for the sums, which are as large as it.
pub(super) fn data_gradient(grad: &Tensor, weight: &Tensor, x: &Shape, dilation: usize) -> Result<Tensor> {
    with_value!(grad.dtype(), T => data_gradient_of::<T>(grad, weight, x, dilation))
}

/// The gradient for the weights `[O, C, K, K]`, K being `size`.
pub(super) fn filter_gradient(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    with_value!(x.dtype(), T => filter_gradient_of::<T>(x, grad, size, dilation))
}

fn forward_of<T: Value>(x: &Tensor, weight: &Tensor, padding: usize, dilation: usize) -> Result<Tensor> {
    let (batch, _, height, width) = x.dims4()?;
    let (outputs, _, size, _) = weight.dims4()?;
    let lost = (size - 1) * dilation - 2 * padding;
    let y = Shape::from((batch, outputs, height - lost, width - lost));
    with_elements::<T, _>([x, weight], |device, [x_values, weight_values]| {
        let call = Call::<T>::new(device, x.shape(), weight.shape(), &y, padding, dilation)?;
        let Call { key, convolution: conv, x, weight: w, y: described } = call;
        let sums = ConvForward { conv: &conv, x: &x, w: &w, y: &described };
        // All of a forward pass give equal bits. Winograd's serves undilated 3x3 kernels, the last any, and slowly.
        let preferred = || {
            use ForwardAlgorithm as Algorithm;
            Ok(vec![
                sums.pick_algorithm()?,
                Algorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                Algorithm::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
            ])
        };
        let last_resort = ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
        let (algorithm, workspace) =
            choose(&FORWARD, key, preferred, last_resort, |algorithm| sums.get_workspace_size(algorithm))?;
        filled(device, &y, workspace, |workspace, values| {
            // SAFETY: the descriptors were made from the tensors' shapes and the result's.
            unsafe { sums.launch(algorithm, Some(workspace), one_and_zero(), &x_values, &weight_values, values) }
        })
    })
}

fn data_gradient_of<T: Value>(grad: &Tensor, weight: &Tensor, x: &Shape, dilation: usize) -> Result<Tensor> {
    let padding = weight.dim(2)? / 2 * dilation;
    with_elements::<T, _>([grad, weight], |device, [grad_values, weight_values]| {
        let call = Call::<T>::new(device, x, weight.shape(), grad.shape(), padding, dilation)?;
        let Call { key, convolution: conv, x: dx, weight: w, y: dy } = call;
        let gradient = ConvBackwardData { conv: &conv, dx: &dx, w: &w, dy: &dy };
        let preferred = || {
            Ok(match gradient.pick_algorithm()? {
                // It adds by atomics, in any order.
                DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 => vec![],
                picked => vec![picked],
            })
        };
        let last_resort = DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
        let (algorithm, workspace) =
            choose(&OF_DATA, key, preferred, last_resort, |algorithm| gradient.get_workspace_size(algorithm))?;
        filled(device, x, workspace, |workspace, values| {
            // SAFETY: as in `forward_of`.
            unsafe { gradient.launch(algorithm, Some(workspace), one_and_zero(), values, &weight_values, &grad_values) }
        })
    })
}

fn filter_gradient_of<T: Value>(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    let weight = Shape::from((grad.dim(1)?, x.dim(1)?, size, size));
    with_elements::<T, _>([x, grad], |device, [x_values, grad_values]| {
        let call = Call::<T>::new(device, x.shape(), &weight, grad.shape(), size / 2 * dilation, dilation)?;
        let Call { key, convolution: conv, x, weight: dw, y: dy } = call;
        let gradient = ConvBackwardFilter { conv: &conv, x: &x, dw: &dw, dy: &dy };
        let preferred = || {
            use FilterAlgorithm as Algorithm;
            Ok(match gradient.pick_algorithm()? {
                // Two add by atomics, in any order.
                Algorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 | Algorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3 => {
                    vec![]
                }
                picked => vec![picked],
            })
        };
        let last_resort = FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
        let (algorithm, workspace) =
            choose(&OF_FILTER, key, preferred, last_resort, |algorithm| gradient.get_workspace_size(algorithm))?;
        filled(device, &weight, workspace, |workspace, values| {
            // SAFETY: as in `forward_of`.
            unsafe { gradient.launch(algorithm, Some(workspace), one_and_zero(), &x_values, values, &grad_values) }
        })
    })
}

/// A convolution as cuDNN sees it.
struct Call<T: Value> {
    key: Key,
    convolution: ConvDescriptor<T::Sum>,
    x: TensorDescriptor<T>,
    weight: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
}

impl<T: Value> Call<T> {
    fn new(
        device: &CudaDevice,
        x: &Shape,
        weight: &Shape,
        y: &Shape,
        padding: usize,
        dilation: usize,
    ) -> candle_core::Result<Self> {
        let cudnn = handle(device)?;
        let (padding, dilation) = (int(padding)?, int(dilation)?);
        let (x, weight) = (ints(x)?, ints(weight)?);
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut convolution = cudnn.create_conv2d([padding; 2], [1; 2], [dilation; 2], mode)?;
        convolution.set_math_type(T::MATH)?;
        Ok(Self {
            key: Key { device: device.id(), dtype: T::DTYPE, x, weight, padding, dilation },
            convolution,
            x: cudnn.create_4d_tensor(FORMAT, x)?,
            weight: cudnn.create_4d_filter(FORMAT, weight)?,
            y: cudnn.create_4d_tensor(FORMAT, ints(y)?)?,
        })
    }
}

/// This thread's handle for a device.
fn handle(device: &CudaDevice) -> candle_core::Result<Arc<Cudnn>> {
    // Some of cuDNN's calls go by the thread's current GPU.
    device.cuda_stream().context().bind_to_thread().w()?;
    HANDLES.with_borrow_mut(|handles| {
        if let Some(handle) = handles.get(&device.id()) {
            return Ok(Arc::clone(handle));
        }
        let handle = Cudnn::new(device.cuda_stream())?;
        handles.insert(device.id(), Arc::clone(&handle));
        Ok(handle)
    })
}

fn int(value: usize) -> candle_core::Result<c_int> {
    c_int::try_from(value).map_err(|_| candle_core::Error::msg(format!("{OP}: {value} is more than cuDNN counts to")))
}

fn ints(shape: &Shape) -> candle_core::Result<[c_int; 4]> {
    let (n, c, h, w) = shape.dims4()?;
    Ok([int(n)?, int(c)?, int(h)?, int(w)?])
}

/// The factors of what is new and of what was there.
fn one_and_zero<T: Value>() -> (T, T) {
    (T::from_f64(1.0), T::from_f64(0.0))
}

/// A tensor that `launch` fills, by means of a workspace of `workspace` bytes.
fn filled<T: Value>(
    device: &CudaDevice,
    shape: &Shape,
    workspace: usize,
    launch: impl FnOnce(&mut CudaSlice<u8>, &mut CudaSlice<T>) -> std::result::Result<(), CudnnError>,
) -> candle_core::Result<Tensor> {
    // SAFETY: cuDNN reads of its workspace what it has written there, and writes all of its result. There is no memory
    // of 0 bytes.
    let (mut workspace, mut values) =
        unsafe { (device.alloc::<u8>(workspace.max(1))?, device.alloc::<T>(shape.elem_count())?) };
    launch(&mut workspace, &mut values)?;
    let storage = CudaStorage::wrap_cuda_slice(values, device.clone());
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape.clone(), BackpropOp::none(), false))
}

/// Calls `f` with the elements of two tensors on one device.
fn with_elements<T: Value, R>(
    tensors: [&Tensor; 2],
    f: impl FnOnce(&CudaDevice, [CudaView<'_, T>; 2]) -> candle_core::Result<R>,
) -> Result<R> {
    let [(first, first_layout), (second, second_layout)] = tensors.map(Tensor::storage_and_layout);
    let (Storage::Cuda(first), Storage::Cuda(second)) = (&*first, &*second) else {
        return Err(candle_core::Error::msg("conv2d: all its arguments must be on the same GPU").into());
    };
    check_same_gpu(OP, first, [second])?;
    let views = [
        first.as_cuda_slice::<T>()?.slice(first_layout.start_offset()..),
        second.as_cuda_slice::<T>()?.slice(second_layout.start_offset()..),
    ];
    Ok(f(first.device(), views)?)
}
