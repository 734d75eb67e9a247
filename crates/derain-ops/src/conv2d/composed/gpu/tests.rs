//! Epilogues on a GPU as on the CPU.

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Storage, Tensor};

use crate::conv2d::Activation;
use crate::conv2d::composed::epilogue::{Epilogue, Gradients};
use crate::cuda::tests_gpu::{gpu, inputs, values};
use crate::testing::assert_close;

#[test]
fn epilogues() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let run = |device: &Device, [batch, outputs, height, width]: [usize; 4], relu: bool, parts: [bool; 3]| {
        let plane = vec![batch, outputs, height, width];
        let shapes = [plane.clone(), vec![outputs], vec![batch, 1, height, width], plane.clone(), plane];
        let tensors = inputs(&shapes, (-1.0, 1.0), DType::F64, device);
        let part = |at: usize| parts[at].then(|| tensors[at + 1].clone());
        let epilogue = Epilogue {
            bias: part(0),
            scale: part(1),
            residual: part(2),
            activation: if relu { Activation::Relu } else { Activation::None },
        };
        let y = epilogue.forward(tensors[0].detach().copy()?)?;
        let Gradients { residual, sums, bias } = epilogue.backward(&y, &tensors[4])?;
        let of_scale = epilogue.scale_gradient(&tensors[0], &residual)?;
        crate::Result::Ok([y, residual, sums, bias, of_scale].map(|tensor: Tensor| values(&tensor)))
    };
    for shape in [[1, 1, 1, 1], [2, 3, 5, 33], [1, 2, 70, 65]] {
        for bits in 0..16 {
            let parts = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            let (expected, got) =
                (run(&Device::Cpu, shape, bits & 8 != 0, parts)?, run(&gpu, shape, bits & 8 != 0, parts)?);
            for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert_close(got, expected, 1e-12, &format!("{shape:?} {bits:b}: {at}"));
            }
        }
    }
    Ok(())
}

/// What was taken holds what the tensor held; of a part of a tensor nothing is taken.
#[test]
fn storages_are_taken() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    for dtype in [DType::F32, DType::BF16] {
        let whole = Tensor::new(&[[1f32, -2., 3.], [4., -5., 6.]], &Device::Cpu)?.to_dtype(dtype)?.to_device(&gpu)?;
        let (expected, second) = (values(&whole), whole.narrow(0, 1, 1)?);
        assert!(super::into_storage(second).is_err() && values(&whole) == expected);
        let storage = super::into_storage(whole)?;
        let taken = Tensor::from_storage(Storage::Cuda(storage), (2, 3), BackpropOp::none(), false);
        assert_eq!(values(&taken), expected);
    }
    Ok(())
}
