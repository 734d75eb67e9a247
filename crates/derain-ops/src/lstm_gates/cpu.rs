//! The gates on the CPU: slices in, slices out, pieces of pictures in parallel.

use rayon::prelude::*;

use super::sigmoid::Sigmoid;
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, buffer};

/// Elements of the cell that one task takes.
const PIECE: usize = 1 << 13;

/// Writes h and then c', `[2, B, C, H, W]`, to `out`; `planes` are the dimensions of the cell.
pub(super) fn forward<E: Sigmoid>(isa: Isa, planes: Planes, gates: &[E], cell: &[E], out: &mut [E]) {
    let of_picture = planes.channels * planes.pixels();
    let (hidden, next) = out.split_at_mut(planes.len());
    let outputs = hidden.par_chunks_mut(of_picture).zip(next.par_chunks_mut(of_picture));
    let pictures = (outputs, gates.par_chunks(4 * of_picture), cell.par_chunks(of_picture));
    pictures.into_par_iter().for_each(|((hidden, next), gates, cell)| {
        let outputs = hidden.par_chunks_mut(PIECE).zip(next.par_chunks_mut(PIECE));
        outputs.zip(cell.par_chunks(PIECE)).enumerate().for_each(|(piece, ((hidden, next), cell))| {
            let gates = quarters(gates).map(|gate| &gate[piece * PIECE..][..cell.len()]);
            E::run(isa, Forward { gates, cell, hidden, next });
        });
    });
}

/// The gradients of a sum weighted by an incoming gradient.
pub(super) struct Gradients<E> {
    /// `[B, 4·C, H, W]`.
    pub gates: Vec<E>,
    /// `[B, C, H, W]`.
    pub cell: Vec<E>,
}

/// Computes [`Gradients`] from the inputs, the result of [`forward`] and its gradient.
pub(super) fn backward<E: Sigmoid>(
    isa: Isa,
    planes: Planes,
    gates: &[E],
    cell: &[E],
    packed: &[E],
    grad: &[E],
) -> Gradients<E> {
    let of_picture = planes.channels * planes.pixels();
    let mut d_gates = buffer::zeroed(gates.len());
    let mut d_cell = buffer::zeroed(cell.len());
    let next = &packed[planes.len()..];
    let (d_hidden, d_next) = grad.split_at(planes.len());
    let outputs = d_gates.par_chunks_mut(4 * of_picture).zip(d_cell.par_chunks_mut(of_picture));
    outputs.enumerate().for_each(|(picture, (d_gates, d_cell))| {
        let [i, f, g, o] = quarters_mut(d_gates).map(|gate| gate.par_chunks_mut(PIECE));
        let outputs = (i, f, g, o, d_cell.par_chunks_mut(PIECE));
        outputs.into_par_iter().enumerate().for_each(|(piece, (i, f, g, o, d_cell))| {
            let start = picture * of_picture + piece * PIECE;
            let at = start..start + d_cell.len();
            let of_gates = &gates[4 * picture * of_picture..][..4 * of_picture];
            let gates = quarters(of_gates).map(|gate| &gate[piece * PIECE..][..d_cell.len()]);
            let [cell, next, d_hidden, d_next] = [cell, next, d_hidden, d_next].map(|all| &all[at.clone()]);
            E::run(isa, Backward { gates, cell, next, d_hidden, d_next, d_gates: [i, f, g, o], d_cell });
        });
    });
    Gradients { gates: d_gates, cell: d_cell }
}

/// c' and h of one element.
#[inline(always)]
pub(super) fn step<V: Vector, E: Sigmoid>([i, f, g, o]: [E; 4], c: E) -> (E, E) {
    let next = f.sigmoid::<V>().value() * c + i.sigmoid::<V>().times(g.tanh::<V>()).value();
    (next, o.sigmoid::<V>().times(next.tanh::<V>()).value())
}

/// One piece; all slices have one length.
struct Forward<'a, E> {
    gates: [&'a [E]; 4],
    cell: &'a [E],
    hidden: &'a mut [E],
    next: &'a mut [E],
}

impl<E: Sigmoid> Kernel<E> for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { gates: [i, f, g, o], cell, hidden, next } = self;
        let reads = (i.iter().zip(f)).zip(g.iter().zip(o)).zip(cell);
        for ((((i, f), (g, o)), c), (hidden, next)) in reads.zip(hidden.iter_mut().zip(next)) {
            (*next, *hidden) = step::<V, E>([*i, *f, *g, *o], *c);
        }
    }
}

/// One piece; all slices have one length.
struct Backward<'a, E> {
    gates: [&'a [E]; 4],
    cell: &'a [E],
    /// c'.
    next: &'a [E],
    d_hidden: &'a [E],
    d_next: &'a [E],
    d_gates: [&'a mut [E]; 4],
    d_cell: &'a mut [E],
}

impl<E: Sigmoid> Kernel<E> for Backward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let Self { gates: [i, f, g, o], cell, next, d_hidden, d_next, d_gates: [d_i, d_f, d_g, d_o], d_cell } = self;
        let gates = (i.iter().zip(f)).zip(g.iter().zip(o));
        let reads = gates.zip(cell.iter().zip(next)).zip(d_hidden.iter().zip(d_next));
        let writes = (d_i.iter_mut().zip(d_f)).zip(d_g.iter_mut().zip(d_o)).zip(d_cell);
        for (read, write) in reads.zip(writes) {
            let ((((i, f), (g, o)), (c, next)), (d_hidden, d_next)) = read;
            let (((d_i, d_f), (d_g, d_o)), d_cell) = write;
            let (i, f) = (i.sigmoid::<V>().value(), f.sigmoid::<V>().value());
            let (g, o) = (g.tanh::<V>().value(), o.sigmoid::<V>().value());
            let t = next.tanh::<V>().value();
            let d = *d_next + *d_hidden * o * (E::ONE - t * t);
            *d_i = d * g * i * (E::ONE - i);
            *d_f = d * *c * f * (E::ONE - f);
            *d_g = d * i * (E::ONE - g * g);
            *d_o = *d_hidden * t * o * (E::ONE - o);
            *d_cell = d * f;
        }
    }
}

/// i, f, g and o of one picture.
fn quarters<E>(all: &[E]) -> [&[E]; 4] {
    let quarter = all.len() / 4;
    std::array::from_fn(|index| &all[index * quarter..(index + 1) * quarter])
}

fn quarters_mut<E>(all: &mut [E]) -> [&mut [E]; 4] {
    let (first, second) = all.split_at_mut(all.len() / 2);
    let quarter = first.len() / 2;
    let ((i, f), (g, o)) = (first.split_at_mut(quarter), second.split_at_mut(quarter));
    [i, f, g, o]
}
