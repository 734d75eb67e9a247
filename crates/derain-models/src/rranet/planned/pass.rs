//! Passes over one scale: bands of rows in parallel, rectangle by rectangle.

use derain_ops::buffer::Aligned;
use derain_ops::conv2d::cpu::Convolution;
use derain_ops::rect::{Patch, Rect, RectMut};
use derain_ops::reuse::{Reusable, Reused};
use rayon::prelude::*;

use crate::engine::{self, Work};

/// Most and fewest rows of a band. Multiples of Winograd's tile, or bits would depend on the choice.
pub(super) const BAND_ROWS: usize = 16;
pub(super) const FEWEST_BAND_ROWS: usize = 8;
/// Columns of a rectangle, likewise: with [`BAND_ROWS`] 48 tiles, twice as many as Winograd's form takes at once.
pub(super) const COLUMNS: usize = 48;

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

    fn band_rows(self) -> usize {
        engine::band_rows(self.height, FEWEST_BAND_ROWS..=BAND_ROWS)
    }
}

/// A rectangle within a picture.
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

    /// What `convolution` reads of `picture` for this rectangle: in place, or copied to `patch` where it reaches beyond the picture.
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
    /// Calls `work` with every rectangle of the outputs: pictures of this size, each with its number of values a pixel.
    /// `cost` is the number of multiply-adds a pixel that `work` does.
    pub(super) fn pass<const N: usize>(
        &self,
        size: ScaleSize,
        outputs: [(&mut [f32], usize); N],
        cost: usize,
        work: impl Fn(&mut Scratch, &Tile, [RectMut<'_, f32>; N]) + Sync,
    ) {
        let ScaleSize { height, width } = size;
        let band_rows = size.band_rows();
        let channels = outputs.each_ref().map(|output| output.1);
        let mut pieces = outputs
            .map(|(values, channels)| values[..height * width * channels].chunks_mut(band_rows * width * channels));
        let bands =
            (0..height.div_ceil(band_rows)).map(|_| pieces.each_mut().map(|piece| piece.next().unwrap_or_default()));
        let bands: Vec<[&mut [f32]; N]> = bands.collect();
        bands.into_par_iter().enumerate().for_each_init(Reused::<Scratch>::take, |scratch, (band, values)| {
            let row = band * band_rows;
            let rows = band_rows.min(height - row);
            let mut index = 0;
            let mut band = values.map(|values| {
                let channels = channels[index];
                index += 1;
                RectMut::new(values, rows, width, channels, width * channels)
            });
            for column in (0..width).step_by(COLUMNS) {
                let columns = COLUMNS.min(width - column);
                let parts = band.each_mut().map(|band| band.part(0, column, rows, columns));
                work(scratch.get(), &Tile { row, column, rows, columns }, parts);
            }
            self.work.advance((rows * width * cost) as u64);
        });
    }
}
