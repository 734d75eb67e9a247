//! Changing a tensor in place, element by element, from others of the same shape, which callers check first ([`same_shapes`]): of unequal ones
//! the shorter would end the change without a word.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor};
use derain_ops::storage::elements;
use rayon::prelude::*;

use crate::Error;

/// Elements that one thread changes at a time.
const PIECE: usize = 1 << 14;

/// Whether tensors are as many as an optimizer's own, and each of the same shape.
///
/// # Errors
/// [`Error::Count`], [`Error::Shapes`] of the first that differ.
pub(super) fn same_shapes<'a>(
    op: &'static str,
    own: &[Tensor],
    others: impl IntoIterator<Item = &'a Tensor, IntoIter: ExactSizeIterator>,
) -> crate::Result<()> {
    let others = others.into_iter();
    if others.len() != own.len() {
        return Err(Error::Count { op, expected: own.len(), got: others.len() });
    }
    match own.iter().zip(others).find(|(own, other)| own.shape() != other.shape()) {
        Some((own, other)) => Err(Error::Shapes { op, left: own.shape().clone(), right: other.shape().clone() }),
        None => Ok(()),
    }
}

/// `to[i] = f(to[i], from[i])`, both f32, contiguous and on the CPU.
pub(super) fn update(to: &Tensor, from: &Tensor, name: &'static str, f: impl Fn(&mut f32, f32) + Sync) -> Result<()> {
    to.inplace_op2(&from.contiguous()?, &Update { name, f })
}

/// `to[i] = f(to[i], a[i], b[i])`, alike.
pub(super) fn update2(
    to: &Tensor,
    [a, b]: [&Tensor; 2],
    name: &'static str,
    f: impl Fn(&mut f32, f32, f32) + Sync,
) -> Result<()> {
    to.inplace_op3(&a.contiguous()?, &b.contiguous()?, &Update { name, f })
}

struct Update<F> {
    name: &'static str,
    f: F,
}

impl<F: Fn(&mut f32, f32) + Sync> InplaceOp2 for Update<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, to: &mut CpuStorage, at: &Layout, from: &CpuStorage, at_from: &Layout) -> Result<()> {
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
    ) -> Result<()> {
        let (a, b) = (elements::<f32>(a, at_a)?, elements::<f32>(b, at_b)?);
        let to = elements_mut(to, at)?;
        to.par_chunks_mut(PIECE).zip(a.par_chunks(PIECE)).zip(b.par_chunks(PIECE)).for_each(|((to, a), b)| {
            to.iter_mut().zip(a).zip(b).for_each(|((to, &a), &b)| (self.f)(to, a, b));
        });
        Ok(())
    }
}

fn elements_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((start, end))) => Ok(&mut all[start..end]),
        _ => candle_core::bail!("expected contiguous f32 elements, got {layout:?}"),
    }
}
