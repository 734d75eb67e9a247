//! What a band needs of its neighbours to scan on its own: their nearest rows, and the vertical scans' states.

use derain_ops::irnn::{Direction, RectScans, Start};
use derain_ops::rect::{self, Rect, RectMut};

use super::Scratch;
use crate::Result;
use crate::engine::{Frame, Store};

/// Columns of a stripe: with 32 channels, whose state is 8 kB, a part of a first-level cache.
const COLUMNS: usize = 64;

/// For each band, of rows r0..r1, four rows of features. Those that would lie outside the picture are never looked at.
#[derive(Default)]
pub(super) struct Edges {
    row: usize,
    /// Row r0 - 1.
    above: Vec<f32>,
    /// Row r1.
    below: Vec<f32>,
    /// The downward scan at row r0 - 2.
    down: Vec<f32>,
    /// The upward scan at row r1 + 1.
    up: Vec<f32>,
}

/// One band's rows.
#[derive(Clone, Copy)]
pub(super) struct BandEdges<'a> {
    pub(super) above: &'a [f32],
    pub(super) below: &'a [f32],
    pub(super) down: &'a [f32],
    pub(super) up: &'a [f32],
}

impl Edges {
    pub(super) fn of(&self, band: usize) -> BandEdges<'_> {
        let at = band * self.row..(band + 1) * self.row;
        BandEdges {
            above: &self.above[at.clone()],
            below: &self.below[at.clone()],
            down: &self.down[at.clone()],
            up: &self.up[at],
        }
    }

    /// Scans `store` once downwards and once upwards, keeping only what bands need.
    pub(super) fn fill(
        &mut self,
        frame: &Frame<'_, Scratch>,
        channels: usize,
        store: &Store,
        scans: &RectScans,
    ) -> Result<()> {
        let Self { row, above, below, down, up } = self;
        *row = frame.width * channels;
        for rows in [&mut *above, below, down, up] {
            rows.resize(frame.bands() * *row, 0.0);
        }
        let (downwards, upwards) = rayon::join(
            || fill_downwards(frame, store, scans, channels, [above, below, down]),
            || fill_upwards(frame, store, scans, channels, [up]),
        );
        downwards.and(upwards)
    }
}

/// Some columns of the picture, which are scanned on their own.
struct Stripe<'a, const N: usize> {
    column: usize,
    /// The scan at the latest row.
    state: Vec<f32>,
    /// What is kept: a row for each band.
    kept: [RectMut<'a, f32>; N],
}

impl<const N: usize> Stripe<'_, N> {
    /// The same columns of some rows of the picture.
    fn of<'r>(&self, features: Rect<'r, f32>) -> Rect<'r, f32> {
        features.part(0, self.column, features.rows(), self.state.len() / features.channels())
    }
}

/// All columns; of `kept` each holds a row for each band.
fn stripes<'a, const N: usize>(
    frame: &Frame<'_, Scratch>,
    channels: usize,
    kept: [&'a mut [f32]; N],
) -> Vec<Stripe<'a, N>> {
    let (bands, width) = (frame.bands(), frame.width);
    let kept = kept.map(|values| RectMut::new(values, bands, width, channels, width * channels));
    let stripe = |((_, column), kept): ((usize, usize), [RectMut<'a, f32>; N])| {
        let columns = COLUMNS.min(width - column);
        Stripe { column, state: vec![0.0; columns * channels], kept }
    };
    rect::tiles(kept, bands, COLUMNS).map(stripe).collect()
}

fn fill_downwards(
    frame: &Frame<'_, Scratch>,
    store: &Store,
    scans: &RectScans,
    channels: usize,
    kept: [&mut [f32]; 3],
) -> Result<()> {
    let last = frame.bands() - 1;
    // From one band's state to the next one's. Below the last band's state two rows are needed, no more.
    let range = |band| {
        let start = frame.rows_of(band).start.saturating_sub(1);
        start..if band == last { (start + 2).min(frame.height) } else { frame.rows_of(band + 1).start - 1 }
    };
    let ranges: Vec<_> = (0..=last).map(range).collect();
    frame.walk(store, channels, &ranges, &mut stripes(frame, channels, kept), |stripe, band, features| {
        let features = stripe.of(features);
        let Stripe { state, kept: [above, below, down], .. } = stripe;
        if band > 0 {
            above.row_mut(band).copy_from_slice(features.row(0));
            below.row_mut(band - 1).copy_from_slice(features.row(1));
            down.row_mut(band).copy_from_slice(state);
        }
        if band < last {
            scans.advance(Direction::Down, features, Start::border_if(ranges[band].start == 0), state);
        }
    })
}

fn fill_upwards(
    frame: &Frame<'_, Scratch>,
    store: &Store,
    scans: &RectScans,
    channels: usize,
    kept: [&mut [f32]; 1],
) -> Result<()> {
    let start = |band: usize| (frame.rows_of(band).end + 1).min(frame.height);
    let last = frame.bands() - 1;
    // The last band but one comes first.
    let range = |band| start(band)..if band + 1 == last { frame.height } else { start(band + 1) };
    let ranges: Vec<_> = (0..last).rev().map(range).collect();
    frame.walk(store, channels, &ranges, &mut stripes(frame, channels, kept), |stripe, index, features| {
        let features = stripe.of(features);
        let Stripe { state, kept: [up], .. } = stripe;
        if features.rows() > 0 {
            scans.advance(Direction::Up, features, Start::border_if(ranges[index].end == frame.height), state);
        }
        up.row_mut(last - 1 - index).copy_from_slice(state);
    })
}
