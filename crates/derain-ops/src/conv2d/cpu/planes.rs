//! Convolution of `[B, C, H, W]` tensors: rectangles of pixels in parallel, each brought into the kernels' layout.

mod backward;

pub use backward::flipped;
pub(in crate::conv2d) use backward::{Wanted, backward};
use rayon::prelude::*;

use super::super::{Activation, Conv2dOptions};
use super::{Convolution, Epilogue, Weights};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::interleave::{Interleave, Separate};
use crate::rect::{Patch, Rect, padded};
use crate::reuse::{Reusable, Reused};
use crate::{Isa, Planes, Result};

/// Columns of a rectangle: with [`RECT_ROWS`] and 32 channels some 400 kB, well inside a second-level cache.
pub(super) const RECT_COLUMNS: usize = 96;
/// Most rows of a rectangle; a multiple of every form's grid.
const RECT_ROWS: usize = 32;
/// Fewest rows of a rectangle; likewise a multiple.
const FEWEST_ROWS: usize = 8;

/// Rows of a rectangle; those side by side are one task. Where rectangles start changes no bit (they lie on the form's
/// grid), so the number of threads may choose.
pub(super) fn rect_rows(batch: usize, height: usize) -> usize {
    let wanted = batch * height / (4 * rayon::current_num_threads());
    wanted.next_multiple_of(FEWEST_ROWS).clamp(FEWEST_ROWS, RECT_ROWS)
}

/// The operation's input besides x and parameters, of which each rectangle's [`Epilogue`] takes its part: for each
/// picture perhaps residual planes `[O, H, W]`, then perhaps a scale `[H, W]`.
#[derive(Clone, Copy, Default)]
pub(in crate::conv2d) struct Extras<'a, E> {
    pub values: &'a [E],
    /// Residual planes of a picture: O or 0.
    pub residuals: usize,
    /// Scale planes of a picture: 1 or 0.
    pub scales: usize,
}

impl<'a, E> Extras<'a, E> {
    fn residual(&self, picture: usize, pixels: usize) -> Option<&'a [E]> {
        let start = picture * (self.residuals + self.scales) * pixels;
        (self.residuals > 0).then(|| &self.values[start..][..self.residuals * pixels])
    }

    fn scale(&self, picture: usize, pixels: usize) -> Option<&'a [E]> {
        let start = (picture * (self.residuals + self.scales) + self.residuals) * pixels;
        (self.scales > 0).then(|| &self.values[start..][..pixels])
    }
}

/// What a convolution was run with.
#[derive(Clone, Copy)]
pub(in crate::conv2d) struct Call<'a, E> {
    pub isa: Isa,
    pub planes: Planes,
    pub x: &'a [E],
    pub weights: Weights<'a, E>,
    pub extras: Extras<'a, E>,
    pub options: Conv2dOptions,
}

/// Some rows of one picture's result, plane by plane.
struct Band<'a, E> {
    pub picture: usize,
    pub first_row: usize,
    pub rows: usize,
    pub out: Vec<&'a mut [E]>,
}

/// A thread's memory.
#[derive(Default)]
struct Scratch<E> {
    source: Patch<E>,
    residual: Patch<E>,
    result: Patch<E>,
    form: Aligned<E>,
}

impl<E: Element> Reusable for Scratch<E> {
    fn bytes(&self) -> usize {
        let Self { source, residual, result, form } = self;
        source.bytes() + residual.bytes() + result.bytes() + form.bytes()
    }
}

/// Writes `activation((conv(x) + bias) · scale + residual)` of every picture of `x` to `out`.
pub(in crate::conv2d) fn forward<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    weights: Weights<'_, E>,
    extras: Extras<'_, E>,
    options: Conv2dOptions,
    out: &mut [E],
) -> Result<()> {
    let convolution = Convolution::new(isa, weights, &[planes.channels], options.dilation)?;
    run(isa, planes, x, &convolution, extras, options.activation, out);
    Ok(())
}

fn run<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    convolution: &Convolution<E>,
    extras: Extras<'_, E>,
    activation: Activation,
    out: &mut [E],
) {
    let Planes { channels, height, width, .. } = planes;
    let (pixels, outputs, reach) = (planes.pixels(), convolution.outputs(), convolution.reach());
    let rows = rect_rows(planes.batch, height);
    bands(out, planes, outputs, rows).into_par_iter().for_each_init(Reused::<Scratch<E>>::take, |scratch, mut band| {
        let scratch = scratch.get();
        let Band { picture, first_row, rows, .. } = band;
        let x = &x[picture * channels * pixels..][..channels * pixels];
        let (residual, scale) = (extras.residual(picture, pixels), extras.scale(picture, pixels));
        for column in (0..width).step_by(RECT_COLUMNS) {
            let columns = RECT_COLUMNS.min(width - column);
            let (source_rows, source_columns) = (convolution.source_extent(rows), convolution.source_extent(columns));
            let target = scratch.source.shaped(source_rows, source_columns, padded(channels));
            let above = (first_row as isize - reach as isize, column as isize - reach as isize);
            E::run(isa, Interleave { planes: x, height, width, corner: above, target });
            let corner = (first_row as isize, column as isize);
            let residual = residual.map(|planes| {
                let target = scratch.residual.shaped(rows, columns, padded(outputs));
                E::run(isa, Interleave { planes, height, width, corner, target });
                scratch.residual.rect()
            });
            let scale = scale.map(|scale| Rect::new(&scale[first_row * width + column..], rows, columns, 1, width));
            let result = scratch.result.shaped(rows, columns, padded(outputs));
            let epilogue = Epilogue { scale, residual, activation };
            convolution.run(&[scratch.source.rect()], &epilogue, result, &mut scratch.form);
            E::run(isa, Separate { source: scratch.result.rect(), planes: &mut band.out, width, column });
        }
    });
}

/// The bands of all pictures, picture by picture.
fn bands<E>(out: &mut [E], planes: Planes, outputs: usize, rows: usize) -> Vec<Band<'_, E>> {
    let Planes { height, width, .. } = planes;
    let mut bands = Vec::new();
    for (picture, out) in out.chunks_mut(outputs * planes.pixels()).enumerate() {
        let mut pieces: Vec<_> = out.chunks_mut(planes.pixels()).map(|plane| plane.chunks_mut(rows * width)).collect();
        for first_row in (0..height).step_by(rows) {
            let out = pieces.iter_mut().filter_map(Iterator::next).collect();
            bands.push(Band { picture, first_row, rows: rows.min(height - first_row), out });
        }
    }
    bands
}
