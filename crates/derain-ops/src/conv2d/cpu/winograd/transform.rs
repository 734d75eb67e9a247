//! The transforms, in one dimension; both dimensions are one after the other.

use candle_core::WithDType;

use super::{TILE, WINDOW};
use crate::simd::Vector;

/// G g for one column of kernels, lane by lane. In f64: what is rounded here is rounded for every pixel.
#[inline(always)]
pub(super) fn transformed_kernels<const LANES: usize>([a, b, c]: [[f64; LANES]; 3]) -> [[f64; LANES]; WINDOW] {
    let mut transformed = [[0.0; LANES]; WINDOW];
    for lane in 0..LANES {
        let (a, b, c) = (a[lane], b[lane], c[lane]);
        let (outer, inner) = (a + c, a * (1.0 / 24.0) + c * (1.0 / 6.0));
        transformed[0][lane] = a * (1.0 / 4.0);
        transformed[1][lane] = (outer + b) * (-1.0 / 6.0);
        transformed[2][lane] = (outer - b) * (-1.0 / 6.0);
        transformed[3][lane] = inner + b * (1.0 / 12.0);
        transformed[4][lane] = inner - b * (1.0 / 12.0);
        transformed[5][lane] = c;
    }
    transformed
}

/// Bᵀ d for one column of a window.
#[inline(always)]
pub(super) fn transformed_window<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; WINDOW]) -> [V; WINDOW] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let even = d2.mul_add(of(-4.0), d4);
    let odd = d1.mul_add(of(-4.0), d3);
    let even_wide = d4.sub(d2);
    let odd_wide = d3.sub(d1);
    [
        d0.mul_add(of(4.0), d2.mul_add(of(-5.0), d4)),
        even.add(odd),
        even.sub(odd),
        odd_wide.mul_add(of(2.0), even_wide),
        odd_wide.mul_add(of(-2.0), even_wide),
        d1.mul_add(of(4.0), d3.mul_add(of(-5.0), d5)),
    ]
}

/// Aᵀ m for one column of products.
#[inline(always)]
pub(super) fn transformed_products<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; WINDOW]) -> [V; TILE] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let (sum, difference) = (m1.add(m2), m1.sub(m2));
    let (sum_wide, difference_wide) = (m3.add(m4), m3.sub(m4));
    [
        m0.add(sum).add(sum_wide),
        difference_wide.mul_add(of(2.0), difference),
        sum_wide.mul_add(of(4.0), sum),
        difference_wide.mul_add(of(8.0), difference).add(m5),
    ]
}

/// A g for one column of a tile of gradients: what arrives at the products.
#[inline(always)]
pub(super) fn transformed_gradients<V: Vector>([a, b, c, d]: [V; TILE]) -> [V; WINDOW] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let (even, odd) = (a.add(c), b.add(d));
    let even_wide = c.mul_add(of(4.0), a);
    let odd_wide = d.mul_add(of(4.0), b);
    [a, even.add(odd), even.sub(odd), odd_wide.mul_add(of(2.0), even_wide), odd_wide.mul_add(of(-2.0), even_wide), d]
}

/// Gᵀ m for one column of a transformed kernel's gradients.
#[inline(always)]
pub(super) fn kernel_gradients<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; WINDOW]) -> [V; 3] {
    let of = |value| V::splat(V::Elem::from_f64(value));
    let (sum, difference) = (m1.add(m2), m2.sub(m1));
    let (sum_wide, difference_wide) = (m3.add(m4), m3.sub(m4));
    [
        m0.mul_add(of(1.0 / 4.0), sum_wide.mul_add(of(1.0 / 24.0), sum.mul(of(-1.0 / 6.0)))),
        difference.mul_add(of(1.0 / 6.0), difference_wide.mul(of(1.0 / 12.0))),
        sum_wide.sub(sum).mul_add(of(1.0 / 6.0), m5),
    ]
}
