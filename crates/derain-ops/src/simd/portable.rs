use super::{Vector, assert_tile};
use crate::element::Element;

/// `N` elements in an array: loops that compilers vectorise with whatever the target has.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<E, const N: usize>([E; N]);

impl<E: Element, const N: usize> Lanes<E, N> {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(E, E) -> E) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl<E: Element, const N: usize> Vector for Lanes<E, N> {
    type Elem = E;
    const LANES: usize = N;
    const FUSED: bool = false;

    #[inline(always)]
    fn splat(value: E) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    fn load(source: &[E]) -> Self {
        let mut lanes = [E::ZERO; N];
        let count = source.len().min(N);
        lanes[..count].copy_from_slice(&source[..count]);
        Self(lanes)
    }

    #[inline(always)]
    fn store(self, target: &mut [E]) {
        let count = target.len().min(N);
        target[..count].copy_from_slice(&self.0[..count]);
    }

    #[inline(always)]
    unsafe fn load_from(source: *const E) -> Self {
        // SAFETY: the caller vouches for N elements; an array has its element's alignment.
        Self(unsafe { *source.cast::<[E; N]>() })
    }

    #[inline(always)]
    unsafe fn store_to(self, target: *mut E) {
        // SAFETY: the caller vouches for N elements; an array has its element's alignment.
        unsafe { *target.cast::<[E; N]>() = self.0 }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |x, y| x + y)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |x, y| x - y)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |x, y| x * y)
    }

    /// Not `f32::mul_add`: where the target has no FMA that is a call into the C library for every element.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul(factor).add(addend)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        self.map(Self::splat(E::ZERO), |x, zero| if x < zero { zero } else { x })
    }

    #[inline(always)]
    fn where_positive(self, gate: Self) -> Self {
        self.map(gate, |x, gate| if gate > E::ZERO { x } else { E::ZERO })
    }

    #[inline(always)]
    fn sum(self) -> E {
        self.0.into_iter().fold(E::ZERO, |sum, x| sum + x)
    }

    #[inline(always)]
    fn transpose(source: &[E], source_stride: usize, target: &mut [E], target_stride: usize) {
        assert_tile(source.len(), source_stride, N);
        assert_tile(target.len(), target_stride, N);
        for row in 0..N {
            for column in 0..N {
                target[column * target_stride + row] = source[row * source_stride + column];
            }
        }
    }
}
