//! What follows a convolution's sum while it is still in registers.

use super::super::Activation;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect, RectMut};
use crate::simd::Vector;

/// `y = activation((sum + bias) · scale + residual)`, each only where given. The bias belongs to the weights.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, E> {
    /// One factor a pixel: a rectangle of one channel, as large as the result.
    pub scale: Option<Rect<'a, E>>,
    /// As large as the result.
    pub residual: Option<Rect<'a, E>>,
    /// The last step.
    pub activation: Activation,
}

impl<E> Epilogue<'_, E> {
    /// Nothing but an activation.
    pub fn activation(activation: Activation) -> Self {
        Self { scale: None, residual: None, activation }
    }

    /// Panics unless the rectangles are as large as a result.
    pub(super) fn check(&self, rows: usize, columns: usize, channels: usize) {
        let fits = |rect: &Rect<'_, E>, channels| {
            rect.rows() >= rows && rect.columns() >= columns && rect.channels() == channels
        };
        assert!(self.scale.as_ref().is_none_or(|scale| fits(scale, 1)), "the scale does not fit the result");
        assert!(
            self.residual.as_ref().is_none_or(|residual| fits(residual, channels)),
            "the residual does not fit the result"
        );
    }

    /// Applies this to the sums of `P` pixels, `step` columns apart, and `N` vectors of output channels, and stores the
    /// results in `out` from a place (row, column, channel) on.
    ///
    /// # Safety
    /// [`Self::check`] must have passed for `out`, and all these pixels and channels must lie inside it.
    #[inline(always)]
    pub(super) unsafe fn apply_and_store<V: Vector<Elem = E>, const P: usize, const N: usize>(
        &self,
        mut sums: [[V; N]; P],
        bias: &[E],
        (row, column, output): (usize, usize, usize),
        step: usize,
        out: &mut RectMut<'_, E>,
    ) where
        E: Element,
    {
        // One branch for all sums each, not one for each sum: a convolution of 1x1 has little else to do.
        // SAFETY: the caller vouches for the pixels and channels.
        unsafe {
            if !bias.is_empty() {
                let bias: [V; N] = std::array::from_fn(|n| V::load(&bias[output + n * V::LANES..]));
                for sums in &mut sums {
                    for (sum, bias) in sums.iter_mut().zip(bias) {
                        *sum = sum.add(bias);
                    }
                }
            }
            if let Some(scale) = &self.scale {
                let scale = scale.as_ptr().add(row * scale.row_stride() + column);
                for (p, sums) in sums.iter_mut().enumerate() {
                    let scale = V::splat(*scale.add(p * step));
                    for sum in sums {
                        *sum = sum.mul(scale);
                    }
                }
            }
            if let Some(residual) = &self.residual {
                let channels = residual.channels();
                let residual = residual.as_ptr().add(row * residual.row_stride() + column * channels + output);
                for (p, sums) in sums.iter_mut().enumerate() {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(V::load_from(residual.add(p * step * channels + n * V::LANES)));
                    }
                }
            }
            if self.activation == Activation::Relu {
                for sum in sums.as_flattened_mut() {
                    *sum = sum.relu();
                }
            }
            let channels = out.channels();
            let target = row * out.row_stride() + column * channels + output;
            let target = out.as_mut_ptr().add(target);
            for (p, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store_to(target.add(p * step * channels + n * V::LANES));
                }
            }
        }
    }
}

/// A bias padded to whole blocks; empty where there is none.
pub(super) fn padded_bias<E: Element>(bias: Option<&[E]>) -> Vec<E> {
    let mut padded = bias.unwrap_or_default().to_vec();
    padded.resize(padded.len().next_multiple_of(CHANNEL_BLOCK), E::ZERO);
    padded
}
