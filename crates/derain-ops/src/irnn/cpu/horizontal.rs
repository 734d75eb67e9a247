//! Right and left scans: a vector holds the same column of neighbouring rows, reached through small transposed tiles.
//!
//! As many rows as a vector has lanes are transposed into a strip of columns that stays in the cache; the scan then
//! walks the strip, and the results are transposed back.

use candle_core::WithDType;

use super::{Recurrence, Scanned, Sums};
use crate::element::Element;
use crate::simd::{Kernel, Vector};

/// Columns after which gradient sums go from f32 lanes to f64.
const SUM_COLUMNS: usize = 64;

/// Rows scanned to the right and to the left at once: two independent chains hide each other's latency.
pub(super) struct Forward<'a, E> {
    pub x: &'a [E],
    pub width: usize,
    pub sides: [Side<'a, E>; 2],
}

/// One direction of a horizontal scan.
pub(super) struct Side<'a, E> {
    pub recurrence: Recurrence<E>,
    pub map: Option<&'a [E]>,
    pub out: &'a mut [E],
}

impl<E: Element> Kernel<E> for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { x, width, sides: [mut first, mut second] } = self;
        let strip = width * V::LANES;
        let mut columns = vec![E::ZERO; 3 * strip];
        let (columns, results) = columns.split_at_mut(strip);
        let (first_result, second_result) = results.split_at_mut(strip);
        for (group, x) in x.chunks(strip).enumerate() {
            to_columns::<V>(x, width, columns);
            let zero = V::splat(E::ZERO);
            let mut h = [zero; 2];
            for step in 0..width {
                h[0] = scan_step(&first.recurrence, step, h[0], columns, width, first_result);
                h[1] = scan_step(&second.recurrence, step, h[1], columns, width, second_result);
            }
            let rows = group * strip..group * strip + x.len();
            for (side, result) in [(&mut first, &*first_result), (&mut second, &*second_result)] {
                let out = &mut side.out[rows.clone()];
                to_rows::<V>(result, width, out);
                if let Some(map) = side.map {
                    multiply::<V>(out, &map[rows.clone()]);
                }
            }
        }
    }
}

#[inline(always)]
fn scan_step<V: Vector>(
    recurrence: &Recurrence<V::Elem>,
    step: usize,
    h: V,
    columns: &[V::Elem],
    width: usize,
    result: &mut [V::Elem],
) -> V {
    let (a, b) = recurrence.at_step(step);
    let column = recurrence.direction.line(step, width) * V::LANES;
    let x = V::load(&columns[column..column + V::LANES]);
    let next = V::splat(a).mul_add(h, V::splat(b).add(x)).relu();
    next.store(&mut result[column..column + V::LANES]);
    next
}

/// The gradient of one plane's scan along its rows: adds to `dx`, returns the sums for a and b.
pub(super) struct Backward<'a, 'dx, E>(pub Scanned<'a, 'dx, E>);

impl<E: Element> Kernel<E> for Backward<'_, '_, E> {
    type Output = Sums;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) -> Sums {
        let Scanned { h, grad, map, width, recurrence, dx } = self.0;
        let strip = width * V::LANES;
        let mut scratch = vec![E::ZERO; 3 * strip];
        let (h_columns, rest) = scratch.split_at_mut(strip);
        let (g_columns, rows) = rest.split_at_mut(strip);
        let mut sums = Sums::default();
        for (group, dx) in dx.chunks_mut(strip).enumerate() {
            let at = group * strip..group * strip + dx.len();
            let rows = &mut rows[..dx.len()];
            rows.copy_from_slice(&grad[at.clone()]);
            if let Some(map) = map {
                multiply::<V>(rows, &map[at.clone()]);
            }
            to_columns::<V>(rows, width, g_columns);
            to_columns::<V>(&h[at], width, h_columns);
            gradient_strip::<V>(&recurrence, width, h_columns, g_columns, &mut sums);
            to_rows::<V>(g_columns, width, rows);
            for (dx, g) in dx.chunks_mut(V::LANES).zip(rows.chunks(V::LANES)) {
                V::load(dx).add(V::load(g)).store(dx);
            }
        }
        sums
    }
}

/// Replaces the arriving gradient in `g` by g_i, column by column against the scan.
#[inline(always)]
fn gradient_strip<V: Vector>(
    recurrence: &Recurrence<V::Elem>,
    width: usize,
    h: &[V::Elem],
    g: &mut [V::Elem],
    sums: &mut Sums,
) {
    let column = |step: usize| {
        let start = recurrence.direction.line(step, width) * V::LANES;
        start..start + V::LANES
    };
    let a = V::splat(recurrence.a);
    let zero = V::splat(V::Elem::ZERO);
    let (mut sum_a, mut sum_b, mut next) = (zero, zero, zero);
    for step in (0..width).rev() {
        let at = column(step);
        next = a.mul_add(next, V::load(&g[at.clone()])).where_positive(V::load(&h[at.clone()]));
        next.store(&mut g[at]);
        if step > 0 {
            sum_a = next.mul_add(V::load(&h[column(step - 1)]), sum_a);
            sum_b = next.add(sum_b);
        }
        if step % SUM_COLUMNS == 0 {
            sums.a += sum_a.sum().to_f64();
            sums.b += sum_b.sum().to_f64();
            (sum_a, sum_b) = (zero, zero);
        }
    }
}

#[inline(always)]
fn multiply<V: Vector>(values: &mut [V::Elem], factors: &[V::Elem]) {
    for (values, factors) in values.chunks_mut(V::LANES).zip(factors.chunks(V::LANES)) {
        V::load(values).mul(V::load(factors)).store(values);
    }
}

/// Up to `LANES` rows, as columns of `LANES` elements; lanes of missing rows become 0.
#[inline(always)]
fn to_columns<V: Vector>(rows: &[V::Elem], width: usize, columns: &mut [V::Elem]) {
    let tiled = if rows.len() == width * V::LANES { width - width % V::LANES } else { 0 };
    for start in (0..tiled).step_by(V::LANES) {
        V::transpose(&rows[start..], width, &mut columns[start * V::LANES..], V::LANES);
    }
    let height = rows.len() / width;
    for column in tiled..width {
        for lane in 0..V::LANES {
            let value = if lane < height { rows[lane * width + column] } else { V::Elem::ZERO };
            columns[column * V::LANES + lane] = value;
        }
    }
}

/// The inverse of [`to_columns`].
#[inline(always)]
fn to_rows<V: Vector>(columns: &[V::Elem], width: usize, rows: &mut [V::Elem]) {
    let tiled = if rows.len() == width * V::LANES { width - width % V::LANES } else { 0 };
    for start in (0..tiled).step_by(V::LANES) {
        V::transpose(&columns[start * V::LANES..], V::LANES, &mut rows[start..], width);
    }
    for (lane, row) in rows.chunks_mut(width).enumerate() {
        for column in tiled..width {
            row[column] = columns[column * V::LANES + lane];
        }
    }
}
