//! The convolution on GPUs: with the feature `cudnn` by cuDNN and a kernel of ours behind it, else by kernels of ours
//! alone (`cuda/direct.rs`).
//!
//! What those do not serve, 3x3 kernels with dilations above 4 and pictures with more values or results than 32 bits
//! count, is made of candle's operations: columns of pixels and a matrix product, for the gradient for x a convolution
//! with turned kernels, for that for the weights a matrix product for each of their places. (Candle's own gradients are
//! a kernel without reuse for x and a convolution with kernels as large as the picture for the weights.)

mod columns;
#[cfg(feature = "cudnn")]
mod cudnn;
mod epilogue;
#[cfg(feature = "cuda")]
mod launch;

#[cfg(feature = "cuda")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Storage, Tensor};
use epilogue::{Epilogue, Gradients};
#[cfg(feature = "cuda")]
use launch::Weights;

use super::Inputs;
#[cfg(feature = "cuda")]
use super::Packed;
#[cfg(feature = "cuda")]
use super::cuda::direct;
use super::op::Conv2d;
#[cfg(feature = "cuda")]
use crate::Planes;
use crate::{Result, device};

/// cuDNN counts elements in ints.
const MOST_OF_CUDNN: usize = i32::MAX as usize;

/// The result of `op`.
pub(super) fn conv2d(op: Conv2d, inputs: &Inputs<'_>) -> Result<Tensor> {
    let &Inputs { x, weight, bias, scale, residual, .. } = inputs;
    let tensors: Vec<&Tensor> = [Some(x), Some(weight), bias, scale, residual].into_iter().flatten().collect();
    device::named("conv2d", &tensors, || {
        let call = Call::of(&op, inputs)?;
        let y = call.result()?;
        if !tensors.iter().any(|tensor| tensor.track_op()) {
            return Ok(y);
        }
        // An operation may have three inputs. Two of them are the parameters where there are no extras: joining them
        // would take a copy here and more on the way back.
        let (parameters, third, holds) = match (inputs.extras()?, bias) {
            (Some(extras), _) => (inputs.parameters()?, extras, Third::Extras),
            (None, Some(bias)) => (weight.clone(), bias.clone(), Third::Bias),
            // x stands in for what is not there, without gradient.
            (None, None) => (weight.clone(), x.detach(), Third::Nothing),
        };
        Ok(x.apply_op3(&parameters, &third, OnGpu { op, holds, result: Mutex::new(Some(y)) })?)
    })
}

/// What a convolution computes with: contiguous, without gradients.
struct Call {
    x: Tensor,
    weight: Tensor,
    #[cfg(feature = "cuda")]
    packed: Option<Packed>,
    dilation: usize,
    epilogue: Epilogue,
}

impl Call {
    fn of(op: &Conv2d, inputs: &Inputs<'_>) -> candle_core::Result<Self> {
        let plain = |tensor: &Tensor| tensor.detach().contiguous();
        Ok(Self {
            x: plain(inputs.x)?,
            weight: plain(inputs.weight)?,
            // What is trained changes in place.
            #[cfg(feature = "cuda")]
            packed: inputs.packed.filter(|_| !inputs.weight.track_op()).cloned(),
            dilation: op.options.dilation,
            epilogue: Epilogue {
                bias: inputs.bias.map(plain).transpose()?,
                scale: inputs.scale.map(plain).transpose()?,
                residual: inputs.residual.map(plain).transpose()?,
                activation: op.options.activation,
            },
        })
    }

    /// From the inputs that an operation with gradients has.
    fn of_inputs(OnGpu { op, holds, .. }: &OnGpu, [x, parameters, third]: [&Tensor; 3]) -> candle_core::Result<Self> {
        let alone = Inputs { x, weight: parameters, bias: None, scale: None, residual: None, packed: None };
        match holds {
            Third::Nothing => Self::of(op, &alone),
            Third::Bias => Self::of(op, &Inputs { bias: Some(third), ..alone }),
            Third::Extras => Self::of_joined(op, x, parameters, third),
        }
    }

    /// From parameters as one list, residual and scale as one tensor.
    fn of_joined(op: &Conv2d, x: &Tensor, parameters: &Tensor, extras: &Tensor) -> candle_core::Result<Self> {
        let parameters = parameters.flatten_all()?;
        let shape = (op.outputs, x.dim(1)?, op.size, op.size);
        let weights = Shape::from(shape).elem_count();
        let biases = parameters.elem_count() - weights;
        let weight = parameters.narrow(0, 0, weights)?.reshape(shape)?;
        let bias = (biases > 0).then(|| parameters.narrow(0, weights, biases)).transpose()?;
        let residuals = if op.residual { op.outputs } else { 0 };
        let residual = op.residual.then(|| extras.narrow(1, 0, residuals)).transpose()?;
        let scale = op.scale.then(|| extras.narrow(1, residuals, 1)).transpose()?;
        let (bias, scale, residual) = (bias.as_ref(), scale.as_ref(), residual.as_ref());
        Self::of(op, &Inputs { x, weight: &weight, bias, scale, residual, packed: None })
    }

    fn result(&self) -> Result<Tensor> {
        self.sums_then(&self.epilogue)
    }

    fn sums(&self) -> Result<Tensor> {
        self.sums_then(&Epilogue::default())
    }

    fn sums_then(&self, epilogue: &Epilogue) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if by_direct(&self.x, self.weight.dims4()?, self.dilation)? {
            let packed = self.packed.as_ref().map(|packed| packed.of(&self.weight)).transpose()?;
            return launch::direct(&self.x, &Weights::of(&self.weight, packed.as_ref())?, self.dilation, epilogue);
        }
        epilogue.forward(columns::convolution(&self.x, &self.weight, self.dilation, columns::MOST_COLUMNS)?)
    }
}

#[cfg(feature = "cuda")]
impl Packed {
    /// Those of these weights, now or from before.
    fn of(&self, weight: &Tensor) -> Result<Tensor> {
        if let Some(packed) = self.0.get() {
            return Ok(packed.clone());
        }
        let packed = launch::pack(weight)?;
        Ok(self.0.get_or_init(|| packed).clone())
    }
}

/// Ties a convolution's result to its gradients: it has been computed before, by tensor operations, which a custom
/// operation cannot call.
struct OnGpu {
    op: Conv2d,
    holds: Third,
    result: Mutex<Option<Tensor>>,
}

/// What an operation's third input holds. The second has the weights `[O, C, K, K]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Third {
    /// Nothing that is looked at.
    Nothing,
    /// The bias `[O]`.
    Bias,
    /// Extras as those of [`Conv2d`], whose parameters are the second.
    Extras,
}

impl OnGpu {
    /// The result, which is there once.
    fn take(&self) -> candle_core::Result<Tensor> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| candle_core::Error::msg("conv2d: its result has been taken"))
    }

    fn backward(&self, inputs: [&Tensor; 3], y: &Tensor, grad: &Tensor) -> Result<Optional> {
        let [x, parameters, third] = inputs;
        let call = Call::of_inputs(self, inputs)?;
        let (y, grad) = (y.detach(), grad.detach().contiguous()?);
        let Gradients { residual, sums, bias } = call.epilogue.backward(&y, &grad)?;
        let of_x = x.track_op().then(|| data_gradient(&sums, &call.weight, x, call.dilation));
        let of_weight = parameters.track_op().then(|| weight_gradient(&call.x, &sums, self.op.size, call.dilation));
        let (of_x, of_weight) = (of_x.transpose()?, of_weight.transpose()?);
        match self.holds {
            Third::Nothing => Ok((of_x, of_weight, None)),
            Third::Bias => Ok((of_x, of_weight, bias.filter(|_| third.track_op()))),
            Third::Extras => {
                let join = |weight: Tensor| -> Result<Tensor> {
                    let weight = weight.flatten_all()?;
                    let all = match &bias {
                        Some(bias) => Tensor::cat(&[&weight, bias], 0)?,
                        None => weight,
                    };
                    Ok(all.reshape(parameters.shape())?)
                };
                let of_extras = third.track_op().then(|| -> Result<Tensor> {
                    if !self.op.scale {
                        return Ok(residual.clone());
                    }
                    let of_scale = call.epilogue.scale_gradient(&call.sums()?, &residual)?;
                    Ok(Tensor::cat(&[&residual, &of_scale], 1)?)
                });
                Ok((of_x, of_weight.map(join).transpose()?, of_extras.transpose()?))
            }
        }
    }
}

type Optional = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for OnGpu {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = self.take()?.contiguous()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) if layout.start_offset() == 0 => Ok((storage.clone(), y.shape().clone())),
            _ => candle_core::bail!("conv2d: expected a whole tensor on the cpu"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        // A convolution's own, in memory that nothing else has.
        let y = self.take()?.contiguous()?;
        let shape = y.shape().clone();
        Ok((launch::into_storage(y)?, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        third: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<Optional> {
        let tensors = [x, parameters, third];
        Ok(device::named("conv2d", &tensors, || self.backward(tensors, y, grad))?)
    }
}

/// The gradients for x and weights without bias, each if it is a variable or comes from one, from results y and their
/// gradient.
#[cfg(feature = "cuda")]
pub(super) fn gradients(op: Conv2d, [x, weight, y, grad]: [&Tensor; 4]) -> Result<[Option<Tensor>; 2]> {
    let on_gpu = OnGpu { op, holds: Third::Nothing, result: Mutex::new(None) };
    let (of_x, of_weight, _) = on_gpu.bwd(x, weight, &x.detach(), y, grad)?;
    Ok([of_x, of_weight])
}

/// Whether kernels of ours convolve where there is another way: for benches and tests.
#[cfg(feature = "cuda")]
static DIRECT: AtomicBool = AtomicBool::new(!cfg!(feature = "cudnn"));

#[cfg(feature = "cuda")]
pub(super) fn set_direct(direct: bool) {
    DIRECT.store(direct, Ordering::Relaxed);
}

/// Whether a kernel of ours convolves this tensor with weights of this shape. It does where cuDNN is not there, or
/// cannot count the elements.
#[cfg(feature = "cuda")]
fn by_direct(x: &Tensor, (outputs, _, size, _): (usize, usize, usize, usize), dilation: usize) -> Result<bool> {
    let planes = Planes::from(x.dims4()?);
    let most = planes.batch * planes.channels.max(outputs) * planes.pixels();
    let wanted = DIRECT.load(Ordering::Relaxed) || (by_cudnn(x) && most > MOST_OF_CUDNN);
    Ok(wanted && x.device().is_cuda() && direct::serves(planes, outputs, size, dilation))
}

/// Whether cuDNN convolves this tensor.
fn by_cudnn(x: &Tensor) -> bool {
    cfg!(feature = "cudnn") && x.device().is_cuda()
}

/// The gradient for x from `grad`, that for the sums.
fn data_gradient(grad: &Tensor, weight: &Tensor, x: &Tensor, dilation: usize) -> Result<Tensor> {
    debug_assert_eq!(x.dim(1)?, weight.dim(1)?);
    #[cfg(feature = "cuda")]
    {
        let (outputs, inputs, size, _) = weight.dims4()?;
        if by_direct(grad, (inputs, outputs, size, size), dilation)? {
            return launch::direct(grad, &Weights::turned(weight)?, dilation, &Epilogue::default());
        }
    }
    #[cfg(feature = "cudnn")]
    if by_cudnn(x) && x.elem_count().max(grad.elem_count()) <= MOST_OF_CUDNN {
        return cudnn::data_gradient(grad, weight, x.shape(), dilation);
    }
    let turned = weight.flip(&[2, 3])?.transpose(0, 1)?.contiguous()?;
    columns::convolution(grad, &turned, dilation, columns::MOST_COLUMNS)
}

/// Σ over pictures and pixels of grad `[B, O, H, W]` times the pixel of x `[B, C, H, W]` that each of a kernel's places
/// meets: `[O, C, K, K]`.
fn weight_gradient(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if by_direct(x, (grad.dim(1)?, x.dim(1)?, size, size), dilation)? {
        return launch::weight_gradient(x, grad, size, dilation);
    }
    #[cfg(feature = "cudnn")]
    if by_cudnn(x) && x.elem_count().max(grad.elem_count()) <= MOST_OF_CUDNN {
        return cudnn::filter_gradient(x, grad, size, dilation);
    }
    columns::weight_gradient(x, grad, size, dilation)
}

#[cfg(all(test, feature = "cuda"))]
mod tests;
