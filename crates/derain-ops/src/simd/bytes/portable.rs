use super::{Bytes, LANES, PIXELS, Row};

/// Bytes in an array: loops that compilers vectorise with whatever the target has.
#[derive(Clone, Copy)]
pub(super) struct Lanes(Row);

impl Lanes {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(u8, u8) -> u8) -> Self {
        let mut out = [0; LANES];
        for (out, (a, b)) in out.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            *out = f(a, b);
        }
        Self(out)
    }
}

impl Bytes for Lanes {
    type Condition = Self;

    #[inline(always)]
    fn splat(value: u8) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(row: &Row) -> Self {
        Self(*row)
    }

    #[inline(always)]
    fn store(self, row: &mut Row) {
        *row = self.0;
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.map(other, u8::min)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.map(other, u8::max)
    }

    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        self.map(other, u8::saturating_add)
    }

    #[inline(always)]
    fn count(self, condition: Self) -> Self {
        self.map(condition, u8::wrapping_sub)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.map(other, |a, b| a | b)
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self {
        self.map(other, |a, b| if a == b { u8::MAX } else { 0 })
    }

    #[inline(always)]
    fn or_else(self, condition: Self, other: Self) -> Self {
        let kept = self.map(condition, |a, condition| a & condition);
        kept.or(other.map(condition, |b, condition| b & !condition))
    }

    #[inline(always)]
    fn signed(self) -> Self {
        self.map(self, |a, _| a ^ 128)
    }

    #[inline(always)]
    fn above_signed(self, other: Self) -> Self {
        self.map(other, |a, b| if a.cast_signed() > b.cast_signed() { u8::MAX } else { 0 })
    }

    /// With 299 = 8·37 + 3, 587 = 8·73 + 3 and 114 = 8·14 + 2, an eighth of the sum fits 16 bits, and
    /// floor(floor(x / 8) / 125) is floor(x / 1000).
    #[inline(always)]
    fn luma(pixels: &[u8; PIXELS]) -> Self {
        let mut out = [0; LANES];
        for (out, &[r, g, b]) in out.iter_mut().zip(pixels.as_chunks::<3>().0) {
            let [r, g, b] = [r, g, b].map(u16::from);
            let eighth = 37 * r + 73 * g + 14 * b + (3 * r + 3 * g + 2 * b) / 8;
            *out = (eighth / 125) as u8;
        }
        Self(out)
    }
}
