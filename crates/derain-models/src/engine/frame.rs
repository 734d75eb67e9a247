//! Passes over a picture: bands of rows in parallel.

use std::ops::{Range, RangeInclusive};
use std::sync::{Mutex, PoisonError};

use derain_ops::rect::{Rect, RectMut};
use derain_ops::reuse::{Reusable, Reused};
use rayon::prelude::*;

use super::{Store, Work};
use crate::Result;

/// Rows of a band of a picture: few enough that every thread gets some, a multiple of the fewest that are allowed.
pub(crate) fn band_rows(height: usize, allowed: RangeInclusive<usize>) -> usize {
    let (fewest, most) = allowed.into_inner();
    let wanted = height / (4 * rayon::current_num_threads());
    wanted.next_multiple_of(fewest).clamp(fewest, most)
}

/// A picture's size, how it is cut into bands, and the threads' memory.
pub(crate) struct Frame<'a, S: Reusable> {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows of a band, the last one perhaps fewer; a multiple of every convolution's grid.
    pub(crate) band_rows: usize,
    /// Memory of bands that nobody is working on.
    idle: Mutex<Vec<Thread<S>>>,
    work: Work<'a>,
}

/// What working on one band takes: the network's scratch, which outlives the frame, and bands that were read from a
/// file or are to be written to one, which do not.
struct Thread<S: Reusable> {
    scratch: Reused<S>,
    input: Vec<f32>,
    output: Vec<f32>,
}

/// One band of a pass, for the network to work on.
pub(crate) struct Band<'a> {
    /// The band's number.
    pub(crate) index: usize,
    /// Its rows within the picture.
    pub(crate) rows: Range<usize>,
    /// The input's rows that are at hand, all those that the pass has asked for, and the first one's number.
    pub(crate) input: Rect<'a, f32>,
    pub(crate) input_row: usize,
    /// The band's rows of the output.
    pub(crate) output: RectMut<'a, f32>,
}

impl Band<'_> {
    /// Copies a window of the input whose corner may lie outside the picture; what does becomes 0.
    pub(crate) fn window(&self, row: isize, column: isize, target: &mut RectMut<'_, f32>) {
        target.copy_window(self.input, (row - self.input_row as isize, column));
    }
}

/// What a pass reads: a store, the channels of its pixels and how many rows beyond a band are needed.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) store: &'a Store,
    pub(crate) channels: usize,
    pub(crate) reach: usize,
}

impl<'a, S: Reusable> Frame<'a, S> {
    /// `work` is what all passes will do.
    pub(crate) fn new(height: usize, width: usize, band_rows: usize, work: Work<'a>) -> Self {
        Self { height, width, band_rows, idle: Mutex::default(), work }
    }

    pub(crate) fn bands(&self) -> usize {
        self.height.div_ceil(self.band_rows)
    }

    pub(crate) fn rows_of(&self, band: usize) -> Range<usize> {
        let start = band * self.band_rows;
        start..(start + self.band_rows).min(self.height)
    }

    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Runs `work` on every band of `output`, whose pixels have `channels`; `cost` is its number of multiply-adds a
    /// pixel.
    pub(crate) fn pass(
        &self,
        input: Input<'_>,
        (output, channels): (&mut Store, usize),
        cost: usize,
        work: impl Fn(&mut S, Band<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let row = self.width * channels;
        let band = |index: usize, thread: &mut Thread<S>, out: &mut [f32]| {
            let rows = self.rows_of(index);
            let needed = rows.start.saturating_sub(input.reach)..(rows.end + input.reach).min(self.height);
            let (rect, input_row) = self.read(input, needed, &mut thread.input)?;
            let output = RectMut::new(out, rows.len(), self.width, channels, row);
            work(thread.scratch.get(), Band { index, rows, input: rect, input_row, output })
        };
        match output {
            Store::Memory(values) => {
                let bands = values[..self.height * row].par_chunks_mut(self.band_rows * row).enumerate();
                bands.try_for_each(|(index, out)| self.on_band(index, cost, |thread| band(index, thread, out)))
            }
            Store::Spool(spool) => (0..self.bands()).into_par_iter().try_for_each(|index| {
                self.on_band(index, cost, |thread| {
                    let rows = self.rows_of(index);
                    let mut out = std::mem::take(&mut thread.output);
                    out.resize(self.band_rows * row, 0.0);
                    let done = band(index, thread, &mut out[..rows.len() * row])
                        .and_then(|()| spool.write(rows.start * row, &out[..rows.len() * row]));
                    thread.output = out;
                    done
                })
            }),
        }
    }

    /// As [`Self::pass`], with the output's own rows as the only input: what `work` finds in the band's output.
    pub(crate) fn update(
        &self,
        (store, channels): (&mut Store, usize),
        cost: usize,
        work: impl Fn(&mut S, usize, RectMut<'_, f32>) -> Result<()> + Sync,
    ) -> Result<()> {
        let row = self.width * channels;
        let band = |index: usize, scratch: &mut S, values: &mut [f32]| {
            let rows = values.len() / row;
            work(scratch, index, RectMut::new(values, rows, self.width, channels, row))
        };
        match store {
            Store::Memory(values) => {
                let bands = values[..self.height * row].par_chunks_mut(self.band_rows * row).enumerate();
                bands.try_for_each(|(index, values)| {
                    self.on_band(index, cost, |thread| band(index, thread.scratch.get(), values))
                })
            }
            Store::Spool(spool) => (0..self.bands()).into_par_iter().try_for_each(|index| {
                self.on_band(index, cost, |Thread { scratch, output, .. }| {
                    let rows = self.rows_of(index);
                    output.resize(self.band_rows * row, 0.0);
                    let values = &mut output[..rows.len() * row];
                    spool.read(rows.start * row, values)?;
                    band(index, scratch.get(), values)?;
                    spool.write(rows.start * row, values)
                })
            }),
        }
    }

    /// Calls `work` for each of `parts`, which may run at the same time, with each of `ranges`' number and rows in
    /// turn.
    pub(crate) fn walk<P: Send>(
        &self,
        store: &Store,
        channels: usize,
        ranges: &[Range<usize>],
        parts: &mut [P],
        work: impl Fn(&mut P, usize, Rect<'_, f32>) + Sync,
    ) -> Result<()> {
        let mut buffer = Vec::new();
        let input = Input { store, channels, reach: 0 };
        if let Store::Memory(_) = store {
            let (all, _) = self.read(input, 0..self.height, &mut buffer)?;
            parts.par_iter_mut().for_each(|part| {
                for (index, rows) in ranges.iter().enumerate() {
                    work(part, index, all.part(rows.start, 0, rows.len(), self.width));
                }
            });
            return Ok(());
        }
        // All parts take from what was read, or each would read the file.
        for (index, rows) in ranges.iter().enumerate() {
            let (rect, _) = self.read(input, rows.clone(), &mut buffer)?;
            parts.par_iter_mut().for_each(|part| work(part, index, rect));
        }
        Ok(())
    }

    /// Rows of a store and the first one's number: all rows where they are in memory.
    fn read<'s>(
        &self,
        input: Input<'s>,
        rows: Range<usize>,
        buffer: &'s mut Vec<f32>,
    ) -> Result<(Rect<'s, f32>, usize)> {
        let row = self.width * input.channels;
        match input.store {
            Store::Memory(values) => Ok((Rect::new(values, self.height, self.width, input.channels, row), 0)),
            Store::Spool(spool) => {
                let length = rows.len() * row;
                if buffer.len() < length {
                    buffer.resize(length, 0.0);
                }
                spool.read(rows.start * row, &mut buffer[..length])?;
                Ok((Rect::new(buffer, rows.len(), self.width, input.channels, row), rows.start))
            }
        }
    }

    /// Calls `work` with memory for a band, then says how far the run has come. No lock is held meanwhile: `work` and
    /// whoever is told may start parallel work of their own. rayon may hand this thread another band while it waits, so
    /// a held lock would deadlock.
    fn on_band(&self, index: usize, cost: usize, work: impl FnOnce(&mut Thread<S>) -> Result<()>) -> Result<()> {
        self.work.check()?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle().pop();
        let mut thread =
            found.unwrap_or_else(|| Thread { scratch: Reused::take(), input: Vec::new(), output: Vec::new() });
        let done = work(&mut thread);
        idle().push(thread);
        done?;
        self.work.advance((self.rows_of(index).len() * self.width * cost) as u64);
        self.work.check()
    }
}
