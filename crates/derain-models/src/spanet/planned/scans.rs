//! One band's four scans, rectangle by rectangle from left to right, each handed on while it is in the cache.

use std::ops::Range;

use derain_ops::conv2d::cpu::Convolution;
use derain_ops::irnn::{Direction, RectScans, Start};
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

impl Scratch {
    pub(super) fn bytes(&self) -> usize {
        let Self { features, results, right, left, before, state } = self;
        let patches = results.iter().map(Patch::bytes).sum::<usize>() + features.bytes();
        patches + [right, left, before, state].map(|values| size_of_val(&values[..])).iter().sum::<usize>()
    }
}

/// The scans of a band of features, and its place in the picture.
pub(super) struct BandScans<'a> {
    pub(super) scans: &'a RectScans,
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

impl BandScans<'_> {
    /// First column and number of columns of each rectangle, from left to right.
    pub(super) fn tiles(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator + use<> {
        tiles(self.size.1, COLUMNS)
    }

    /// Rows of the band and one above and below.
    fn window_rows(&self) -> usize {
        self.rows.len() + 2
    }

    fn inside(&self, (column, columns): (usize, usize)) -> Inside {
        let (height, width) = self.size;
        let (top, left) = (usize::from(self.rows.start == 0), usize::from(column == 0));
        let bottom = self.window_rows() - usize::from(self.rows.end == height);
        let right = columns + 2 - usize::from(column + columns == width);
        Inside { rows: top..bottom, columns: left..right }
    }
}

impl Scratch {
    /// Gets ready for a band with these features.
    pub(super) fn begin(&mut self, band: &BandScans<'_>, features: Rect<'_, f32>) {
        self.fill_left(band, features);
        self.right.resize(band.window_rows() * band.channels, 0.0);
    }

    /// The four scans of one of [`BandScans::tiles`], in the order of [`Direction`]: what `reader` reads, from one
    /// pixel above and to the left of the rectangle on, zeros outside the picture.
    ///
    /// Rectangles must come in order. Of those before, `features` may have been written over.
    pub(super) fn tile(
        &mut self,
        band: &BandScans<'_>,
        features: Rect<'_, f32>,
        reader: &Convolution<f32>,
        tile: (usize, usize),
    ) -> [Rect<'_, f32>; 4] {
        self.load(band, features, tile);
        let inside = band.inside(tile);
        let (height, across) = (reader.source_extent(band.rows.len()), reader.source_extent(tile.1));
        for direction in Direction::ALL {
            let mut result = self.results[direction as usize].shaped(height, across, band.channels);
            if (inside.rows.len(), inside.columns.len()) != (height, across) {
                result.fill(0.0);
            }
            self.scan(band, direction, tile, inside.clone());
        }
        self.results.each_ref().map(Patch::rect)
    }

    /// One direction of the loaded rectangle.
    fn scan(&mut self, band: &BandScans<'_>, direction: Direction, (column, columns): (usize, usize), inside: Inside) {
        let channels = band.channels;
        let (height, width) = band.size;
        let (window, result) = (self.features.rect(), &mut self.results[direction as usize]);
        let mut result = result.rect_mut();
        let mut part = |columns: Range<usize>, at_border: bool, state: &mut [f32]| {
            let (row, rows) = (inside.rows.start, inside.rows.len());
            let source = window.part(row, columns.start, rows, columns.len());
            let maps = band
                .maps
                .map(|maps| maps.part(band.rows.start + row - 1, column + columns.start - 1, rows, columns.len()));
            let out = result.part(row, columns.start, rows, columns.len());
            band.scans.scan(direction, source, Start::border_if(at_border), state, maps, out);
        };
        // Where the picture's pixels of a whole row around the rectangle lie within that row, and those of a column.
        let across = (column + inside.columns.start - 1) * channels..(column + inside.columns.end - 1) * channels;
        let along = inside.rows.start * channels..inside.rows.end * channels;
        self.state.clear();
        match direction {
            Direction::Down => {
                self.state.extend_from_slice(&band.edges.down[across]);
                part(inside.columns.clone(), band.rows.start == 0, &mut self.state);
            }
            Direction::Up => {
                self.state.extend_from_slice(&band.edges.up[across]);
                part(inside.columns.clone(), band.rows.end + 1 >= height, &mut self.state);
            }
            Direction::Right => {
                // The next rectangle starts from the state two columns before it, which is met on the way.
                let state = &mut self.right[along];
                let (first, second) = (inside.columns.start..columns, columns..inside.columns.end);
                let at_border = column == 0;
                if !first.is_empty() {
                    part(first.clone(), at_border, state);
                }
                self.state.extend_from_slice(state);
                part(second, at_border && first.is_empty(), &mut self.state);
            }
            Direction::Left => {
                let states = &self.left[column / COLUMNS * band.window_rows() * channels..][along];
                self.state.extend_from_slice(states);
                part(inside.columns.clone(), column + columns + 1 >= width, &mut self.state);
            }
        }
    }

    /// The features of a rectangle and of the pixels around it, zeros outside the picture.
    fn load(&mut self, band: &BandScans<'_>, features: Rect<'_, f32>, (column, columns): (usize, usize)) {
        let (window_rows, channels) = (band.window_rows(), band.channels);
        let left = column as isize - 1;
        let mut window = self.features.shaped(window_rows, columns + 2, channels);
        let width = band.size.1;
        let row = |values| Rect::new(values, 1, width, channels, width * channels);
        window.part(0, 0, 1, columns + 2).copy_window(row(band.edges.above), (0, left));
        window.part(1, 0, window_rows - 2, columns + 2).copy_window(features, (0, left));
        window.part(window_rows - 1, 0, 1, columns + 2).copy_window(row(band.edges.below), (0, left));
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
    fn fill_left(&mut self, band: &BandScans<'_>, features: Rect<'_, f32>) {
        let (window_rows, channels, width) = (band.window_rows(), band.channels, band.size.1);
        let column_length = window_rows * channels;
        self.left.resize(band.tiles().len() * column_length, 0.0);
        self.state.resize(column_length, 0.0);
        let row = |values| Rect::new(values, 1, width, channels, width * channels);
        let (above, below) = (row(band.edges.above), row(band.edges.below));
        let mut end = width;
        for (tile, (column, columns)) in band.tiles().enumerate().rev() {
            let start = (column + columns + 1).min(end);
            if start < end {
                let (first, rest) = self.state.split_at_mut(channels);
                let (middle, last) = rest.split_at_mut((window_rows - 2) * channels);
                for (source, state) in [(above, first), (features, middle), (below, last)] {
                    let source = source.part(0, start, source.rows(), end - start);
                    band.scans.advance(Direction::Left, source, Start::border_if(end == width), state);
                }
            }
            self.left[tile * column_length..][..column_length].copy_from_slice(&self.state);
            end = start;
        }
    }
}
