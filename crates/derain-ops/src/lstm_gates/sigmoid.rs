//! The logistic function and tanh, in a form that compilers vectorise: no branches, no tables, no calls.

use crate::element::Element;

/// Elements that gates can be computed in.
pub(super) trait Sigmoid: Element {
    /// 1 / (1 + e^-x).
    fn sigmoid(self) -> Self;
    /// (e^x - e^-x) / (e^x + e^-x).
    fn tanh(self) -> Self;
}

/// Where e^-x is all but the smallest normal f32: both functions are at their limits long before.
const FAR: f32 = 87.0;

impl Sigmoid for f32 {
    #[inline(always)]
    fn sigmoid(self) -> f32 {
        let (scale, fraction) = exp_minus(self.abs());
        let e = scale * fraction + scale;
        let upper = 1.0 / (1.0 + e);
        // Below 0 the mirrored form, which keeps the relative precision of small results. NaN takes either way.
        if self >= 0.0 { upper } else { e * upper }
    }

    #[inline(always)]
    fn tanh(self) -> f32 {
        let (scale, fraction) = exp_minus(2.0 * self.abs());
        // e^-2|x| - 1 without a difference of near equals: around 0 the scale is 1.
        let e = scale * fraction + (scale - 1.0);
        (-e / (2.0 + e)).copysign(self)
    }
}

/// f64 exists to check gradients, not for speed.
impl Sigmoid for f64 {
    #[inline(always)]
    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + (-self).exp())
    }

    #[inline(always)]
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
}

/// e^-x for x >= 0 as (2^n, e^r - 1): it is 2^n · (e^r - 1) + 2^n, with n whole and |r| <= ln 2 / 2. Beyond [`FAR`] e^-`FAR`.
#[inline(always)]
fn exp_minus(x: f32) -> (f32, f32) {
    use std::f64::consts;
    const LOG2_E: f32 = consts::LOG2_E as f32;
    /// Adding 1.5 · 2^23 rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: n times the first, of nine bits, is exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = (consts::LN_2 - 355.0 / 512.0) as f32;
    /// Bits of an f32's fraction, and what its exponent is stored with.
    const FRACTION_BITS: u32 = 23;
    const BIAS: u32 = 127;

    // A comparison, not `min`, which would turn NaN into a number.
    let x = if x > FAR { FAR } else { x };
    let rounded = ROUND - x * LOG2_E;
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(BIAS) << FRACTION_BITS);
    let n = rounded - ROUND;
    let r = (-x - n * LN_2_HIGH) - n * LN_2_LOW;
    // The series up to r^7 / 7!: what follows is below 2e-8 of the sum.
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * r + coefficient;
    }
    (scale, series * r * r + r)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the smallest numbers to beyond the far ends, both signs, dense enough to meet every binade many times.
    fn arguments() -> impl Iterator<Item = f32> {
        (0..=f32::MAX.to_bits()).step_by(9973).map(f32::from_bits).flat_map(|x| [x, -x])
    }

    /// Units in the last place of f32, as a fraction.
    const UNIT: f64 = f32::EPSILON as f64;

    #[test]
    fn sigmoid_is_within_a_few_units_everywhere() {
        let mut worst = 0f64;
        for x in arguments() {
            let expected = Sigmoid::sigmoid(f64::from(x));
            let got = f64::from(x.sigmoid());
            if x < -FAR {
                // Below the smallest normal f32 only the magnitude is right.
                assert!((0.0..=2e-38).contains(&got), "σ({x}) = {got}");
                continue;
            }
            worst = worst.max((got - expected).abs() / expected);
        }
        assert!(worst <= 3.0 * UNIT, "off by {} units", worst / UNIT);
    }

    #[test]
    fn tanh_is_within_a_few_units_everywhere() {
        let mut worst = 0f64;
        for x in arguments().filter(|x| x.abs() >= f32::MIN_POSITIVE) {
            let (got, expected) = (f64::from(Sigmoid::tanh(x)), f64::from(x).tanh());
            worst = worst.max((got - expected).abs() / expected.abs());
        }
        assert!(worst <= 3.0 * UNIT, "off by {} units", worst / UNIT);
    }

    #[test]
    fn special_values() {
        assert_eq!([0.0f32.sigmoid(), f32::INFINITY.sigmoid()], [0.5, 1.0]);
        assert!(f32::NEG_INFINITY.sigmoid() <= 2e-38);
        let tanh = |x: f32| Sigmoid::tanh(x);
        assert_eq!([tanh(0.0), tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)], [0.0, 1.0, -1.0]);
        assert!(f32::NAN.sigmoid().is_nan() && tanh(f32::NAN).is_nan());
        assert!((-f32::NAN).sigmoid().is_nan() && tanh(-f32::NAN).is_nan());
    }
}
