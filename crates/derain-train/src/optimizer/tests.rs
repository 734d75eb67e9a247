use std::slice::from_ref;

use candle_core::{DType, Device, Tensor, Var};

use super::{Adam, AdamConfig, MovingAverage, global_norm};
use crate::{Error, Result};

fn tensor(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}

fn assert_near(got: &Tensor, expected: &[f32]) -> Result<()> {
    let got = got.to_vec1::<f32>()?;
    let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1e-3));
    assert!(got.len() == expected.len() && near, "{got:?} instead of {expected:?}");
    Ok(())
}

/// ```python
/// import numpy as np
/// w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
/// for t, g in enumerate([[0.5, -1.0, 0.0], [0.25, 2.0, 1e-6], [-1.0, 0.5, 0.0]], 1):
///     g = np.array(g) * 0.5                                          # scale
///     m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
///     w = w - 0.1 * 0.01 * w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
/// ```
#[test]
fn three_steps_of_adam() -> Result<()> {
    let config = AdamConfig { weight_decay: 0.01, ..AdamConfig::default() };
    let weights = [Var::from_tensor(&tensor(&[1.0, -2.0, 0.5])?)?];
    let mut adam = Adam::new(&config, &weights)?;
    for (t, gradient) in [[0.5, -1.0, 0.0], [0.25, 2.0, 1e-6], [-1.0, 0.5, 0.0]].iter().enumerate() {
        adam.step(&weights, &[tensor(gradient)?], t as u64 + 1, 0.1, 0.5)?;
    }
    assert_near(&weights[0], &[8.247139e-1, -1.972345e0, 3.706104e-1])?;
    let [first, second] = adam.moments();
    assert_near(&first[0], &[-1.85e-2, 7.45e-2, 4.5e-8])?;
    assert_near(&second[0], &[3.279844e-4, 1.311e-3, 2.4975e-16])
}

#[test]
fn restored_moments_go_on_to_the_bit() -> Result<()> {
    let gradients = |t: u64| tensor(&[0.3 - t as f32, 0.1 * t as f32]);
    let run = |restore_at: u64| -> Result<Vec<f32>> {
        let weights = [Var::from_tensor(&tensor(&[0.2, 0.7])?)?];
        let mut adam = Adam::new(&AdamConfig::default(), &weights)?;
        for t in 1..=6 {
            if t == restore_at {
                let saved = adam.moments().map(|moments| moments[0].copy());
                let [first, second] = saved;
                adam = Adam::new(&AdamConfig::default(), &weights)?;
                adam.restore(vec![first?], vec![second?])?;
            }
            adam.step(&weights, &[gradients(t)?], t, 0.01, 1.0)?;
        }
        Ok(weights[0].to_vec1()?)
    };
    let whole = run(0)?;
    for at in 1..=6 {
        assert_eq!(whole, run(at)?, "restored before step {at}");
    }
    Ok(())
}

#[test]
fn tensors_of_other_shapes_are_refused() -> Result<()> {
    let weights = [Var::from_tensor(&tensor(&[1.0, 2.0])?)?];
    let mut adam = Adam::new(&AdamConfig::default(), &weights)?;
    assert!(matches!(adam.step(&weights, &[tensor(&[1.0])?], 1, 0.1, 1.0), Err(Error::Shapes { .. })));
    assert!(matches!(adam.restore(vec![tensor(&[1.0])?], vec![tensor(&[1.0])?]), Err(Error::Shapes { .. })));
    // As many elements as the moments or more, which an update would take or cut without a word.
    for other in [Tensor::zeros((2, 1), DType::F32, &Device::Cpu)?, tensor(&[1.0, 2.0, 3.0])?] {
        let others = [Var::from_tensor(&other)?];
        assert!(matches!(adam.step(&others, from_ref(&other), 1, 0.1, 1.0), Err(Error::Shapes { op: "step", .. })));
        assert_eq!(others[0].flatten_all()?.to_vec1::<f32>()?, other.flatten_all()?.to_vec1::<f32>()?);
    }
    let wrong = AdamConfig { betas: [0.9, 1.0], ..AdamConfig::default() };
    assert!(matches!(Adam::new(&wrong, &weights), Err(Error::Config { .. })));
    Ok(())
}

#[test]
fn a_wrong_number_of_tensors_is_told_and_changes_nothing() -> Result<()> {
    let weights = [1f32, 2.0].map(|value| Var::new(&[value], &Device::Cpu));
    let weights: Vec<Var> = weights.into_iter().collect::<candle_core::Result<_>>()?;
    let (one, two) = (vec![tensor(&[1.0])?], vec![tensor(&[1.0])?, tensor(&[1.0])?]);
    let mut adam = Adam::new(&AdamConfig::default(), &weights)?;
    let results = [
        adam.step(&weights[..1], &two, 1, 0.1, 1.0),
        adam.step(&weights, &one, 1, 0.1, 1.0),
        adam.restore(one.clone(), two.clone()),
        adam.restore(two.clone(), one.clone()),
        MovingAverage::new(0.5, &two)?.update(&one, 1),
    ];
    for result in results {
        assert!(matches!(result, Err(Error::Count { expected: 2, got: 1, .. })), "{result:?}");
    }
    assert_eq!(adam.moments().map(|moments| moments.len()), [2, 2]);
    assert_eq!(weights[0].to_vec1::<f32>()?, [1.0]);
    // One wrong shape at the end leaves the tensors before it as they are too.
    let mixed = [tensor(&[1.0])?, tensor(&[1.0, 1.0])?];
    assert!(matches!(adam.step(&weights, &mixed, 1, 0.1, 1.0), Err(Error::Shapes { .. })));
    assert_eq!(weights[0].to_vec1::<f32>()?, [1.0]);
    Ok(())
}

#[test]
fn norms_take_all_tensors_together() -> Result<()> {
    let norm = global_norm(&[tensor(&[1.0, 2.0])?, Tensor::new(&[[2f32], [4.]], &Device::Cpu)?])?;
    assert_eq!(norm, 5.0);
    assert!(global_norm(&[tensor(&[f32::NAN])?])?.is_nan());
    assert_eq!(global_norm(&[])?, 0.0);
    Ok(())
}

#[test]
fn averages_forget_their_start_and_then_follow_slowly() -> Result<()> {
    let start = tensor(&[8.0])?;
    let mut average = MovingAverage::new(0.75, &[start])?;
    // (1 + t) / (10 + t) at t = 1 is 2/11: 2/11 · 8 + 9/11 · 19.
    average.update(&[tensor(&[19.0])?], 1)?;
    assert_near(&average.tensors()[0], &[17.0])?;
    // Late the decay itself holds: 0.75 · 17 + 0.25 · 1.
    average.update(&[tensor(&[1.0])?], 1000)?;
    assert_near(&average.tensors()[0], &[13.0])?;
    assert!(matches!(average.update(&[tensor(&[1.0, 2.0])?], 3), Err(Error::Shapes { .. })));
    Ok(())
}

#[test]
fn decays_that_make_no_average_are_refused() {
    for decay in [-0.1, 1.0, f64::NAN] {
        assert!(matches!(MovingAverage::new(decay, &[]), Err(Error::Config { key: "ema", .. })));
    }
}
