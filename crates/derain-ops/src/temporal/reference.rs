//! The readable version: sorts every pixel's values.

use super::{Mode, ModeTie, RGB, Rank, Values};

/// The values of one pixel or byte over time, sorted.
fn over_time(frames: &[&[u8]], values: Values, at: usize) -> Vec<u8> {
    let value = |frame: &&[u8]| match values {
        Values::Bytes => frame[at],
        Values::Luma => {
            let [r, g, b] = [0, 1, 2].map(|channel| u32::from(frame[RGB * at + channel]));
            ((299 * r + 587 * g + 114 * b) / 1000) as u8
        }
    };
    let mut sorted: Vec<u8> = frames.iter().map(value).collect();
    sorted.sort_unstable();
    sorted
}

pub(super) fn modes(frames: &[&[u8]], values: Values, tie: ModeTie, out: &mut [Mode]) {
    for (at, out) in out.iter_mut().enumerate() {
        let sorted = over_time(frames, values, at);
        let count = |value: u8| sorted.iter().filter(|&&other| other == value).count();
        let most = (0..=255).map(count).max().unwrap_or(0);
        let mut winners = (0..=255).filter(|&value| count(value) == most);
        let winner = match tie {
            ModeTie::Smallest => winners.next(),
            ModeTie::Largest => winners.next_back(),
        };
        let value = winner.unwrap_or(0);
        let first = sorted.iter().filter(|&&other| other < value).count();
        *out = Mode { value, first: first as u16, last: (first + most - 1) as u16 };
    }
}

pub(super) fn at_rank(frames: &[&[u8]], rank: Rank, out: &mut [u8]) {
    for (at, out) in out.iter_mut().enumerate() {
        let sorted = over_time(frames, Values::Bytes, at);
        let low = u32::from(sorted[rank.below]);
        let high = u32::from(*sorted.get(rank.below + 1).unwrap_or(&0));
        let hundredths = u32::from(rank.hundredths);
        *out = ((low * (100 - hundredths) + high * hundredths) / 100) as u8;
    }
}
