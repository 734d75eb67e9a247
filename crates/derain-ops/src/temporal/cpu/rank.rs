//! The value at a rank by bisection of 0..=255: eight rounds of counting, no branches, no sorting.

use super::super::Rank;
use super::{Bytes, LANES, Row};

/// Each lane's value at a rank. The rows hold [signed](Bytes::signed) bytes, which compare faster.
#[inline(always)]
pub(super) fn at_rank<B: Bytes>(rows: &[Row], rank: Rank) -> Row {
    let low = match rows.len() <= u8::MAX.into() {
        true => bisect_few::<B>(rows, rank.below),
        false => bisect_many::<B>(rows, rank.below),
    };
    if rank.hundredths == 0 {
        return low;
    }
    let high = next::<B>(rows, &low, rank.below + 1);
    let mut out = low;
    for lane in 0..LANES {
        let step = u16::from(high[lane] - low[lane]) * u16::from(rank.hundredths) / 100;
        out[lane] += step as u8;
    }
    out
}

/// The value at a rank is the largest that no more than `rank` values are less than. For as many rows as a byte counts.
#[inline(always)]
fn bisect_few<B: Bytes>(rows: &[Row], rank: usize) -> Row {
    let most = B::splat(rank as u8);
    let mut value = B::splat(0);
    for bit in (0..u8::BITS).rev() {
        let trial = value.or(B::splat(1 << bit));
        let bound = trial.signed();
        let mut less = B::splat(0);
        for row in rows {
            less = less.count(bound.above_signed(B::load(row)));
        }
        value = trial.or_else(most.at_least(less), value);
    }
    let mut out = [0; LANES];
    value.store(&mut out);
    out
}

/// The same for more rows.
#[inline(always)]
fn bisect_many<B: Bytes>(rows: &[Row], rank: usize) -> Row {
    let mut value = [0; LANES];
    for bit in (0..u8::BITS).rev() {
        let trial = value.map(|value: u8| value | 1 << bit);
        let bound = B::load(&trial).signed();
        let less = count::<B>(rows, |row| bound.above_signed(row));
        for lane in 0..LANES {
            value[lane] = if usize::from(less[lane]) <= rank { trial[lane] } else { value[lane] };
        }
    }
    value
}

/// Each lane's value at rank `wanted`, where `low` is the value one rank below.
#[inline(always)]
fn next<B: Bytes>(rows: &[Row], low: &Row, wanted: usize) -> Row {
    let bound = B::load(low).signed();
    let above = count::<B>(rows, |row| row.above_signed(bound));
    let most = B::splat(u8::MAX);
    let mut smallest = most;
    for row in rows {
        let row = B::load(row);
        smallest = smallest.min(row.signed().or_else(row.above_signed(bound), most));
    }
    let mut out = [0; LANES];
    smallest.store(&mut out);
    for lane in 0..LANES {
        out[lane] = if rows.len() - usize::from(above[lane]) > wanted { low[lane] } else { out[lane] };
    }
    out
}

/// How many rows fulfil a condition, for each lane. Counted in bytes for as many rows as they can count.
#[inline(always)]
pub(super) fn count<B: Bytes>(rows: &[Row], condition: impl Fn(B) -> B::Condition) -> [u16; LANES] {
    let mut total = [0; LANES];
    for rows in rows.chunks(u8::MAX.into()) {
        let mut counts = B::splat(0);
        for row in rows {
            counts = counts.count(condition(B::load(row)));
        }
        let mut stored = [0; LANES];
        counts.store(&mut stored);
        for lane in 0..LANES {
            total[lane] += u16::from(stored[lane]);
        }
    }
    total
}
