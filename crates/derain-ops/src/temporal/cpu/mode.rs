//! The mode of sorted values is their longest run.

use super::super::{Mode, ModeTie};
use super::rank::count;
use super::{Bytes, LANES, Row};

/// With at most this many values, no two different ones can both occur 255 times: runs counted up to 255 tell which is
/// the longest.
const COUNTED_IN_BYTES: usize = 2 * u8::MAX as usize - 1;

/// Writes each lane's mode, the rows being sorted.
#[inline(always)]
pub(super) fn longest_run<B: Bytes>(rows: &[Row], tie: ModeTie, out: &mut [Mode]) {
    let value = match rows.len() <= COUNTED_IN_BYTES {
        true => mode_of_few::<B>(rows, tie),
        false => mode_of_many(rows, tie),
    };
    let mode = B::load(&value);
    let not_below = count::<B>(rows, |row| row.at_least(mode));
    let not_above = count::<B>(rows, |row| mode.at_least(row));
    let all = rows.len() as u16;
    for (lane, out) in out.iter_mut().enumerate() {
        *out = Mode { value: value[lane], first: all - not_below[lane], last: not_above[lane] - 1 };
    }
}

#[inline(always)]
fn mode_of_few<B: Bytes>(rows: &[Row], tie: ModeTie) -> Row {
    let one = B::splat(1);
    let (mut run, mut longest) = (one, one);
    let mut before = B::load(&rows[0]);
    let mut mode = before;
    for row in &rows[1..] {
        let row = B::load(row);
        run = run.add_saturating(one).or_else(row.equals(before), one);
        before = row;
        mode = match tie {
            ModeTie::Smallest => mode.or_else(longest.at_least(run), row),
            ModeTie::Largest => row.or_else(run.at_least(longest), mode),
        };
        longest = longest.max(run);
    }
    let mut value = [0; LANES];
    mode.store(&mut value);
    value
}

/// The same with counters of 16 bits. Clips this long are rare, so it is written for no particular vectors.
fn mode_of_many(rows: &[Row], tie: ModeTie) -> Row {
    let mut value = rows[0];
    for (lane, value) in value.iter_mut().enumerate() {
        let (mut run, mut longest) = (1u16, 1);
        for (before, row) in rows.iter().zip(&rows[1..]) {
            run = if row[lane] == before[lane] { run + 1 } else { 1 };
            let wins = match tie {
                ModeTie::Smallest => run > longest,
                ModeTie::Largest => run >= longest,
            };
            if wins {
                (longest, *value) = (run, row[lane]);
            }
        }
    }
    value
}
