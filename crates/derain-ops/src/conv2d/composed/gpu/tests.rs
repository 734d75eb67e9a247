//! Epilogues on a GPU as on the CPU.

use candle_core::{DType, Device, Tensor};

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
