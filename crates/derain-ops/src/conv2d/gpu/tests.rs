//! Convolutions and epilogues on a GPU as on the CPU.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Storage, Tensor};

use super::epilogue::{Epilogue, Gradients};
use super::launch::{self, Weights};
use super::{data_gradient, weight_gradient};
use crate::conv2d::cuda::direct::TILES;
use crate::conv2d::{Activation, Conv2dOptions, conv2d, conv2d_residual, set_direct};
use crate::cuda::tests_gpu::{gpu, inputs, values};
use crate::testing::assert_close;

#[test]
fn convolutions_by_kernels_of_ours() -> crate::Result<()> {
    convolutions(true)
}

#[test]
#[cfg(feature = "cudnn")]
fn convolutions_by_cudnn() -> crate::Result<()> {
    convolutions(false)
}

/// Until it goes, convolutions are by kernels of ours, or not, and no other test changes that.
struct Direct {
    _turn: MutexGuard<'static, ()>,
}

impl Direct {
    fn set(direct: bool) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        set_direct(direct);
        Self { _turn: turn }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        set_direct(!cfg!(feature = "cudnn"));
    }
}

/// The whole way, as callers go it. Halves against f32 on the CPU, from the same values.
fn convolutions(direct: bool) -> crate::Result<()> {
    let _direct = Direct::set(direct);
    let Some(gpu) = gpu() else { return Ok(()) };
    // ([B, C, H, W], O, K, dilation, activation).
    let cases = [
        ([2, 3, 5, 33], 4, 3, 1, Activation::Relu),
        ([1, 5, 9, 14], 20, 3, 2, Activation::None),
        ([1, 20, 7, 3], 40, 1, 1, Activation::Relu),
    ];
    for ([batch, channels, height, width], outputs, size, dilation, activation) in cases {
        let result = vec![batch, outputs, height, width];
        let shapes = [
            vec![batch, channels, height, width],
            vec![outputs, channels, size, size],
            vec![outputs],
            vec![batch, 1, height, width],
            result.clone(),
            result,
        ];
        let options = Conv2dOptions { dilation, activation };
        // (type, tolerance of results, of gradients).
        for (dtype, forward, backward) in
            [(DType::F64, 1e-12, 1e-12), (DType::F32, 1e-5, 1e-4), (DType::F16, 4e-3, 8e-3), (DType::BF16, 3e-2, 6e-2)]
        {
            let run = |tensors: Vec<Tensor>| {
                // Without gradients: joining what one is wanted for takes kernels of candle's.
                let tensors: Vec<_> = tensors.iter().map(Tensor::detach).collect();
                let [x, weight, bias, scale, residual, grad] = &tensors[..] else { panic!("six tensors") };
                let y = conv2d(x, weight, Some(bias), &options)?;
                let whole = conv2d_residual(x, weight, None, Some(scale), residual, &options)?;
                let of_x = data_gradient(grad, weight, x, dilation)?;
                let of_weight = weight_gradient(x, grad, size, dilation)?;
                crate::Result::Ok([y, whole, of_x, of_weight].map(|tensor: Tensor| values(&tensor)))
            };
            let drawn = |device: &Device| inputs(&shapes, (-1.0, 1.0), dtype, device);
            let on_cpu = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
            let expected = drawn(&Device::Cpu).into_iter().map(|tensor| tensor.to_dtype(on_cpu));
            let expected = run(expected.collect::<candle_core::Result<_>>()?)?;
            let got = run(drawn(&gpu))?;
            for (at, (tolerance, (got, expected))) in
                [forward, forward, backward, backward].into_iter().zip(got.iter().zip(&expected)).enumerate()
            {
                assert_close(got, expected, tolerance, &format!("{shapes:?} {dtype:?}: {at}"));
            }
        }
    }
    Ok(())
}

/// Every tile and shares of several tiles, which else only large pictures have, and one picture that is large enough
/// for the largest tile.
#[test]
fn tiles_and_shares() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let ([batch, channels, height, width], outputs) = ([2, 5, 18, 34], 33);
    for (size, dtype, tolerance) in
        [(1, DType::F32, 1e-5), (3, DType::F32, 1e-5), (1, DType::BF16, 3e-2), (3, DType::BF16, 3e-2)]
    {
        let shapes = [
            vec![batch, channels, height, width],
            vec![outputs, channels, size, size],
            vec![batch, outputs, height, width],
        ];
        let drawn = |device: &Device, dtype: DType| -> candle_core::Result<Vec<Tensor>> {
            inputs(&shapes, (-1.0, 1.0), dtype, device).iter().map(Tensor::detach).map(Ok).collect()
        };
        let expected: Vec<_> = drawn(&Device::Cpu, dtype)?
            .iter()
            .map(|tensor| tensor.to_dtype(DType::F32))
            .collect::<candle_core::Result<_>>()?;
        let sums = values(&conv2d(&expected[0], &expected[1], None, &Conv2dOptions::default())?);
        let of_weight = values(&weight_gradient(&expected[0], &expected[2], size, 1)?);
        let on_gpu = drawn(&gpu, dtype)?;
        let [x, weight, grad] = &on_gpu[..] else { panic!("three tensors") };
        let packed = launch::pack(weight)?;
        for tile in TILES {
            let y = launch::direct_by(Some(tile), x, &Weights::of(weight, None)?, 1, &Epilogue::default())?;
            assert_close(&values(&y), &sums, tolerance, &format!("{size}x{size} {dtype:?}"));
            let kept = Weights::of(weight, Some(&packed))?;
            let again = launch::direct_by(Some(tile), x, &kept, 1, &Epilogue::default())?;
            assert_eq!(values(&again), values(&y), "{size}x{size} {dtype:?}, packed before");
        }
        for splits in [1, 3] {
            let got = launch::weight_gradient_by(Some(splits), [x, grad], size, 1)?;
            assert_close(
                &values(&got),
                &of_weight,
                3.0 * tolerance,
                &format!("{size}x{size} {dtype:?}, {splits} shares"),
            );
        }
    }
    let _direct = Direct::set(true);
    let shapes = [vec![1, 3, 256, 264], vec![33, 3, 3, 3]];
    let run = |device: &Device| {
        let tensors = inputs(&shapes, (-1.0, 1.0), DType::F32, device);
        conv2d(&tensors[0].detach(), &tensors[1].detach(), None, &Conv2dOptions::default())
    };
    assert_close(&values(&run(&gpu)?), &values(&run(&Device::Cpu)?), 1e-5, "a large picture");
    Ok(())
}

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
        let tensors = [y, residual, sums, of_scale].into_iter().chain(bias);
        crate::Result::Ok(tensors.map(|tensor: Tensor| values(&tensor)).collect::<Vec<_>>())
    };
    for shape in [[1, 1, 1, 1], [2, 3, 5, 33], [1, 2, 70, 65]] {
        for bits in 0..16 {
            let parts = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            let (expected, got) =
                (run(&Device::Cpu, shape, bits & 8 != 0, parts)?, run(&gpu, shape, bits & 8 != 0, parts)?);
            assert_eq!(got.len(), expected.len(), "{shape:?} {bits:b}");
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
        assert!(launch::into_storage(second).is_err() && values(&whole) == expected);
        let storage = launch::into_storage(whole)?;
        let taken = Tensor::from_storage(Storage::Cuda(storage), (2, 3), BackpropOp::none(), false);
        assert_eq!(values(&taken), expected);
    }
    Ok(())
}
