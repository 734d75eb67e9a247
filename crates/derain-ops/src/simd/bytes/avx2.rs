//! AVX2: two vectors of 32 bytes.
//!
//! Everything here rests on one fact: `U8x64` is private to `bytes` and reaches kernels only through [`run`], whose
//! caller has checked that the processor has AVX2.

use std::arch::x86_64::*;

use super::{Bytes, BytesKernel, PIXELS, Row};

/// Runs a kernel compiled for AVX2.
///
/// # Safety
/// The processor must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run<K: BytesKernel>(kernel: K) -> K::Output {
    kernel.run::<U8x64>()
}

#[derive(Clone, Copy)]
pub(super) struct U8x64(__m256i, __m256i);

impl Bytes for U8x64 {
    type Condition = Self;

    #[inline(always)]
    fn splat(value: u8) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        let all = unsafe { _mm256_set1_epi8(value as i8) };
        Self(all, all)
    }

    #[inline(always)]
    fn load(row: &Row) -> Self {
        let start = row.as_ptr().cast::<__m256i>();
        // SAFETY: AVX2 is there; a row holds two vectors, which need no alignment.
        unsafe { Self(_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row) {
        let start = row.as_mut_ptr().cast::<__m256i>();
        // SAFETY: AVX2 is there; a row holds two vectors, which need no alignment.
        unsafe {
            _mm256_storeu_si256(start, self.0);
            _mm256_storeu_si256(start.add(1), self.1);
        }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_min_epu8(self.0, other.0), _mm256_min_epu8(self.1, other.1)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_max_epu8(self.0, other.0), _mm256_max_epu8(self.1, other.1)) }
    }

    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_adds_epu8(self.0, other.0), _mm256_adds_epu8(self.1, other.1)) }
    }

    #[inline(always)]
    fn count(self, condition: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_sub_epi8(self.0, condition.0), _mm256_sub_epi8(self.1, condition.1)) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_or_si256(self.0, other.0), _mm256_or_si256(self.1, other.1)) }
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_cmpeq_epi8(self.0, other.0), _mm256_cmpeq_epi8(self.1, other.1)) }
    }

    #[inline(always)]
    fn or_else(self, condition: Self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe {
            Self(_mm256_blendv_epi8(other.0, self.0, condition.0), _mm256_blendv_epi8(other.1, self.1, condition.1))
        }
    }

    #[inline(always)]
    fn signed(self) -> Self {
        let top = Self::splat(128);
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_xor_si256(self.0, top.0), _mm256_xor_si256(self.1, top.1)) }
    }

    #[inline(always)]
    fn above_signed(self, other: Self) -> Self {
        // SAFETY: AVX2 is there (module documentation).
        unsafe { Self(_mm256_cmpgt_epi8(self.0, other.0), _mm256_cmpgt_epi8(self.1, other.1)) }
    }

    #[inline(always)]
    fn luma(pixels: &[u8; PIXELS]) -> Self {
        let start = pixels.as_ptr();
        // SAFETY: AVX2 is there; each half of the pixels holds 96 bytes.
        unsafe { Self(luma32(start), luma32(start.add(PIXELS / 2))) }
    }
}

/// The luma of 32 pixels by the sums of the portable form: pixels are spread to four bytes, whose products with the
/// weights are added up in pairs twice.
///
/// # Safety
/// 96 bytes must be readable from `start` on.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn luma32(start: *const u8) -> __m256i {
    // The upper half of a vector is loaded 4 bytes early, so that the last load ends with the last pixel.
    let spread = _mm256_setr_epi8(
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, //
        4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1,
    );
    let whole = _mm256_set1_epi32(i32::from_le_bytes([37, 73, 14, 0]));
    let rest = _mm256_set1_epi32(i32::from_le_bytes([3, 3, 2, 0]));
    let ones = _mm256_set1_epi16(1);
    // x / 125 is x · 33555 >> 22 for every x up to 31875.
    let reciprocal = _mm256_set1_epi32(33555);
    let mut eights = [_mm256_setzero_si256(); 4];
    for (k, eight) in eights.iter_mut().enumerate() {
        // SAFETY: the caller vouches for 96 bytes; the last load ends at 24·3 + 8 + 16.
        let (low, high) = unsafe {
            let pixels = start.add(24 * k);
            (_mm_loadu_si128(pixels.cast()), _mm_loadu_si128(pixels.add(8).cast()))
        };
        let pixels = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), spread);
        let whole = _mm256_madd_epi16(_mm256_maddubs_epi16(pixels, whole), ones);
        let rest = _mm256_madd_epi16(_mm256_maddubs_epi16(pixels, rest), ones);
        let eighth = _mm256_add_epi32(whole, _mm256_srli_epi32::<3>(rest));
        *eight = _mm256_srli_epi32::<6>(_mm256_mulhi_epu16(eighth, reciprocal));
    }
    let [a, b, c, d] = eights;
    // Packing works within halves, so fours of pixels come out as a0 b0 c0 d0 a1 b1 c1 d1.
    let packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
    _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}
