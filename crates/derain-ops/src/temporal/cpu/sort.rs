//! Sorts the rows of every lane with a network: the same comparisons whatever the values.

use super::{Bytes, Row};

/// Sorts each lane, the smallest value first. Merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm
/// M): about n · log2(n)² / 4 comparisons for any n, in runs of neighbours.
#[inline(always)]
pub(super) fn sort<B: Bytes>(rows: &mut [Row]) {
    let n = rows.len();
    if n < 2 {
        return;
    }
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        // Pairs (i, i + distance) with i & p == offset; the first round of each p merges halves, later ones straighten
        // the rest.
        let (mut q, mut offset, mut distance) = (top, 0, p);
        loop {
            let mut start = offset;
            while start + distance < n {
                let length = p.min(n - distance - start);
                exchange::<B>(&mut rows[start..], distance, length);
                start += 2 * p;
            }
            if q == p {
                break;
            }
            distance = q - p;
            q /= 2;
            offset = p;
        }
        p /= 2;
    }
}

/// Puts the smaller of rows i and i + distance first, for i below `length <= distance`.
#[inline(always)]
fn exchange<B: Bytes>(rows: &mut [Row], distance: usize, length: usize) {
    let (low, high) = rows.split_at_mut(distance);
    for (low, high) in low[..length].iter_mut().zip(&mut high[..length]) {
        let (a, b) = (B::load(low), B::load(high));
        a.min(b).store(low);
        a.max(b).store(high);
    }
}
