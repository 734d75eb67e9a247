//! Glue between candle's tensors and the launches of `conv2d/cuda.rs` and `conv2d/cuda/direct.rs`.

use std::cell::RefCell;
use std::mem;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, InplaceOp1, Layout, Storage, Tensor};

use super::epilogue::{Epilogue, Gradients};
use crate::conv2d::cuda;
use crate::conv2d::cuda::direct::{self, Convolution, Packing, Taps, Tile, weight_gradient};
use crate::cuda::Arg;
use crate::cuda::gpu::{Input, Memory, on_storages_to_change, on_tensors, tensor};
use crate::{Planes, Result};

const OP: &str = "conv2d";

/// The convolution of contiguous tensors in one pass, its epilogue included.
pub(super) fn direct(x: &Tensor, weights: &Weights<'_>, dilation: usize, epilogue: &Epilogue) -> Result<Tensor> {
    direct_by(None, x, weights, dilation, epilogue)
}

/// A convolution's weights.
pub(super) struct Weights<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) taps: Taps,
    pub(super) outputs: usize,
    /// K.
    pub(super) size: usize,
}

impl<'a> Weights<'a> {
    /// Those of `[O, C, K, K]`, packed before or not.
    pub(super) fn of(weight: &'a Tensor, packed: Option<&'a Tensor>) -> Result<Self> {
        let (outputs, _, size, _) = weight.dims4()?;
        let (tensor, taps) = packed.map_or((weight, Taps::AsTheyAre), |packed| (packed, Taps::Packed));
        Ok(Self { tensor, taps, outputs, size })
    }

    /// Of a convolution with these weights, those for the gradient of its x.
    pub(super) fn turned(weight: &'a Tensor) -> Result<Self> {
        let (_, inputs, size, _) = weight.dims4()?;
        Ok(Self { tensor: weight, taps: Taps::Turned, outputs: inputs, size })
    }
}

/// Weights `[O, C, K, K]`, packed.
pub(super) fn pack(weight: &Tensor) -> Result<Tensor> {
    let (outputs, inputs, size, _) = weight.dims4()?;
    let packing = Packing::of(weight.dtype(), inputs, outputs, size);
    on_tensors(OP, [weight], |gpu, [weight]| {
        // SAFETY: these are the weights that the packing counts; the caller asked whether the kernels serve them.
        let packed = unsafe { direct::pack(gpu, &weight.argument(), Taps::AsTheyAre, &packing)? };
        tensor(packed, packing.count())
    })
}

/// With a tile or with the one that fits.
pub(super) fn direct_by(
    tile: Option<&Tile>,
    x: &Tensor,
    weights: &Weights<'_>,
    dilation: usize,
    epilogue: &Epilogue,
) -> Result<Tensor> {
    let planes = Planes::from(x.dims4()?);
    let &Weights { tensor: weight, taps, outputs, size } = weights;
    let of_result = Planes { channels: outputs, ..planes };
    let Epilogue { bias, scale, residual, activation } = epilogue;
    // Of what is not there, x stands in for the tensor and null for the argument.
    let [of_bias, of_scale, of_residual] = [bias, scale, residual].map(|tensor| tensor.as_ref().unwrap_or(x));
    on_tensors(
        OP,
        [x, weight, of_bias, of_scale, of_residual],
        |gpu, [x_input, weight, of_bias, of_scale, of_residual]| {
            let convolution =
                Convolution { planes, x: x_input.argument(), weight: weight.argument(), taps, size, dilation };
            let epilogue = cuda::Epilogue {
                dtype: x.dtype(),
                planes: of_result,
                bias: bias.as_ref().map_or(Arg::Null, |_| of_bias.argument()),
                scale: scale.as_ref().map_or(Arg::Null, |_| of_scale.argument()),
                residual: residual.as_ref().map_or(Arg::Null, |_| of_residual.argument()),
                activation: *activation,
            };
            // SAFETY: the entry point has checked all shapes and types, and the caller asked whether this serves them.
            let y = unsafe {
                match tile {
                    Some(tile) => direct::by_tile(gpu, tile, &convolution, &epilogue)?,
                    None => direct::forward(gpu, &convolution, &epilogue)?,
                }
            };
            tensor(y, (of_result.batch, of_result.channels, of_result.height, of_result.width))
        },
    )
}

/// The gradient for the weights `[O, C, K, K]`, K being `size`, of contiguous tensors.
pub(super) fn weight_gradient(x: &Tensor, grad: &Tensor, size: usize, dilation: usize) -> Result<Tensor> {
    weight_gradient_by(None, [x, grad], size, dilation)
}

/// With the pixels shared among as many blocks, or as many as fit.
pub(super) fn weight_gradient_by(
    splits: Option<usize>,
    [x, grad]: [&Tensor; 2],
    size: usize,
    dilation: usize,
) -> Result<Tensor> {
    let (planes, outputs) = (Planes::from(x.dims4()?), grad.dim(1)?);
    on_tensors(OP, [x, grad], |gpu, [x_input, grad]| {
        let convolution = weight_gradient::Convolution { dtype: x.dtype(), planes, outputs, size, dilation };
        let (x_input, grad) = (x_input.argument(), grad.argument());
        // SAFETY: the entry point has checked all shapes and types, and the caller asked whether this serves them; the
        // gradient is that for the sums.
        let d_weight = unsafe {
            match splits {
                Some(splits) => weight_gradient::by_splits(gpu, &convolution, splits, &x_input, &grad)?,
                None => weight_gradient::weight_gradient(gpu, &convolution, &x_input, &grad)?,
            }
        };
        tensor(d_weight, (outputs, planes.channels, size, size))
    })
}

/// In place.
pub(super) fn forward(epilogue: &Epilogue, sums: Tensor) -> Result<Tensor> {
    sums.inplace_op1(epilogue)?;
    Ok(sums)
}

impl InplaceOp1 for Epilogue {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("{OP}: this epilogue is in place on GPUs alone")
    }

    fn cuda_fwd(&self, sums: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        let (dtype, planes) = (sums.dtype(), Planes::from(layout.shape().dims4()?));
        let tensors = [&self.bias, &self.scale, &self.residual].map(|tensor| tensor.as_ref());
        let storages = tensors.map(|tensor| tensor.map(Tensor::storage_and_layout));
        let mut inputs = Vec::with_capacity(3);
        for storage in &storages {
            inputs.push(match storage {
                None => None,
                Some((storage, layout)) => match &**storage {
                    Storage::Cuda(storage) => Some((storage, *layout)),
                    _ => candle_core::bail!("{OP}: all its arguments must be on the same GPU"),
                },
            });
        }
        on_storages_to_change(OP, [(sums, layout)], inputs, |gpu, [sums], inputs| {
            let argument = |at: usize| inputs.get(at).and_then(Option::as_ref).map_or(Arg::Null, Input::argument);
            let [bias, scale, residual] = [0, 1, 2].map(argument);
            let epilogue = cuda::Epilogue { dtype, planes, bias, scale, residual, activation: self.activation };
            // SAFETY: the entry point has checked all shapes and types; the storage is borrowed mutably, so nothing
            // else uses it.
            unsafe { cuda::forward(gpu, &epilogue, &sums.argument()) }
        })?;
        Ok(())
    }
}

/// The storage of a tensor whose memory nothing else has: taken, where candle alone would copy it.
pub(super) fn into_storage(tensor: Tensor) -> candle_core::Result<CudaStorage> {
    let taken = Take(RefCell::new(None));
    tensor.inplace_op1(&taken)?;
    taken.0.into_inner().ok_or_else(|| candle_core::Error::msg(format!("{OP}: expected a tensor on the GPU")))
}

struct Take(RefCell<Option<CudaStorage>>);

impl InplaceOp1 for Take {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("{OP}: a storage is taken on GPUs alone")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        if !layout.is_contiguous() || layout.start_offset() > 0 {
            candle_core::bail!("{OP}: expected a whole tensor, got {layout:?}")
        }
        let device = storage.device().clone();
        // SAFETY: nothing reads the byte: the tensor, which alone has this storage, ends with `into_storage`. There is
        // no memory of 0 bytes.
        let nothing = CudaStorage::wrap_cuda_slice(unsafe { device.alloc::<u8>(1)? }, device);
        self.0.replace(Some(mem::replace(storage, nothing)));
        Ok(())
    }
}

pub(super) fn backward(epilogue: &Epilogue, y: &Tensor, grad: &Tensor) -> Result<Gradients> {
    let shape = y.shape();
    // What is not there is not looked at.
    let [bias, scale] = [&epilogue.bias, &epilogue.scale].map(|extra| extra.as_ref().unwrap_or(y));
    on_tensors(OP, [y, grad, bias, scale], |gpu, [y_input, grad_input, bias, scale]| {
        let launches = launches(epilogue, y, &bias, &scale)?;
        // SAFETY: the entry point has checked all shapes and types; y and its gradient are alike.
        let gradients = unsafe { cuda::backward(gpu, &launches, &y_input.argument(), &grad_input.argument())? };
        let residual = gradients.residual.map_or_else(|| Ok(grad.clone()), |g| tensor(g, shape))?;
        let sums = gradients.sums.map_or_else(|| Ok(residual.clone()), |sums| tensor(sums, shape))?;
        let bias = gradients.bias.map(|bias| tensor(bias, y.dim(1)?)).transpose()?;
        Ok(Gradients { residual, sums, bias })
    })
}

pub(super) fn scale_gradient(epilogue: &Epilogue, sums: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (batch, _, height, width) = sums.dims4()?;
    // What is not there is not looked at.
    let [bias, scale] = [&epilogue.bias, &epilogue.scale].map(|extra| extra.as_ref().unwrap_or(g));
    on_tensors(OP, [sums, g, bias, scale], |gpu, [sums_input, g, bias, scale]| {
        let launches = launches(epilogue, sums, &bias, &scale)?;
        // SAFETY: the entry point has checked all shapes and types; sums and g are alike.
        let of_scale = unsafe { cuda::scale_gradient(gpu, &launches, &sums_input.argument(), &g.argument())? };
        tensor(of_scale, (batch, 1, height, width))
    })
}

/// What backward launches look at; `like` has the result's shape and type.
fn launches<'a, 'b>(
    epilogue: &Epilogue,
    like: &Tensor,
    bias: &'b Input<'a>,
    scale: &'b Input<'a>,
) -> Result<cuda::Epilogue<'b, Memory<'a>>> {
    let bias = epilogue.bias.as_ref().map_or(Arg::Null, |_| bias.argument());
    let scale = epilogue.scale.as_ref().map_or(Arg::Null, |_| scale.argument());
    let (dtype, planes) = (like.dtype(), Planes::from(like.dims4()?));
    Ok(cuda::Epilogue { dtype, planes, bias, scale, residual: Arg::Null, activation: epilogue.activation })
}
