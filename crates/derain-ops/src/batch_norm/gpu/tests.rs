//! On a GPU as on the CPU.

use candle_core::{DType, Device, Tensor};

use super::{Normalize, Source, moments};
use crate::Activation;
use crate::batch_norm::op::{NormalizeByBatch, NormalizeByConstants};
use crate::batch_norm::{moments as moments_on_cpu, statistics};
use crate::batch_norm_train;
use crate::cuda::tests_gpu::{Op, compare, gpu, inputs, values};
use crate::testing::{Noise, assert_close};

const EPSILON: f64 = 1e-3;

#[test]
fn by_the_batch() {
    for activation in [Activation::None, Activation::Relu] {
        let op = |inputs: &[Tensor]| {
            let x = &inputs[0];
            if x.device().is_cuda() {
                let moments = moments(x).expect("moments").biased;
                return Op::three(Normalize { moments, epsilon: EPSILON, activation, source: Source::Batch });
            }
            let (means, variances) = moments_on_cpu(x).expect("moments");
            Op::three(NormalizeByBatch { statistics: statistics(means, variances, EPSILON), activation })
        };
        for [batch, channels, height, width] in [[2, 1, 1, 1], [2, 3, 5, 17], [1, 2, 70, 65]] {
            let shapes = [vec![batch, channels, height, width], vec![channels], vec![channels]];
            compare("batch_norm_train", op, &shapes, (-1.0, 1.0));
        }
    }
}

/// The statistics that training keeps, as the public function gives them.
#[test]
fn statistics_of_the_batch() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-6), (DType::BF16, 1e-6)] {
        let run = |tensors: Vec<Tensor>| {
            let [x, gamma, beta] = &tensors[..] else { panic!("three tensors") };
            let output = batch_norm_train(&x.detach(), &gamma.detach(), &beta.detach(), EPSILON, Activation::None)?;
            assert_eq!(output.mean.dtype(), if dtype == DType::F64 { DType::F64 } else { DType::F32 });
            crate::Result::Ok([values(&output.mean), values(&output.variance)])
        };
        let drawn = |device: &Device| inputs(&[vec![2, 3, 5, 17], vec![3], vec![3]], (-1.0, 2.0), dtype, device);
        let on_cpu = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let expected = drawn(&Device::Cpu).into_iter().map(|tensor| tensor.to_dtype(on_cpu));
        let [mean, variance] = run(expected.collect::<candle_core::Result<_>>()?)?;
        let [got_mean, got_variance] = run(drawn(&gpu))?;
        assert_close(&got_mean, &mean, tolerance, &format!("{dtype:?} mean"));
        assert_close(&got_variance, &variance, tolerance, &format!("{dtype:?} variance"));
    }
    Ok(())
}

#[test]
fn by_constants() {
    let mut noise = Noise::new(61);
    let (means, variances) = (noise.uniform(3, -1.0, 1.0), noise.uniform(3, 0.1, 1.0));
    let op = |inputs: &[Tensor]| {
        let device = inputs[0].device();
        if device.is_cuda() {
            let moments = [&means[..], &variances].concat();
            let moments = Tensor::from_vec(moments, (2, 3), device).expect("moments");
            return Op::three(Normalize {
                moments,
                epsilon: EPSILON,
                activation: Activation::None,
                source: Source::Constants,
            });
        }
        Op::three(NormalizeByConstants(statistics(means.clone(), variances.clone(), EPSILON)))
    };
    compare("batch_norm_eval", op, &[vec![2, 3, 7, 9], vec![3], vec![3]], (-1.0, 1.0));
}
