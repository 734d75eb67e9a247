//! The inner loop of every form: some pixels times some output channels, summed over input channels in registers.

use crate::element::Element;
use crate::rect::CHANNEL_BLOCK;
use crate::simd::Vector;

/// Pixels of a full register block. AVX-512 has 32 registers: 12 pixels times 2 vectors leave 8 for weights and inputs.
pub(super) const fn block_pixels<V: Vector>() -> usize {
    if V::LANES == CHANNEL_BLOCK { 12 } else { 6 }
}

/// Weights of some input channels for `N` vectors of outputs: `[C, CHANNEL_BLOCK]` for each block of outputs.
#[derive(Clone, Copy)]
pub(super) struct Strip<E> {
    pub start: *const E,
    /// Elements from one block of outputs to the next.
    pub block_stride: usize,
}

/// `sums[p][n] += Σ_c source[p·stride + c] · weights[c][n]`, c ascending.
///
/// # Safety
/// `source` must be readable for `channels` elements at each of the `P` pixels, the strip for `channels` rows of every
/// block that `N` vectors touch.
#[inline(always)]
pub(super) unsafe fn multiply_add<V: Vector, const P: usize, const N: usize>(
    sums: &mut [[V; N]; P],
    source: *const V::Elem,
    stride: usize,
    weights: Strip<V::Elem>,
    channels: usize,
) {
    // One pointer for three pixels: the processor adds one and two strides within the address.
    let bases: [*const V::Elem; P] = std::array::from_fn(|p| source.wrapping_add(p / 3 * 3 * stride));
    let vectors: [*const V::Elem; N] = std::array::from_fn(|n| {
        let at = n * V::LANES;
        weights.start.wrapping_add(at / CHANNEL_BLOCK * weights.block_stride + at % CHANNEL_BLOCK)
    });
    for c in 0..channels {
        // SAFETY: the caller vouches for row `c` of the strip and for channel `c` of every pixel.
        unsafe {
            let mut row = [V::splat(V::Elem::ZERO); N];
            for (row, vector) in row.iter_mut().zip(vectors) {
                *row = V::load_from(vector.add(c * CHANNEL_BLOCK));
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*bases[p].add(p % 3 * stride + c));
                for (sum, row) in sums.iter_mut().zip(row) {
                    *sum = x.mul_add(row, *sum);
                }
            }
        }
    }
}
