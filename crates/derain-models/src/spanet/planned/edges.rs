//! What a band needs of its neighbours to scan on its own: their nearest rows, and the vertical scans' states.

use derain_ops::irnn::{Direction, RectScans, Start};
use derain_ops::rect::Rect;
use rayon::prelude::*;

use super::Scratch;
use crate::Result;
use crate::engine::{Frame, Store};

/// Columns that one thread scans at a time.
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
            || fill_downwards(frame, store, scans, *row, [above, below, down]),
            || fill_upwards(frame, store, scans, *row, up),
        );
        downwards.and(upwards)
    }
}

fn fill_downwards(
    frame: &Frame<'_, Scratch>,
    store: &Store,
    scans: &RectScans,
    row: usize,
    [above, below, down]: [&mut [f32]; 3],
) -> Result<()> {
    let last = frame.bands() - 1;
    // From one band's state to the next one's; what lies below the last band's serves nobody, but for two rows.
    let ranges = (0..=last).map(|band| {
        let start = frame.rows_of(band).start.saturating_sub(1);
        start..if band == last { (start + 2).min(frame.height) } else { frame.rows_of(band + 1).start - 1 }
    });
    let mut state = vec![0.0; row];
    let mut band = 0;
    frame.walk(store, row / frame.width, ranges, |rows, features| {
        if band > 0 {
            let at = |band: usize| band * row..(band + 1) * row;
            above[at(band)].copy_from_slice(features.row(0));
            below[at(band - 1)].copy_from_slice(features.row(1));
            down[at(band)].copy_from_slice(&state);
        }
        if band < last {
            advance(scans, Direction::Down, features, Start::border_if(rows.start == 0), &mut state);
        }
        band += 1;
    })
}

fn fill_upwards(
    frame: &Frame<'_, Scratch>,
    store: &Store,
    scans: &RectScans,
    row: usize,
    up: &mut [f32],
) -> Result<()> {
    let start = |band: usize| (frame.rows_of(band).end + 1).min(frame.height);
    let last = frame.bands() - 1;
    let ranges = (0..last).rev().map(|band| start(band)..if band + 1 == last { frame.height } else { start(band + 1) });
    let mut state = vec![0.0; row];
    let mut bands = (0..last).rev();
    frame.walk(store, row / frame.width, ranges, |rows, features| {
        if !rows.is_empty() {
            advance(scans, Direction::Up, features, Start::border_if(rows.end == frame.height), &mut state);
        }
        if let Some(band) = bands.next() {
            up[band * row..(band + 1) * row].copy_from_slice(&state);
        }
    })
}

/// Moves a state of whole rows over some rows.
fn advance(scans: &RectScans, direction: Direction, features: Rect<'_, f32>, start: Start, state: &mut [f32]) {
    let channels = features.channels();
    state.par_chunks_mut(COLUMNS * channels).enumerate().for_each(|(piece, state)| {
        let features = features.part(0, piece * COLUMNS, features.rows(), state.len() / channels);
        scans.advance(direction, features, start, state);
    });
}
