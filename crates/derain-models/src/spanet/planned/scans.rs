//! One band's four scans, rectangle by rectangle from left to right, each handed on while it is in the cache.

use std::ops::Range;

use derain_ops::irnn::{Direction, RectScans};
use derain_ops::rect::{Patch, Rect};

use super::edges::BandEdges;
use super::tiles;

/// Columns of a rectangle: four scans of it, 32 rows and 32 channels are some 850 kB.
pub(super) const COLUMNS: usize = 48;

/// A thread's memory for the scans of one band.
#[derive(Default)]
pub(super) struct Scratch {
    /// The features of a rectangle and of the pixels around it.
    features: Patch<f32>,
    results: [Patch<f32>; 4],
    /// The scan to the right, two columns before the rectangle.
    right: Vec<f32>,
    /// For each rectangle, the scan to the left two columns behind it.
    left: Vec<f32>,
    /// The features' column before the rectangle, kept because a caller may write over the band as it goes.
    before: Vec<f32>,
    state: Vec<f32>,
}

/// A band of features and its place in the picture.
#[derive(Clone)]
pub(super) struct BandPlace<'a> {
    pub(super) rows: Range<usize>,
    /// The picture's height and width.
    pub(super) size: (usize, usize),
    pub(super) channels: usize,
    pub(super) edges: BandEdges<'a>,
    /// The picture's weights of the directions, `[H, W, 4]`.
    pub(super) maps: Option<Rect<'a, f32>>,
}

/// What lies inside the picture of a rectangle with one pixel around it, within that rectangle.
#[derive(Clone)]
struct Inside {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl BandPlace<'_> {
    /// Rows of the band and one above and below.
    fn window_rows(&self) -> usize {
        self.rows.len() + 2
    }

    fn inside(&self, column: usize, columns: usize) -> Inside {
        let (height, width) = self.size;
        let (top, left) = (usize::from(self.rows.start == 0), usize::from(column == 0));
        let bottom = self.window_rows() - usize::from(self.rows.end == height);
        let right = columns + 2 - usize::from(column + columns == width);
        Inside { rows: top..bottom, columns: left..right }
    }
}

impl Scratch {
    /// Calls `work` for each rectangle of the band with its column, columns and the four scans in the order of [`Direction`]; these hold
    /// `extent(rows) x extent(columns)` pixels from one pixel above and to the left of the rectangle, zeros outside the picture.
    ///
    /// `band` gives the band's features; `work` may write over those of its rectangle.
    pub(super) fn run<B>(
        &mut self,
        place: &BandPlace<'_>,
        scans: &RectScans,
        extent: impl Fn(usize) -> usize,
        band: &mut B,
        features: impl Fn(&B) -> Rect<'_, f32>,
        mut work: impl FnMut(&mut B, (usize, usize), [Rect<'_, f32>; 4]),
    ) {
        let (window_rows, channels) = (place.window_rows(), place.channels);
        let width = place.size.1;
        self.fill_left(place, scans, features(band));
        self.right.resize(window_rows * channels, 0.0);
        for (tile, (column, columns)) in tiles(width, COLUMNS).enumerate() {
            self.load(place, features(band), column, columns);
            let inside = place.inside(column, columns);
            for direction in Direction::ALL {
                let (height, across) = (extent(place.rows.len()), extent(columns));
                let mut result = self.results[direction as usize].shaped(height, across, channels);
                if (inside.rows.len(), inside.columns.len()) != (height, across) {
                    result.fill(0.0);
                }
                self.scan(place, scans, direction, (tile, column, columns), inside.clone());
            }
            work(band, (column, columns), std::array::from_fn(|direction| self.results[direction].rect()));
        }
    }

    /// One direction of the loaded rectangle.
    fn scan(
        &mut self,
        place: &BandPlace<'_>,
        scans: &RectScans,
        direction: Direction,
        (tile, column, columns): (usize, usize, usize),
        inside: Inside,
    ) {
        let channels = place.channels;
        let (height, width) = place.size;
        let (window, result) = (self.features.rect(), &mut self.results[direction as usize]);
        let mut result = result.rect_mut();
        let mut part = |columns: Range<usize>, starts: bool, state: &mut [f32]| {
            let (row, rows) = (inside.rows.start, inside.rows.len());
            let source = window.part(row, columns.start, rows, columns.len());
            let maps = place
                .maps
                .map(|maps| maps.part(place.rows.start + row - 1, column + columns.start - 1, rows, columns.len()));
            let out = result.part(row, columns.start, rows, columns.len());
            scans.scan(direction, source, starts, state, maps, Some(out));
        };
        // Where the picture's pixels of a whole row around the rectangle lie within that row, and those of a column.
        let across = (column + inside.columns.start - 1) * channels..(column + inside.columns.end - 1) * channels;
        let along = inside.rows.start * channels..inside.rows.end * channels;
        self.state.clear();
        match direction {
            Direction::Down => {
                self.state.extend_from_slice(&place.edges.down[across]);
                part(inside.columns.clone(), place.rows.start == 0, &mut self.state);
            }
            Direction::Up => {
                self.state.extend_from_slice(&place.edges.up[across]);
                part(inside.columns.clone(), place.rows.end + 1 >= height, &mut self.state);
            }
            Direction::Right => {
                // The next rectangle starts from the state two columns before it, which is met on the way.
                let state = &mut self.right[along];
                let (first, second) = (inside.columns.start..columns, columns..inside.columns.end);
                let starts = column == 0;
                if !first.is_empty() {
                    part(first.clone(), starts, state);
                }
                self.state.extend_from_slice(state);
                part(second, starts && first.is_empty(), &mut self.state);
            }
            Direction::Left => {
                let states = &self.left[tile * place.window_rows() * channels..][along];
                self.state.extend_from_slice(states);
                part(inside.columns.clone(), column + columns + 1 >= width, &mut self.state);
            }
        }
    }

    /// The features of a rectangle and of the pixels around it, zeros outside the picture.
    fn load(&mut self, place: &BandPlace<'_>, band: Rect<'_, f32>, column: usize, columns: usize) {
        let (window_rows, channels) = (place.window_rows(), place.channels);
        let left = column as isize - 1;
        let mut window = self.features.shaped(window_rows, columns + 2, channels);
        let width = place.size.1;
        let row = |values| Rect::new(values, 1, width, channels, width * channels);
        window.part(0, 0, 1, columns + 2).copy_window(row(place.edges.above), (0, left));
        window.part(1, 0, window_rows - 2, columns + 2).copy_window(band, (0, left));
        window.part(window_rows - 1, 0, 1, columns + 2).copy_window(row(place.edges.below), (0, left));
        self.before.resize(window_rows * channels, 0.0);
        for (row, before) in self.before.chunks_mut(channels).enumerate() {
            let row = window.row_mut(row);
            if column > 0 {
                row[..channels].copy_from_slice(before);
            }
            before.copy_from_slice(&row[columns * channels..(columns + 1) * channels]);
        }
    }

    /// Scans the band to the left once, keeping what each rectangle starts from.
    fn fill_left(&mut self, place: &BandPlace<'_>, scans: &RectScans, band: Rect<'_, f32>) {
        let (window_rows, channels, width) = (place.window_rows(), place.channels, place.size.1);
        let column_length = window_rows * channels;
        self.left.resize(width.div_ceil(COLUMNS) * column_length, 0.0);
        self.state.resize(column_length, 0.0);
        let row = |values| Rect::new(values, 1, width, channels, width * channels);
        let (above, below) = (row(place.edges.above), row(place.edges.below));
        let mut end = width;
        for (tile, (column, columns)) in tiles(width, COLUMNS).enumerate().rev() {
            let start = (column + columns + 1).min(end);
            if start < end {
                let (first, rest) = self.state.split_at_mut(channels);
                let (middle, last) = rest.split_at_mut((window_rows - 2) * channels);
                for (source, state) in [(above, first), (band, middle), (below, last)] {
                    let source = source.part(0, start, source.rows(), end - start);
                    scans.scan(Direction::Left, source, end == width, state, None, None);
                }
            }
            self.left[tile * column_length..][..column_length].copy_from_slice(&self.state);
            end = start;
        }
    }
}
