//! The logistic function and tanh, in a form that compilers vectorise: no branches, no tables, no calls.

use crate::element::Element;
use crate::simd::Vector;

/// A value as a quotient: products of several cost one division. Denominators lie in 1..=2.
#[derive(Clone, Copy)]
pub(super) struct Quotient<E> {
    numerator: E,
    denominator: E,
}

impl<E: Element> Quotient<E> {
    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        Self { numerator: self.numerator * other.numerator, denominator: self.denominator * other.denominator }
    }

    #[inline(always)]
    pub(super) fn value(self) -> E {
        self.numerator / self.denominator
    }
}

/// Elements that gates can be computed in. `V` are the vectors of the loop around: they tell what the hardware has.
pub(super) trait Sigmoid: Element {
    /// 1 / (1 + e^-x).
    fn sigmoid<V: Vector>(self) -> Quotient<Self>;
    /// (e^x - e^-x) / (e^x + e^-x).
    fn tanh<V: Vector>(self) -> Quotient<Self>;
}

/// Where e^-x is all but the smallest normal f32: both functions are at their limits long before.
const FAR: f32 = 87.0;

impl Sigmoid for f32 {
    #[inline(always)]
    fn sigmoid<V: Vector>(self) -> Quotient<f32> {
        let (scale, fraction) = exp_minus::<V>(self.abs());
        let e = mul_add::<V>(scale, fraction, scale);
        // Below 0 the mirrored form, which keeps the relative precision of small results. NaN takes either.
        Quotient { numerator: if self >= 0.0 { 1.0 } else { e }, denominator: 1.0 + e }
    }

    #[inline(always)]
    fn tanh<V: Vector>(self) -> Quotient<f32> {
        let (scale, fraction) = exp_minus::<V>(2.0 * self.abs());
        // e^-2|x| - 1 without a difference of near equals: around 0 the scale is 1.
        let e = mul_add::<V>(scale, fraction, scale - 1.0);
        Quotient { numerator: (-e).copysign(self), denominator: 2.0 + e }
    }
}

/// f64 exists to check gradients, not for speed.
impl Sigmoid for f64 {
    #[inline(always)]
    fn sigmoid<V: Vector>(self) -> Quotient<f64> {
        Quotient { numerator: 1.0, denominator: 1.0 + (-self).exp() }
    }

    #[inline(always)]
    fn tanh<V: Vector>(self) -> Quotient<f64> {
        Quotient { numerator: f64::tanh(self), denominator: 1.0 }
    }
}

/// e^-x for x >= 0 as (2^n, e^r - 1): it is 2^n · (e^r - 1) + 2^n, with n whole and |r| <= ln 2 / 2. Beyond [`FAR`]
/// e^-`FAR`.
#[inline(always)]
fn exp_minus<V: Vector>(x: f32) -> (f32, f32) {
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
    let rounded = mul_add::<V>(x, -LOG2_E, ROUND);
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(BIAS) << FRACTION_BITS);
    let n = rounded - ROUND;
    let r = mul_add::<V>(n, -LN_2_LOW, mul_add::<V>(n, -LN_2_HIGH, -x));
    // The series up to r^7 / 7!: what follows is below 2e-8 of the sum.
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = mul_add::<V>(series, r, coefficient);
    }
    (scale, mul_add::<V>(series * r, r, r))
}

#[inline(always)]
fn mul_add<V: Vector>(x: f32, factor: f32, addend: f32) -> f32 {
    if V::FUSED { x.mul_add(factor, addend) } else { x * factor + addend }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::simd::Kernel;

    /// Both functions of every argument, as one instruction set computes them.
    struct Both<'a, E>(&'a [E]);

    impl<E: Sigmoid> Kernel<E> for Both<'_, E> {
        type Output = Vec<[E; 2]>;

        #[inline(always)]
        fn run<V: Vector<Elem = E>>(self) -> Vec<[E; 2]> {
            self.0.iter().map(|x| [x.sigmoid::<V>().value(), x.tanh::<V>().value()]).collect()
        }
    }

    /// From the smallest numbers to beyond the far ends, both signs, dense enough to meet every binade many times.
    fn arguments() -> Vec<f32> {
        (0..=f32::MAX.to_bits()).step_by(9973).map(f32::from_bits).flat_map(|x| [x, -x]).collect()
    }

    #[test]
    fn both_are_within_a_few_units_everywhere() {
        // A unit in the last place of f32, as a fraction.
        const UNIT: f64 = f32::EPSILON as f64;
        let arguments = arguments();
        let exact: Vec<f64> = arguments.iter().map(|&x| x.into()).collect();
        let expected = f64::run(Isa::Portable, Both(&exact));
        for isa in Isa::available() {
            let mut worst = [0f64; 2];
            for ((x, got), expected) in arguments.iter().zip(f32::run(isa, Both(&arguments))).zip(&expected) {
                let off = |which: usize| (f64::from(got[which]) - expected[which]).abs() / expected[which].abs();
                if *x < -FAR {
                    // Below the smallest normal f32 only the magnitude is right.
                    assert!((0.0..=2e-38).contains(&got[0]), "{isa:?}: σ({x}) = {}", got[0]);
                } else {
                    worst[0] = worst[0].max(off(0));
                }
                if x.abs() >= f32::MIN_POSITIVE {
                    worst[1] = worst[1].max(off(1));
                }
            }
            assert!(
                worst.iter().all(|&worst| worst <= 3.0 * UNIT),
                "{isa:?}: off by {:?} units",
                worst.map(|w| w / UNIT)
            );
        }
    }

    #[test]
    fn special_values() {
        let arguments = [0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
        for isa in Isa::available() {
            let [zero, infinity, minus_infinity, nan, minus_nan] =
                f32::run(isa, Both(&arguments)).try_into().expect("five results");
            assert_eq!((zero, infinity), ([0.5, 0.0], [1.0, 1.0]), "{isa:?}");
            assert!(minus_infinity[0] <= 2e-38 && minus_infinity[1] == -1.0, "{isa:?}: {minus_infinity:?}");
            assert!([nan, minus_nan].as_flattened().iter().all(|x| x.is_nan()), "{isa:?}: {nan:?} {minus_nan:?}");
        }
    }
}
