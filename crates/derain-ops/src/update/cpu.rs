//! On the CPU, in pieces that threads share among themselves.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Tensor};
use rayon::prelude::*;

use super::{AdamStep, AdamTensors};
use crate::Result;
use crate::storage::{elements, with_elements};

/// Elements that one thread changes at a time.
const PIECE: usize = 1 << 14;

pub(super) fn adam(tensors: &AdamTensors<'_>, step: &AdamStep) -> Result<()> {
    let &AdamTensors { parameter, gradient, first, second } = tensors;
    let &AdamStep { betas: [beta1, beta2], scale, step, root, epsilon, kept } = step;
    let [b1, b2, a1, a2] = [beta1, beta2, 1.0 - beta1, 1.0 - beta2].map(|value| value as f32);
    let [scale, step, root, epsilon, kept] = [scale, step, root, epsilon, kept].map(|value| value as f32);
    update(first, gradient, "adam's first moment", |m, g| *m = b1 * *m + a1 * (g * scale))?;
    update(second, gradient, "adam's second moment", |v, g| *v = b2 * *v + a2 * (g * scale) * (g * scale))?;
    update2(parameter, [first, second], "adam", |w, m, v| *w = kept * *w - step * m / (v.sqrt() * root + epsilon))
}

pub(super) fn approach(average: &Tensor, to: &Tensor, share: f64) -> Result<()> {
    let share = share as f32;
    update(average, to, "approach", |average, to| *average += share * (to - *average))
}

pub(super) fn sums_of_squares(tensors: &[Tensor]) -> Result<Vec<f64>> {
    let squares = |[elements]: [&[f32]; 1]| elements.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    tensors.par_iter().map(|tensor| Ok(with_elements([tensor], squares)?)).collect()
}

/// `to[i] = f(to[i], from[i])`.
fn update(to: &Tensor, from: &Tensor, name: &'static str, f: impl Fn(&mut f32, f32) + Sync) -> Result<()> {
    Ok(to.inplace_op2(&from.contiguous()?, &Update { name, f })?)
}

/// `to[i] = f(to[i], a[i], b[i])`.
fn update2(to: &Tensor, [a, b]: [&Tensor; 2], name: &'static str, f: impl Fn(&mut f32, f32, f32) + Sync) -> Result<()> {
    Ok(to.inplace_op3(&a.contiguous()?, &b.contiguous()?, &Update { name, f })?)
}

struct Update<F> {
    name: &'static str,
    f: F,
}

impl<F: Fn(&mut f32, f32) + Sync> InplaceOp2 for Update<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        at: &Layout,
        from: &CpuStorage,
        at_from: &Layout,
    ) -> candle_core::Result<()> {
        let from = elements::<f32>(from, at_from)?;
        let to = elements_mut(to, at)?;
        to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| {
            to.iter_mut().zip(from).for_each(|(to, &from)| (self.f)(to, from));
        });
        Ok(())
    }
}

impl<F: Fn(&mut f32, f32, f32) + Sync> InplaceOp3 for Update<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        at: &Layout,
        a: &CpuStorage,
        at_a: &Layout,
        b: &CpuStorage,
        at_b: &Layout,
    ) -> candle_core::Result<()> {
        let (a, b) = (elements::<f32>(a, at_a)?, elements::<f32>(b, at_b)?);
        let to = elements_mut(to, at)?;
        to.par_chunks_mut(PIECE).zip(a.par_chunks(PIECE)).zip(b.par_chunks(PIECE)).for_each(|((to, a), b)| {
            to.iter_mut().zip(a).zip(b).for_each(|((to, &a), &b)| (self.f)(to, a, b));
        });
        Ok(())
    }
}

fn elements_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((start, end))) => Ok(&mut all[start..end]),
        _ => candle_core::bail!("expected contiguous f32 elements, got {layout:?}"),
    }
}
