//! Vectors of 64 bytes, one cache line, for kernels over pictures as they are stored.
//!
//! Always 64 lanes, as one or more hardware vectors: rows are arrays of known length, so loads need neither masks nor
//! checks. Compilers keep counters of such kernels in memory when they are written as loops over arrays, which took
//! five times as long; hence these types.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use super::Isa;

/// Lanes of every vector.
pub(crate) const LANES: usize = 64;

/// One byte for each lane.
pub(crate) type Row = [u8; LANES];

/// Bytes of as many RGB pixels as there are lanes.
pub(crate) const PIXELS: usize = 3 * LANES;

/// 64 unsigned bytes that are computed on together.
///
/// As for [`Vector`](super::Vector), types that stand for hardware vectors are private to this module and reach a
/// kernel only through [`run`], which has checked the processor.
pub(crate) trait Bytes: Copy {
    /// Where something holds: bytes of 255 and 0, or a bit for each lane.
    type Condition: Copy;

    /// The same value in every lane.
    fn splat(value: u8) -> Self;
    /// A row.
    fn load(row: &Row) -> Self;
    /// Writes a row.
    fn store(self, row: &mut Row);
    /// The smaller of two, lane by lane.
    fn min(self, other: Self) -> Self;
    /// The larger of two, lane by lane.
    fn max(self, other: Self) -> Self;
    /// The sum, at most 255.
    fn add_saturating(self, other: Self) -> Self;
    /// One more where the condition holds, modulo 256.
    fn count(self, condition: Self::Condition) -> Self;
    /// Bits that are set in either.
    fn or(self, other: Self) -> Self;
    /// Whether two are equal.
    fn equals(self, other: Self) -> Self::Condition;
    /// `self` where the condition holds, else `other`.
    fn or_else(self, condition: Self::Condition, other: Self) -> Self;
    /// The value plus 128 modulo 256: unsigned bytes become signed ones in the same order.
    fn signed(self) -> Self;
    /// Whether `self > other` as signed bytes: one instruction where unsigned ones take two.
    fn above_signed(self, other: Self) -> Self::Condition;
    /// BT.601 luma of RGB pixels, rounded down: floor((299 R + 587 G + 114 B) / 1000).
    fn luma(pixels: &[u8; PIXELS]) -> Self;

    /// Whether `self >= other`.
    #[inline(always)]
    fn at_least(self, other: Self) -> Self::Condition {
        self.max(other).equals(self)
    }
}

/// A computation written once for all kinds of byte vectors.
pub(crate) trait BytesKernel {
    /// What the computation returns.
    type Output;
    /// Runs it. Implementations are `#[inline(always)]`, to be compiled with the caller's target features.
    fn run<B: Bytes>(self) -> Self::Output;
}

/// Runs a kernel with the byte vectors of an instruction set; one that the processor lacks gives way to the portable
/// form.
pub(crate) fn run<K: BytesKernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && Isa::Avx512.is_supported_for_bytes() {
            // SAFETY: the processor has AVX-512F and AVX-512BW, as the line above has asked.
            return unsafe { avx512::run(kernel) };
        }
        if isa != Isa::Portable && Isa::Avx2.is_supported_for_bytes() {
            // SAFETY: the processor has AVX2, as the line above has asked.
            return unsafe { avx2::run(kernel) };
        }
    }
    let _ = isa;
    kernel.run::<portable::Lanes>()
}

/// Asks for bytes that will be read soon: what lies in hundreds of places at once, processors do not foresee.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LANES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: part of every x86-64 processor; a hint that reads nothing and may be given for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
