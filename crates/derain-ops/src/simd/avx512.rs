//! AVX-512F: 16 lanes of f32.
//!
//! Everything here rests on one fact: `F32x16` is private to `simd` and reaches kernels only through [`run`], whose
//! caller has checked that the processor has AVX-512F.

use std::arch::x86_64::*;

use super::{Kernel, Vector, assert_tile};

/// Runs a kernel compiled for AVX-512F.
///
/// # Safety
/// The processor must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn run<K: Kernel<f32>>(kernel: K) -> K::Output {
    kernel.run::<F32x16>()
}

#[derive(Clone, Copy)]
pub(super) struct F32x16(__m512);

/// The mask that selects the first `count` lanes, `count < 16`.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    (1u16 << count) - 1
}

impl Vector for F32x16 {
    type Elem = f32;
    const LANES: usize = 16;
    const FUSED: bool = true;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(source: &[f32]) -> Self {
        // SAFETY: AVX-512F is there; 16 elements are read only where the slice has them, else masked lanes are not
        // touched.
        Self(unsafe {
            if source.len() >= Self::LANES {
                _mm512_loadu_ps(source.as_ptr())
            } else {
                _mm512_maskz_loadu_ps(first(source.len()), source.as_ptr())
            }
        })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        // SAFETY: AVX-512F is there; 16 elements are written only where the slice has them, else masked lanes are not
        // touched.
        unsafe {
            if target.len() >= Self::LANES {
                _mm512_storeu_ps(target.as_mut_ptr(), self.0);
            } else {
                _mm512_mask_storeu_ps(target.as_mut_ptr(), first(target.len()), self.0);
            }
        }
    }

    #[inline(always)]
    unsafe fn load_from(source: *const f32) -> Self {
        // SAFETY: AVX-512F is there; the caller vouches for 16 elements.
        Self(unsafe { _mm512_loadu_ps(source) })
    }

    #[inline(always)]
    unsafe fn store_to(self, target: *mut f32) {
        // SAFETY: AVX-512F is there; the caller vouches for 16 elements.
        unsafe { _mm512_storeu_ps(target, self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // The instruction returns its second operand when one is NaN, which keeps the NaN.
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
    }

    #[inline(always)]
    fn where_positive(self, gate: Self) -> Self {
        // SAFETY: AVX-512F is there (module documentation).
        Self(unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate.0, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(positive, self.0)
        })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: AVX-512F is there (module documentation).
        unsafe { _mm512_reduce_add_ps(self.0) }
    }

    /// Pairs of rows, then groups of four, then the four 128-bit quarters across groups: 64 shuffles for 256 elements.
    #[inline(always)]
    fn transpose(source: &[f32], source_stride: usize, target: &mut [f32], target_stride: usize) {
        assert_tile(source.len(), source_stride, Self::LANES);
        assert_tile(target.len(), target_stride, Self::LANES);
        // SAFETY: AVX-512F is there; both tiles lie inside their slices, as asserted.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(source.as_ptr().add(i * source_stride));
            }
            let mut quads = [_mm512_setzero_ps(); 16];
            for g in (0..16).step_by(4) {
                let [low0, high0] = unpack(rows[g], rows[g + 1]);
                let [low1, high1] = unpack(rows[g + 2], rows[g + 3]);
                [quads[g], quads[g + 1]] = unpack_pairs(low0, low1);
                [quads[g + 2], quads[g + 3]] = unpack_pairs(high0, high1);
            }
            for k in 0..4 {
                let even01 = _mm512_shuffle_f32x4::<0x88>(quads[k], quads[4 + k]);
                let odd01 = _mm512_shuffle_f32x4::<0xdd>(quads[k], quads[4 + k]);
                let even23 = _mm512_shuffle_f32x4::<0x88>(quads[8 + k], quads[12 + k]);
                let odd23 = _mm512_shuffle_f32x4::<0xdd>(quads[8 + k], quads[12 + k]);
                let column = |j: usize| target_stride * (4 * j + k);
                let out = target.as_mut_ptr();
                _mm512_storeu_ps(out.add(column(0)), _mm512_shuffle_f32x4::<0x88>(even01, even23));
                _mm512_storeu_ps(out.add(column(1)), _mm512_shuffle_f32x4::<0x88>(odd01, odd23));
                _mm512_storeu_ps(out.add(column(2)), _mm512_shuffle_f32x4::<0xdd>(even01, even23));
                _mm512_storeu_ps(out.add(column(3)), _mm512_shuffle_f32x4::<0xdd>(odd01, odd23));
            }
        }
    }
}

/// Interleaves single elements of two rows within each 128-bit quarter: the lower and the upper halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn unpack(a: __m512, b: __m512) -> [__m512; 2] {
    [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)]
}

/// The same with pairs of elements.
#[inline]
#[target_feature(enable = "avx512f")]
fn unpack_pairs(a: __m512, b: __m512) -> [__m512; 2] {
    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
    [_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b))]
}
