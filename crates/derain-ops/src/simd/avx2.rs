//! AVX2 and FMA: 8 lanes of f32.
//!
//! Everything here rests on one fact: `F32x8` is private to `simd` and reaches kernels only through [`run`], whose
//! caller has checked that the processor has AVX2 and FMA.

use std::arch::x86_64::*;

use super::{Kernel, Vector, assert_tile};

/// Runs a kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The processor must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<K: Kernel<f32>>(kernel: K) -> K::Output {
    kernel.run::<F32x8>()
}

#[derive(Clone, Copy)]
pub(super) struct F32x8(__m256);

/// A window into this table that starts at `8 - count` selects the first `count` lanes.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask that selects the first `count` lanes.
#[inline(always)]
fn first(count: usize) -> __m256i {
    let window = &MASKS[8 - count..16 - count];
    // SAFETY: AVX2 is there (module documentation); the window holds 8 elements.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

impl Vector for F32x8 {
    type Elem = f32;
    const LANES: usize = 8;
    const FUSED: bool = true;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn load(source: &[f32]) -> Self {
        // SAFETY: AVX2 is there; 8 elements are read only where the slice has them, else masked lanes are not touched.
        Self(unsafe {
            if source.len() >= Self::LANES {
                _mm256_loadu_ps(source.as_ptr())
            } else {
                _mm256_maskload_ps(source.as_ptr(), first(source.len()))
            }
        })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        // SAFETY: AVX2 is there; 8 elements are written only where the slice has them, else masked lanes are not
        // touched.
        unsafe {
            if target.len() >= Self::LANES {
                _mm256_storeu_ps(target.as_mut_ptr(), self.0);
            } else {
                _mm256_maskstore_ps(target.as_mut_ptr(), first(target.len()), self.0);
            }
        }
    }

    #[inline(always)]
    unsafe fn load_from(source: *const f32) -> Self {
        // SAFETY: AVX2 is there; the caller vouches for 8 elements.
        Self(unsafe { _mm256_loadu_ps(source) })
    }

    #[inline(always)]
    unsafe fn store_to(self, target: *mut f32) {
        // SAFETY: AVX2 is there; the caller vouches for 8 elements.
        unsafe { _mm256_storeu_ps(target, self.0) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: FMA is there (module documentation).
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // The instruction returns its second operand when one is NaN, which keeps the NaN.
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_max_ps(_mm256_setzero_ps(), self.0) })
    }

    #[inline(always)]
    fn where_positive(self, gate: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        Self(unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate.0, _mm256_setzero_ps()), self.0) })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lanes = [0f32; 8];
        self.store(&mut lanes);
        lanes.iter().sum()
    }

    /// Pairs of rows, then groups of four, then the two 128-bit halves: 24 shuffles for 64 elements.
    #[inline(always)]
    fn transpose(source: &[f32], source_stride: usize, target: &mut [f32], target_stride: usize) {
        assert_tile(source.len(), source_stride, Self::LANES);
        assert_tile(target.len(), target_stride, Self::LANES);
        // SAFETY: AVX2 is there; both tiles lie inside their slices, as asserted.
        unsafe {
            let mut rows = [_mm256_setzero_ps(); 8];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(source.as_ptr().add(i * source_stride));
            }
            let mut quads = [_mm256_setzero_ps(); 8];
            for g in [0, 4] {
                let [low0, high0] = unpack(rows[g], rows[g + 1]);
                let [low1, high1] = unpack(rows[g + 2], rows[g + 3]);
                [quads[g], quads[g + 1]] = unpack_pairs(low0, low1);
                [quads[g + 2], quads[g + 3]] = unpack_pairs(high0, high1);
            }
            for k in 0..4 {
                let left = _mm256_permute2f128_ps::<0x20>(quads[k], quads[4 + k]);
                let right = _mm256_permute2f128_ps::<0x31>(quads[k], quads[4 + k]);
                _mm256_storeu_ps(target.as_mut_ptr().add(target_stride * k), left);
                _mm256_storeu_ps(target.as_mut_ptr().add(target_stride * (4 + k)), right);
            }
        }
    }
}

/// Interleaves single elements of two rows within each 128-bit half: the lower and the upper halves.
#[inline]
#[target_feature(enable = "avx2")]
fn unpack(a: __m256, b: __m256) -> [__m256; 2] {
    [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
}

/// The same with pairs of elements.
#[inline]
#[target_feature(enable = "avx2")]
fn unpack_pairs(a: __m256, b: __m256) -> [__m256; 2] {
    let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
    [_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b))]
}
