//! What a ReLU does to a gradient, from the ReLU's result.

use rayon::prelude::*;

use crate::Isa;
use crate::buffer::{self, PIECE};
use crate::element::Element;
use crate::simd::{Kernel, Vector};

/// `values` where `gate` > 0, else 0. Not a copy and then [`keep_where_positive`]: from warm caches that took a tenth
/// longer.
pub(crate) fn where_positive<E: Element>(values: &[E], gate: &[E]) -> Vec<E> {
    let mut out = buffer::zeroed(values.len());
    let pieces = out.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE).zip(gate.par_chunks(PIECE)));
    pieces.for_each(|(out, (values, gate))| {
        for (out, (&value, &gate)) in out.iter_mut().zip(values.iter().zip(gate)) {
            *out = if gate > E::ZERO { value } else { E::ZERO };
        }
    });
    out
}

/// The same in place.
pub(crate) fn keep_where_positive<E: Element>(isa: Isa, values: &mut [E], gate: &[E]) {
    let pieces = values.par_chunks_mut(PIECE).zip(gate.par_chunks(PIECE));
    pieces.for_each(|(values, gate)| E::run(isa, Gate { values, gate }));
}

struct Gate<'a, E> {
    values: &'a mut [E],
    gate: &'a [E],
}

impl<E: Element> Kernel<E> for Gate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        for (values, gate) in self.values.chunks_mut(V::LANES).zip(self.gate.chunks(V::LANES)) {
            V::load(values).where_positive(V::load(gate)).store(values);
        }
    }
}
