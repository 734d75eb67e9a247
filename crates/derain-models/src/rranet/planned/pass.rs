//! Passes over one scale: its tiles in parallel.

use derain_ops::buffer::Aligned;
use derain_ops::conv2d::cpu::Convolution;
use derain_ops::rect::{Patch, Rect, RectMut, tiles};
use derain_ops::reuse::{Reusable, Reused};
use rayon::prelude::*;

use crate::engine::Work;

/// Rows and columns that a tile may have, most first. Multiples of Winograd's tiles, or bits would depend on the
/// choice; the first holds 48 of those, twice as many as that form takes at once.
pub(super) const TILE_SIZES: [(usize, usize); 4] = [(16, 48), (8, 48), (8, 24), (4, 24)];
/// At least so many tiles for each thread, or some would wait for the others for long.
const TILES_OF_THREAD: usize = 3;

/// The size of a scale's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScaleSize {
    pub(super) height: usize,
    pub(super) width: usize,
}

impl ScaleSize {
    pub(super) fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Half the size.
    pub(super) fn below(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2 }
    }

    /// `values` as a picture with `channels` values a pixel.
    pub(super) fn rect(self, values: &[f32], channels: usize) -> Rect<'_, f32> {
        Rect::new(values, self.height, self.width, channels, self.width * channels)
    }

    /// Rows and columns of a tile: so few that every thread gets some.
    fn tile(self) -> (usize, usize) {
        let wanted = TILES_OF_THREAD * rayon::current_num_threads();
        let count = |(rows, columns)| self.height.div_ceil(rows) * self.width.div_ceil(columns);
        let [.., smallest] = TILE_SIZES;
        TILE_SIZES.into_iter().find(|&size| count(size) >= wanted).unwrap_or(smallest)
    }
}

/// A rectangle of a picture, in work at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Tile {
    /// The same rectangle of a picture.
    pub(super) fn of<'a>(&self, picture: Rect<'a, f32>) -> Rect<'a, f32> {
        picture.part(self.row, self.column, self.rows, self.columns)
    }

    /// What `convolution` reads of `picture` for this tile: in place, or copied to `patch` where it reaches beyond the
    /// picture.
    pub(super) fn window<'a>(
        &self,
        convolution: &Convolution<f32>,
        picture: Rect<'a, f32>,
        patch: &'a mut Patch<f32>,
    ) -> Rect<'a, f32> {
        let reach = convolution.reach();
        let (rows, columns) = (convolution.source_extent(self.rows), convolution.source_extent(self.columns));
        if let (Some(row), Some(column)) = (self.row.checked_sub(reach), self.column.checked_sub(reach))
            && row + rows <= picture.rows()
            && column + columns <= picture.columns()
        {
            return picture.part(row, column, rows, columns);
        }
        let corner = (self.row as isize - reach as isize, self.column as isize - reach as isize);
        patch.shaped(rows, columns, picture.channels()).copy_window(picture, corner);
        patch.rect()
    }

    /// The same of a picture at twice the size of `below`, every pixel of which stands for 2x2.
    pub(super) fn window_of_doubled<'a>(
        &self,
        convolution: &Convolution<f32>,
        below: Rect<'_, f32>,
        patch: &'a mut Patch<f32>,
    ) -> Rect<'a, f32> {
        let (reach, channels) = (convolution.reach(), below.channels());
        let (rows, columns) = (convolution.source_extent(self.rows), convolution.source_extent(self.columns));
        let mut window = patch.shaped(rows, columns, channels);
        // What lies at a place of the window, if that is inside the picture.
        let at = |index: usize, extent: usize| (index.checked_sub(reach).map(|at| at / 2)).filter(|&at| at < extent);
        for row in 0..rows {
            let target = window.row_mut(row);
            let Some(source) = at(self.row + row, below.rows()) else {
                target.fill(0.0);
                continue;
            };
            let source = below.row(source);
            for (column, pixel) in target.chunks_exact_mut(channels).enumerate() {
                match at(self.column + column, below.columns()) {
                    Some(column) => pixel.copy_from_slice(&source[column * channels..][..channels]),
                    None => pixel.fill(0.0),
                }
            }
        }
        patch.rect()
    }
}

/// A thread's memory.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) windows: [Patch<f32>; 3],
    pub(super) wide: Patch<f32>,
    pub(super) narrow: Patch<f32>,
    pub(super) features: Patch<f32>,
    pub(super) form: Aligned<f32>,
}

impl Reusable for Scratch {
    fn bytes(&self) -> usize {
        let Self { windows: [a, b, c], wide, narrow, features, form } = self;
        [a, b, c, wide, narrow, features].map(Patch::bytes).iter().sum::<usize>() + form.bytes()
    }
}

/// All passes over a picture.
pub(super) struct Run<'a> {
    /// What they do together.
    pub(super) work: Work<'a>,
}

impl Run<'_> {
    /// Calls `work` with every tile of the outputs: pictures of this size, each with its number of values a pixel.
    /// `cost` is the number of multiply-adds a pixel that `work` does. Once the run is stopped, outputs are left as
    /// they are.
    pub(super) fn pass<const N: usize>(
        &self,
        size: ScaleSize,
        outputs: [(&mut [f32], usize); N],
        cost: usize,
        work: impl Fn(&mut Scratch, &Tile, [RectMut<'_, f32>; N]) + Sync,
    ) {
        let ScaleSize { height, width } = size;
        let outputs = outputs.map(|(values, channels)| RectMut::new(values, height, width, channels, width * channels));
        let (rows, columns) = size.tile();
        let tiles: Vec<_> = tiles(outputs, rows, columns).collect();
        tiles.into_par_iter().for_each_init(Reused::<Scratch>::take, |scratch, ((row, column), parts)| {
            if self.work.is_stopped() {
                return;
            }
            let (rows, columns) = (rows.min(height - row), columns.min(width - column));
            work(scratch.get(), &Tile { row, column, rows, columns }, parts);
            self.work.advance((rows * columns * cost) as u64);
        });
    }
}
