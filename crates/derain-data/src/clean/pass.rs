//! Passes over all frames, with all threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use derain_ops::temporal::{Mode, Values, modes};
use image::RgbImage;
use rayon::prelude::*;

use super::choice::Ranks;
use super::store::{Frames, UNIT};
use super::{CleanOptions, ModeOf};
use crate::Error;

/// Most and fewest bytes of each frame that one task takes: with hundreds of frames even the fewest outweigh its cost.
const MOST_OF_PART: usize = 512 * UNIT;
const FEWEST_OF_PART: usize = 16 * UNIT;

/// Bytes of each frame that one task takes of a band: so few that every thread gets some. Counts are whole numbers, so
/// it changes no bit.
fn part_of(band: usize) -> usize {
    (band / (4 * rayon::current_num_threads())).next_multiple_of(UNIT).clamp(FEWEST_OF_PART, MOST_OF_PART)
}

/// Says what share of the work is done.
pub(super) struct Progress<'a> {
    report: &'a (dyn Fn(f64) + Sync),
    done: AtomicUsize,
    all: usize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(report: &'a (dyn Fn(f64) + Sync), all: usize) -> Self {
        Self { report, done: AtomicUsize::new(0), all }
    }

    pub(super) fn advance(&self, steps: usize) {
        let done = steps + self.done.fetch_add(steps, Ordering::Relaxed);
        (self.report)(done as f64 / self.all as f64);
    }
}

/// The ranks of all modes.
pub(super) fn ranks(frames: &Frames, options: &CleanOptions, progress: &Progress<'_>) -> Result<Ranks, Error> {
    let none = || Ranks::new(frames.count());
    let mut all = none();
    frames.for_each_band(options, |band, slices| {
        let length = part_of(band.len());
        let parts = (0..band.len()).into_par_iter().step_by(length).map(|start| {
            let part = start..band.len().min(start + length);
            let mut found = none();
            add_ranks(&cut(slices, part.clone()), options, &mut found)?;
            progress.advance(part.len());
            Ok(found)
        });
        let found = parts.try_reduce(none, |mut sum, other| {
            sum.merge(&other);
            Ok::<_, Error>(sum)
        })?;
        all.merge(&found);
        Ok(())
    })?;
    Ok(all)
}

fn add_ranks(slices: &[&[u8]], options: &CleanOptions, ranks: &mut Ranks) -> Result<(), Error> {
    let values = match options.mode_of {
        ModeOf::Luma => Values::Luma,
        ModeOf::Channels => Values::Bytes,
    };
    let count = slices.first().map_or(0, |slice| slice.len()) / values.bytes();
    let mut found = vec![Mode::default(); count];
    modes(slices, values, options.mode_tie, &mut found)?;
    found.into_iter().for_each(|mode| ranks.add(mode));
    Ok(())
}

/// A picture each of whose bytes comes from the same byte of all frames.
pub(super) fn picture(
    frames: &Frames,
    options: &CleanOptions,
    part: impl Fn(&[&[u8]], &mut [u8]) -> Result<(), Error> + Sync,
) -> Result<RgbImage, Error> {
    let mut bytes = vec![0; frames.bytes()];
    frames.for_each_band(options, |band, slices| {
        let length = part_of(band.len());
        bytes[band].par_chunks_mut(length).enumerate().try_for_each(|(index, out)| {
            let start = index * length;
            part(&cut(slices, start..start + out.len()), out)
        })
    })?;
    let (width, height) = frames.size();
    // The bytes are those of that size, so there is always a picture.
    Ok(RgbImage::from_raw(width, height, bytes).unwrap_or_default())
}

/// A part of every frame.
fn cut<'a>(slices: &[&'a [u8]], part: Range<usize>) -> Vec<&'a [u8]> {
    slices.iter().map(|slice| &slice[part.clone()]).collect()
}
