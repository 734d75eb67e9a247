//! Up and down scans: a vector holds neighbouring columns, the state of a whole row is carried in the L1 cache.

use candle_core::WithDType;

use super::{Recurrence, Scanned, Sums};
use crate::element::Element;
use crate::simd::{Kernel, Vector};

/// One plane's scan along its columns.
pub(super) struct Forward<'a, E> {
    pub x: &'a [E],
    pub width: usize,
    pub recurrence: Recurrence<E>,
    pub map: Option<&'a [E]>,
    pub out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, width, recurrence, map, out } = self;
        let height = x.len() / width;
        let mut h = vec![E::ZERO; width];
        for step in 0..height {
            let row = recurrence.direction.line(step, height) * width;
            let row = row..row + width;
            let (a, b) = recurrence.at_step(step);
            match map {
                None => scan_row::<V>(a, b, &mut h, &x[row.clone()], &mut out[row]),
                Some(map) => scan_row_weighted::<V>(a, b, &mut h, &x[row.clone()], &map[row.clone()], &mut out[row]),
            }
        }
    }
}

#[inline(always)]
fn scan_row<V: Vector>(a: V::Elem, b: V::Elem, h: &mut [V::Elem], x: &[V::Elem], out: &mut [V::Elem]) {
    let (a, b) = (V::splat(a), V::splat(b));
    for (h, (x, out)) in h.chunks_mut(V::LANES).zip(x.chunks(V::LANES).zip(out.chunks_mut(V::LANES))) {
        let next = a.mul_add(V::load(h), b.add(V::load(x))).relu();
        next.store(h);
        next.store(out);
    }
}

#[inline(always)]
fn scan_row_weighted<V: Vector>(
    a: V::Elem,
    b: V::Elem,
    h: &mut [V::Elem],
    x: &[V::Elem],
    map: &[V::Elem],
    out: &mut [V::Elem],
) {
    let (a, b) = (V::splat(a), V::splat(b));
    let (h, x) = (h.chunks_mut(V::LANES), x.chunks(V::LANES));
    for (h, (x, (map, out))) in h.zip(x.zip(map.chunks(V::LANES).zip(out.chunks_mut(V::LANES)))) {
        let next = a.mul_add(V::load(h), b.add(V::load(x))).relu();
        next.store(h);
        next.mul(V::load(map)).store(out);
    }
}

/// The gradient of one plane's scan along its columns: adds to `dx`, returns the sums for a and b.
pub(super) struct Backward<'a, 'dx, E>(pub Scanned<'a, 'dx, E>);

impl<E: Element> Kernel<E> for Backward<'_, '_, E> {
    type Output = Sums;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) -> Sums {
        let Scanned { h, grad, map, width, recurrence, dx } = self.0;
        let height = h.len() / width;
        let row = |step: usize| {
            let start = recurrence.direction.line(step, height) * width;
            start..start + width
        };
        let mut sums = Sums::default();
        let mut g = vec![E::ZERO; width];
        let ones = vec![E::ONE; width];
        let border = vec![E::ZERO; width];
        for step in (0..height).rev() {
            let at = row(step);
            let map = map.map_or(&ones[..], |map| &map[at.clone()]);
            let before = if step == 0 { &border[..] } else { &h[row(step - 1)] };
            let (h, grad) = (&h[at.clone()], &grad[at.clone()]);
            let inputs = Inputs { h, grad, map, before };
            let row_sums = gradient_row::<V>(recurrence.a, inputs, &mut g, &mut dx[at]);
            if step > 0 {
                sums.a += row_sums.a;
                sums.b += row_sums.b;
            }
        }
        sums
    }
}

/// One row of everything that the gradient reads; `before` is the row of h that the scan met before this one.
struct Inputs<'a, E> {
    h: &'a [E],
    grad: &'a [E],
    map: &'a [E],
    before: &'a [E],
}

#[inline(always)]
fn gradient_row<V: Vector>(a: V::Elem, inputs: Inputs<'_, V::Elem>, g: &mut [V::Elem], dx: &mut [V::Elem]) -> Sums {
    let Inputs { h, grad, map, before } = inputs;
    let a = V::splat(a);
    let zero = V::splat(V::Elem::ZERO);
    let (mut sum_a, mut sum_b) = (zero, zero);
    let reads = (h.chunks(V::LANES).zip(before.chunks(V::LANES))).zip(grad.chunks(V::LANES).zip(map.chunks(V::LANES)));
    for (((h, before), (grad, map)), (g, dx)) in reads.zip(g.chunks_mut(V::LANES).zip(dx.chunks_mut(V::LANES))) {
        let arriving = V::load(grad).mul(V::load(map));
        let next = a.mul_add(V::load(g), arriving).where_positive(V::load(h));
        next.store(g);
        next.add(V::load(dx)).store(dx);
        sum_a = next.mul_add(V::load(before), sum_a);
        sum_b = next.add(sum_b);
    }
    // f64 between rows, so that the sums of a large plane keep f32's precision.
    Sums { a: sum_a.sum().to_f64(), b: sum_b.sum().to_f64() }
}
