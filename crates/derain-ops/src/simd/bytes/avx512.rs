//! AVX-512: one vector of 64 bytes, conditions in mask registers.
//!
//! Everything here rests on one fact: `U8x64` is private to `bytes` and reaches kernels only through [`run`], whose
//! caller has checked that the processor has AVX-512F and AVX-512BW, and with them AVX2.

use std::arch::x86_64::*;

use super::avx2::luma32;
use super::{Bytes, BytesKernel, PIXELS, Row};

/// Runs a kernel compiled for AVX-512.
///
/// # Safety
/// The processor must have AVX-512F and AVX-512BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn run<K: BytesKernel>(kernel: K) -> K::Output {
    kernel.run::<U8x64>()
}

#[derive(Clone, Copy)]
pub(super) struct U8x64(__m512i);

impl Bytes for U8x64 {
    type Condition = __mmask64;

    #[inline(always)]
    fn splat(value: u8) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_set1_epi8(value as i8) })
    }

    #[inline(always)]
    fn load(row: &Row) -> Self {
        // SAFETY: AVX-512 is there; a row holds one vector, which needs no alignment.
        Self(unsafe { _mm512_loadu_si512(row.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, row: &mut Row) {
        // SAFETY: AVX-512 is there; a row holds one vector, which needs no alignment.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_min_epu8(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_max_epu8(self.0, other.0) })
    }

    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_adds_epu8(self.0, other.0) })
    }

    #[inline(always)]
    fn count(self, condition: __mmask64) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_mask_add_epi8(self.0, condition, self.0, _mm512_set1_epi8(1)) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn equals(self, other: Self) -> __mmask64 {
        // SAFETY: AVX-512 is there (module documentation).
        unsafe { _mm512_cmpeq_epu8_mask(self.0, other.0) }
    }

    #[inline(always)]
    fn at_least(self, other: Self) -> __mmask64 {
        // SAFETY: AVX-512 is there (module documentation).
        unsafe { _mm512_cmpge_epu8_mask(self.0, other.0) }
    }

    #[inline(always)]
    fn or_else(self, condition: __mmask64, other: Self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_mask_mov_epi8(other.0, condition, self.0) })
    }

    #[inline(always)]
    fn signed(self) -> Self {
        // SAFETY: AVX-512 is there (module documentation).
        Self(unsafe { _mm512_xor_si512(self.0, _mm512_set1_epi8(i8::MIN)) })
    }

    #[inline(always)]
    fn above_signed(self, other: Self) -> __mmask64 {
        // SAFETY: AVX-512 is there (module documentation).
        unsafe { _mm512_cmpgt_epi8_mask(self.0, other.0) }
    }

    #[inline(always)]
    fn luma(pixels: &[u8; PIXELS]) -> Self {
        let start = pixels.as_ptr();
        // SAFETY: AVX-512 and AVX2 are there; each half of the pixels holds 96 bytes.
        unsafe {
            let low = _mm512_castsi256_si512(luma32(start));
            Self(_mm512_inserti64x4::<1>(low, luma32(start.add(PIXELS / 2))))
        }
    }
}
