//! Losses and gradients of a part of a batch, and how parts combine.
//!
//! A step of training is a sum over parts: each part's losses, gradients and batch statistics are a value of their own,
//! and [`combine`] takes them in one by one, in order. Where a part was computed makes no difference to the result's
//! bits.

use candle_core::Tensor;
use derain_models::rranet::BatchStatistics;
use derain_ops::{SsimOptions, ssim};

use crate::losses::{attention_loss, l1, rain_mask};
use crate::model::Trainable;
use crate::observer::Losses;
use crate::{LossConfig, Result};

/// What a part of a batch says about the parameters.
#[derive(Clone, Debug)]
pub(crate) struct MicroBatch {
    /// Pairs in the part: its weight.
    pub samples: usize,
    /// Means over the part.
    pub losses: Losses,
    /// Gradients of the total loss by the trained parameters, in their order.
    pub gradients: Vec<Tensor>,
    /// What batch norms saw, in order of use.
    pub statistics: Vec<BatchStatistics>,
}

impl MicroBatch {
    /// Runs the network forward and backward over pairs `[B, 3, H, W]`.
    pub(crate) fn compute(model: &Trainable, loss: &LossConfig, rainy: &Tensor, clean: &Tensor) -> Result<Self> {
        let (output, statistics) = model.network.forward_train(rainy)?;
        let weighted = |weight: f64, value: Result<Tensor>| -> Result<Option<Tensor>> { Ok(Some((value? * weight)?)) };
        let (mut of_l1, mut of_ssim, mut of_attention) = (None, None, None);
        if loss.l1 > 0.0 {
            of_l1 = weighted(loss.l1, l1(&output.clean, clean))?;
        }
        if loss.ssim > 0.0 {
            let similarity = ssim(&output.clean, clean, &SsimOptions::default())?;
            of_ssim = weighted(loss.ssim, Ok((1.0 - similarity)?))?;
        }
        if let Some(map) = output.attention.as_ref().filter(|_| loss.attention > 0.0) {
            let mask = rain_mask(rainy, clean, loss.mask_threshold)?;
            of_attention = weighted(loss.attention, attention_loss(map, &mask))?;
        }
        let mut terms = [&of_l1, &of_ssim, &of_attention].into_iter().flatten();
        let first = terms.next().map_or_else(|| output.clean.zeros_like()?.mean_all(), |first| Ok(first.clone()))?;
        let total = terms.try_fold(first, |total, term| total + term)?;
        let mut store = total.backward()?;
        // Only now: a GPU is waited for where a number is read, and shall have the way back to do meanwhile.
        let number = |term: &Tensor| -> Result<f64> { Ok(f64::from(term.to_scalar::<f32>()?)) };
        let losses = Losses {
            total: number(&total)?,
            l1: of_l1.as_ref().map(number).transpose()?,
            ssim: of_ssim.as_ref().map(number).transpose()?,
            attention: of_attention.as_ref().map(number).transpose()?,
        };
        let gradients = model.trained.iter().map(|&index| {
            let variable = &model.variables[index];
            // A parameter that the configuration does not use has no gradient.
            Ok(store
                .remove(variable.as_tensor())
                .map_or_else(|| variable.zeros_like(), |gradient| gradient.contiguous())?)
        });
        Ok(Self { samples: rainy.dim(0)?, losses, gradients: gradients.collect::<Result<_>>()?, statistics })
    }

    /// The mean with the part that follows, weighted by pairs. Variances are joined as those of large samples are.
    fn and(self, next: Self) -> Result<Self> {
        let samples = self.samples + next.samples;
        let [own, other] = [self.samples, next.samples].map(|part| part as f64 / samples as f64);
        let mean = |a: f64, b: f64| own * a + other * b;
        let term = |a: Option<f64>, b: Option<f64>| Some(mean(a?, b?));
        let losses = Losses {
            total: mean(self.losses.total, next.losses.total),
            l1: term(self.losses.l1, next.losses.l1),
            ssim: term(self.losses.ssim, next.losses.ssim),
            attention: term(self.losses.attention, next.losses.attention),
        };
        let gradients = self.gradients.iter().zip(&next.gradients).map(|(a, b)| Ok(((a * own)? + (b * other)?)?));
        let statistics = self.statistics.iter().zip(&next.statistics).map(|(a, b)| {
            let apart = (&a.mean - &b.mean)?.sqr()?;
            let variance = (((&a.variance * own)? + (&b.variance * other)?)? + (apart * (own * other))?)?;
            Ok(BatchStatistics { name: a.name.clone(), mean: ((&a.mean * own)? + (&b.mean * other)?)?, variance })
        });
        let statistics = statistics.collect::<Result<_>>()?;
        Ok(Self { samples, losses, gradients: gradients.collect::<Result<_>>()?, statistics })
    }
}

/// The whole batch's losses and gradients from its parts, in their order. Two parts are in memory at a time. None of no
/// parts.
pub(crate) fn combine(parts: impl IntoIterator<Item = Result<MicroBatch>>) -> Result<Option<MicroBatch>> {
    let mut whole: Option<MicroBatch> = None;
    for part in parts {
        let part = part?;
        whole = Some(match whole {
            None => part,
            Some(before) => before.and(part)?,
        });
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
