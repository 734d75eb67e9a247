//! Vectors of one instruction set behind one small trait, so that every kernel is written once.
//!
//! A kernel is a struct that holds its arguments and implements [`Kernel`]; `Element::run` instantiates it under the
//! `#[target_feature]` of the chosen [`Isa`]. Slices shorter than a vector are loaded and stored under a mask, so a
//! loop over `chunks(V::LANES)` needs no separate tail, and out-of-bounds access cannot be written.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod bytes;
mod isa;
mod portable;
#[cfg(test)]
mod tests;

pub use isa::Isa;
pub(crate) use portable::Lanes;

use crate::element::Element;

/// `LANES` elements that are computed on together.
///
/// Types that stand for hardware vectors are private to this module and reach a kernel only through [`run_f32`],
/// which has checked the processor: that is what makes their methods sound.
pub trait Vector: Copy {
    /// What a lane holds.
    type Elem: Element;
    /// Elements of one vector.
    const LANES: usize;
    /// Whether the hardware fuses a product and a sum: where it does not, `f32::mul_add` is a call into the C library.
    const FUSED: bool;

    /// The same value in every lane.
    fn splat(value: Self::Elem) -> Self;
    /// The first `LANES` elements; a shorter slice leaves the other lanes 0.
    fn load(source: &[Self::Elem]) -> Self;
    /// Writes the first `LANES` elements, or as many lanes as a shorter slice holds.
    fn store(self, target: &mut [Self::Elem]);
    /// `LANES` elements from `source` on.
    ///
    /// # Safety
    /// They must lie inside one allocation that may be read.
    unsafe fn load_from(source: *const Self::Elem) -> Self;
    /// Writes `LANES` elements from `target` on.
    ///
    /// # Safety
    /// They must lie inside one allocation that may be written.
    unsafe fn store_to(self, target: *mut Self::Elem);
    /// Lane by lane sum.
    fn add(self, other: Self) -> Self;
    /// Lane by lane difference.
    fn sub(self, other: Self) -> Self;
    /// Lane by lane product.
    fn mul(self, other: Self) -> Self;
    /// `self · factor + addend`, fused where the hardware does it.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `max(self, 0)`; NaN stays NaN, so that a diverging network is noticed.
    fn relu(self) -> Self;
    /// `self` where `gate > 0`, else 0.
    fn where_positive(self, gate: Self) -> Self;
    /// The sum of the lanes, always added in the same order.
    fn sum(self) -> Self::Elem;
    /// Transposes a tile of `LANES x LANES` elements whose rows lie `source_stride` and `target_stride` apart.
    ///
    /// # Panics
    /// When a slice is too short for its tile.
    fn transpose(source: &[Self::Elem], source_stride: usize, target: &mut [Self::Elem], target_stride: usize);
}

/// A computation written once for all vector types.
pub trait Kernel<E> {
    /// What the computation returns.
    type Output;
    /// Runs it. Implementations are `#[inline(always)]`, to be compiled with the caller's target features.
    fn run<V: Vector<Elem = E>>(self) -> Self::Output;
}

/// Runs a kernel with the f32 vectors of an instruction set; one that the processor lacks gives way to the portable
/// form.
pub(crate) fn run_f32<K: Kernel<f32>>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_supported() {
            // SAFETY: the processor has AVX-512F, as the line above has asked.
            return unsafe { avx512::run(kernel) };
        }
        if isa == Isa::Avx2 && isa.is_supported() {
            // SAFETY: the processor has AVX2 and FMA, as the line above has asked.
            return unsafe { avx2::run(kernel) };
        }
    }
    let _ = isa;
    kernel.run::<Lanes<f32, 8>>()
}

/// Panics unless a slice holds `lanes` rows of `lanes` elements that lie `stride` apart.
#[inline(always)]
fn assert_tile(length: usize, stride: usize, lanes: usize) {
    assert!(stride >= lanes && length >= stride * (lanes - 1) + lanes, "a tile does not fit its slice");
}
