use candle_core::{Device, Tensor};
use derain_models::{RraNetConfig, SpaNetConfig};

use super::{MicroBatch, combine};
use crate::model::Trainable;
use crate::optimizer::global_norm;
use crate::{LossConfig, NetworkConfig, Result};

/// Pictures `[batch, 3, 24, 24]` in 0..1 that differ from one another.
fn pictures(batch: usize, seed: usize) -> Result<Tensor> {
    let values = (0..batch * 3 * 24 * 24).map(|i| (i * (7 + seed) % 251) as f32 / 251.0).collect::<Vec<_>>();
    Ok(Tensor::from_vec(values, (batch, 3, 24, 24), &Device::Cpu)?)
}

/// A batch of four pairs, cut into parts of `parts[i]` pairs.
fn in_parts(network: &NetworkConfig, loss: &LossConfig, parts: &[usize]) -> Result<MicroBatch> {
    let model = Trainable::new(network, &network.initial_weights(3)?, &Device::Cpu)?;
    let (rainy, clean) = (pictures(4, 0)?, pictures(4, 2)?);
    let mut first = 0;
    let parts = parts.iter().map(|&length| {
        let part = [&rainy, &clean].map(|whole| whole.narrow(0, first, length));
        first += length;
        let [rainy, clean] = part;
        MicroBatch::compute(&model, loss, &rainy?.contiguous()?, &clean?.contiguous()?)
    });
    Ok(combine(parts)?.expect("parts"))
}

fn differences(a: &MicroBatch, b: &MicroBatch) -> Result<f64> {
    let apart = a.gradients.iter().zip(&b.gradients).map(|(a, b)| Ok((a - b)?)).collect::<Result<Vec<_>>>()?;
    global_norm(&apart)
}

#[test]
fn parts_of_a_batch_have_the_gradient_of_the_whole() -> Result<()> {
    let network = NetworkConfig::SpaNet(SpaNetConfig { channels: 8, ..SpaNetConfig::paper() });
    let loss = LossConfig::default();
    let whole = in_parts(&network, &loss, &[4])?;
    for parts in [&[2, 2][..], &[1, 1, 1, 1], &[3, 1]] {
        let joined = in_parts(&network, &loss, parts)?;
        assert_eq!(joined.samples, 4);
        let (apart, norm) = (differences(&whole, &joined)?, global_norm(&whole.gradients)?);
        assert!(apart <= 1e-4 * norm, "{parts:?}: {apart} of {norm}");
        for (a, b) in [
            (Some(whole.losses.total), Some(joined.losses.total)),
            (whole.losses.l1, joined.losses.l1),
            (whole.losses.ssim, joined.losses.ssim),
            (whole.losses.attention, joined.losses.attention),
        ] {
            let (a, b) = (a.expect("a term"), b.expect("a term"));
            assert!((a - b).abs() <= 1e-5 * a.abs(), "{parts:?}: {a} {b}");
        }
    }
    Ok(())
}

#[test]
fn statistics_of_parts_join() -> Result<()> {
    let network = NetworkConfig::RraNet(RraNetConfig { widths: [4, 4, 4, 4], stages: 2, ..RraNetConfig::paper() });
    let loss = LossConfig { l1: 0.0, attention: 0.0, ..LossConfig::default() };
    let (whole, joined) = (in_parts(&network, &loss, &[4])?, in_parts(&network, &loss, &[2, 2])?);
    assert!(!whole.statistics.is_empty());
    assert_eq!(whole.statistics.len(), joined.statistics.len());
    // The first norm sees the same features whoever is in the batch; behind it each part has been normalized on its
    // own.
    let (a, b) = (&whole.statistics[0], &joined.statistics[0]);
    assert_eq!(a.name, b.name);
    // Variances are unbiased: a part's lacks one value of 2·24·24.
    for (a, b, tolerance) in [(&a.mean, &b.mean, 1e-5), (&a.variance, &b.variance, 2e-3)] {
        let (a, b) = (a.to_vec1::<f32>()?, b.to_vec1::<f32>()?);
        let near = a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= tolerance * a.abs().max(1e-2));
        assert!(near, "{a:?} {b:?}");
    }
    Ok(())
}

#[test]
fn no_part_is_nothing() -> Result<()> {
    assert!(combine([])?.is_none());
    Ok(())
}
