//! What follows a convolution's sum while it is still in registers.

use super::super::Activation;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect};
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

    /// Finishes the sums of one vector of output channels from `output` on, at one pixel.
    ///
    /// # Safety
    /// [`Self::check`] must have passed for a result that holds the pixel and the channels.
    #[inline(always)]
    pub(super) unsafe fn finish<V: Vector<Elem = E>>(
        &self,
        sum: V,
        bias: &[E],
        (row, column, output): (usize, usize, usize),
    ) -> V
    where
        E: Element,
    {
        let mut y = sum;
        if !bias.is_empty() {
            y = y.add(V::load(&bias[output..output + V::LANES]));
        }
        if let Some(scale) = &self.scale {
            // SAFETY: the pixel lies inside, as the caller has checked.
            y = y.mul(V::splat(unsafe { *scale.as_ptr().add(row * scale.row_stride() + column) }));
        }
        if let Some(residual) = &self.residual {
            let at = row * residual.row_stride() + column * residual.channels() + output;
            // SAFETY: the pixel's channels lie inside, as the caller has checked.
            y = y.add(unsafe { V::load_from(residual.as_ptr().add(at)) });
        }
        match self.activation {
            Activation::None => y,
            Activation::Relu => y.relu(),
        }
    }
}

/// A bias padded to whole blocks; empty where there is none.
pub(super) fn padded_bias<E: Element>(bias: Option<&[E]>) -> Vec<E> {
    let mut padded = bias.unwrap_or_default().to_vec();
    padded.resize(padded.len().next_multiple_of(CHANNEL_BLOCK), E::ZERO);
    padded
}
