//! The gates on rectangles of pixels with their channels side by side, for inference: fused with the convolution that
//! computes them, band by band, all gates never exist at once.

use super::cpu;
use crate::Isa;
use crate::element::Element;
use crate::rect::{CHANNEL_BLOCK, Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// One step: `cell` becomes c', `hidden` h.
///
/// A pixel of `gates` holds, for each [`CHANNEL_BLOCK`] channels of the cell, the block's pre-activations of i, then f,
/// g and o.
///
/// # Panics
/// When the rectangles' sizes do not fit each other, or the cell's channels are no whole blocks.
pub fn step(isa: Isa, gates: Rect<'_, f32>, cell: RectMut<'_, f32>, hidden: RectMut<'_, f32>) {
    let shape = (cell.rows(), cell.columns(), cell.channels());
    assert!(shape == (hidden.rows(), hidden.columns(), hidden.channels()), "states of other sizes");
    assert!(shape == (gates.rows(), gates.columns(), gates.channels() / 4), "gates of another size");
    assert!(cell.channels().is_multiple_of(CHANNEL_BLOCK), "channels that are no whole blocks");
    f32::run(isa, Step { gates, cell, hidden });
}

struct Step<'a> {
    gates: Rect<'a, f32>,
    cell: RectMut<'a, f32>,
    hidden: RectMut<'a, f32>,
}

impl Kernel<f32> for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = f32>>(self) {
        let Self { gates, mut cell, mut hidden } = self;
        for row in 0..cell.rows() {
            let (gates, _) = gates.row(row).as_chunks::<CHANNEL_BLOCK>();
            let (cells, _) = cell.row_mut(row).as_chunks_mut::<CHANNEL_BLOCK>();
            let (hidden, _) = hidden.row_mut(row).as_chunks_mut::<CHANNEL_BLOCK>();
            let (gates, _) = gates.as_chunks::<4>();
            for (([i, f, g, o], cell), hidden) in gates.iter().zip(cells).zip(hidden) {
                for at in 0..CHANNEL_BLOCK {
                    (cell[at], hidden[at]) = cpu::step::<V, f32>([i[at], f[at], g[at], o[at]], cell[at]);
                }
            }
        }
    }
}
