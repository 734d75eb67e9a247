use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use super::super::tests::variants;
use super::super::{Attention, SpaNet, SpaNetConfig, SpaNetOutput};
use crate::parameters::builder;
use crate::{Error, Result};

/// A network whose parameters are variables.
fn network(config: &SpaNetConfig, dtype: DType) -> Result<(SpaNet, BTreeMap<String, Var>)> {
    let vars = config.initial_weights(5)?.into_iter();
    let vars = vars.map(|(name, value)| Ok((name, Var::from_tensor(&value.to_dtype(dtype)?)?)));
    let vars = vars.collect::<Result<BTreeMap<_, _>>>()?;
    let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    Ok((SpaNet::new(config, builder(tensors, dtype, &Device::Cpu))?, vars))
}

fn picture((batch, height, width): (usize, usize, usize), dtype: DType) -> Result<Var> {
    let values = (0..batch * 3 * height * width).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
    let values = Tensor::from_vec(values, (batch, 3, height, width), &Device::Cpu)?;
    Ok(Var::from_tensor(&values.to_dtype(dtype)?)?)
}

/// A scalar of which every pixel of both results has a share of its own.
fn loss(output: &SpaNetOutput) -> Result<Tensor> {
    let weighted = |tensor: &Tensor| -> Result<Tensor> {
        let weights = (0..tensor.elem_count()).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.4).collect::<Vec<_>>();
        let weights = Tensor::from_vec(weights, tensor.shape(), &Device::Cpu)?.to_dtype(tensor.dtype())?;
        Ok((tensor * weights)?.sum_all()?)
    };
    let clean = weighted(&output.clean)?;
    match &output.attention {
        Some(map) => Ok((clean + weighted(map)?)?),
        None => Ok(clean),
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

fn assert_close(got: &Tensor, expected: &Tensor, tolerance: f64, what: &str) -> Result<()> {
    let (got, expected) = (values(got)?, values(expected)?);
    let largest = expected.iter().fold(1e-6f64, |largest, value| largest.max(value.abs()));
    let error = got.iter().zip(&expected).fold(0f64, |error, (a, b)| error.max((a - b).abs()));
    assert!(got.len() == expected.len() && error <= tolerance * largest, "{what}: {error} of {largest}");
    Ok(())
}

/// rayon may hand a thread that waits within one gradient the other one of the same forward pass.
#[test]
fn two_gradients_of_one_pass_at_once() -> Result<()> {
    let (network, vars) = network(&SpaNetConfig { channels: 4, ..SpaNetConfig::default() }, DType::F32)?;
    let output = network.forward(picture((4, 20, 20), DType::F32)?.as_tensor())?;
    let losses = [loss(&output)?, output.clean.sqr()?.sum_all()?];
    let expected = losses.each_ref().map(Tensor::backward);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a thread pool");
    for _ in 0..10 {
        let (a, b) = pool.install(|| rayon::join(|| losses[0].backward(), || losses[1].backward()));
        for (got, expected) in [a, b].iter().zip(&expected) {
            let (Ok(got), Ok(expected)) = (got, expected) else { panic!("{got:?}") };
            for var in vars.values() {
                let both = [got, expected].map(|of| of.get(var).map(values));
                let [Some(got), Some(expected)] = both else { panic!("{var:?} has no gradient") };
                assert_eq!(got?, expected?);
            }
        }
    }
    Ok(())
}

#[test]
fn equals_layer_by_layer_with_gradients() -> Result<()> {
    for (variant, config) in variants() {
        for channels in [4, 20] {
            let config = SpaNetConfig { channels, ..config.clone() };
            for (dtype, tolerance, of_gradients) in [(DType::F64, 1e-10, 1e-10), (DType::F32, 1e-5, 1e-4)] {
                let (network, vars) = network(&config, dtype)?;
                // Some longer than a stripe of a scan.
                for size in [(1, 1, 1), (2, 9, 27), (1, 26, 6)] {
                    let picture = picture(size, dtype)?;
                    let (got, expected) = (network.forward(&picture)?, network.by_layers(&picture)?);
                    let what = |part: &str| format!("{variant}, {channels} channels, {dtype:?}, {size:?}: {part}");
                    assert_close(&got.clean, &expected.clean, tolerance, &what("clean"))?;
                    if let (Some(got), Some(expected)) = (&got.attention, &expected.attention) {
                        assert_close(got, expected, tolerance, &what("attention"))?;
                    }
                    assert_eq!(got.attention.is_none(), config.attention == Attention::None);
                    let (got, expected) = (loss(&got)?.backward()?, loss(&expected)?.backward()?);
                    for (name, var) in vars.iter().map(|(name, var)| (&name[..], var)).chain([("picture", &picture)]) {
                        match (got.get(var), expected.get(var)) {
                            (Some(got), Some(expected)) => assert_close(got, expected, of_gradients, &what(name))?,
                            (got, expected) => assert!(got.is_none() && expected.is_none(), "{}", what(name)),
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_equal_finite_differences() -> Result<()> {
    const STEP: f64 = 1e-6;
    for (variant, config) in variants() {
        let (network, vars) = network(&config, DType::F64)?;
        let picture = picture((2, 6, 5), DType::F64)?;
        let gradients = loss(&network.forward(&picture)?)?.backward()?;
        let (mut compared, mut sampled) = (0, 0);
        for (name, var) in &vars {
            let Some(gradient) = gradients.get(var) else { continue };
            let (before, gradient) = (values(var)?, values(gradient)?);
            let at = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap_or(0);
            let moved = |step: f64| -> Result<f64> {
                let mut values = before.clone();
                values[at] += step;
                var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?)?;
                Ok(loss(&network.forward(&picture)?)?.to_scalar::<f64>()?)
            };
            let [up, down, here] = [moved(STEP)?, moved(-STEP)?, moved(0.0)?];
            sampled += 1;
            if ((up - here) - (here - down)).abs() > 1e-9 {
                continue; // A kink of a ReLU lies within the step.
            }
            compared += 1;
            let expected = (up - down) / (2.0 * STEP);
            let error = (gradient[at] - expected).abs();
            assert!(error <= 1e-6 + 1e-4 * expected.abs(), "{variant}: {name}: {} for {expected}", gradient[at]);
        }
        assert!(compared * 10 >= sampled * 9, "{variant}: only {compared} of {sampled} lie away from kinks");
    }
    Ok(())
}

#[test]
fn thread_counts_and_used_buffers_give_the_same_bits() -> Result<()> {
    let config = SpaNetConfig { channels: 16, ..SpaNetConfig::paper() };
    let (network, vars) = network(&config, DType::F32)?;
    let picture = picture((3, 40, 33), DType::F32)?;
    let bits = |threads: usize| -> Result<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let output = network.forward(&picture)?;
            let gradients = loss(&output)?.backward()?;
            let mut all = vec![output.clean.clone()];
            all.extend(vars.values().map(|var| gradients.get(var).expect("a gradient").clone()));
            let all = all.iter().map(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
            let all = all.collect::<candle_core::Result<Vec<_>>>()?.concat();
            Ok(all.into_iter().map(f32::to_bits).collect())
        })
    };
    let first = bits(1)?;
    // Buffers of another size between, so that those of the next pass hold foreign values.
    drop(network.forward(self::picture((1, 70, 90), DType::F32)?.as_tensor())?);
    for threads in [1, 2, 3, 5] {
        assert!(first == bits(threads)?, "{threads} threads give other bits");
    }
    Ok(())
}

#[test]
fn batches_that_are_none_are_refused() -> Result<()> {
    let (network, _) = network(&variants()[0].1, DType::F32)?;
    for shape in [&[1, 1, 4, 4][..], &[0, 3, 4, 4], &[1, 3, 0, 4], &[3, 4, 4]] {
        let result = network.forward(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        assert!(matches!(result, Err(Error::Pictures { .. })), "{result:?}");
    }
    for got in [DType::F64, DType::U8, DType::F16] {
        let result = network.forward(&Tensor::zeros((1, 3, 4, 4), got, &Device::Cpu)?);
        assert!(matches!(result, Err(Error::PictureType { expected: DType::F32, .. })), "{result:?}");
    }
    Ok(())
}
