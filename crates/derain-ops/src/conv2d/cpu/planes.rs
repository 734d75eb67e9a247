//! Convolution of `[B, C, H, W]` tensors and its gradients: rectangles of pixels in parallel, each brought into the kernels' layout.

use std::borrow::Cow;

use rayon::prelude::*;

use super::super::{Activation, Conv2dOptions};
use super::weight_gradient;
use super::{Convolution, Epilogue, Weights};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::interleave::{Interleave, Separate};
use crate::rect::{CHANNEL_BLOCK, Patch, Rect, padded};
use crate::reuse::Reused;
use crate::{Isa, Planes, Result, buffer};

/// Columns of a rectangle: with [`RECT_ROWS`] and 32 channels some 400 kB, well inside a second-level cache.
pub(super) const RECT_COLUMNS: usize = 96;
/// Most rows of a rectangle; a multiple of every form's grid.
const RECT_ROWS: usize = 32;
/// Fewest rows of a rectangle; likewise a multiple.
const FEWEST_ROWS: usize = 8;

/// Rows of a rectangle. Where rectangles start changes no bit (they lie on the form's grid), so the number of threads may choose.
pub(super) fn rect_rows(batch: usize, height: usize, width: usize) -> usize {
    let wanted = batch * height * width.div_ceil(RECT_COLUMNS) / (4 * rayon::current_num_threads());
    wanted.next_multiple_of(FEWEST_ROWS).clamp(FEWEST_ROWS, RECT_ROWS)
}

/// What is multiplied with and added to the sums: for each picture perhaps residual planes `[O, H, W]`, then perhaps a scale `[H, W]`.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Extras<'a, E> {
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

/// Writes `activation((conv(x) + bias) · scale + residual)` of every picture of `x` to `out`.
pub(in super::super) fn forward<E: Element>(
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
    let rows = rect_rows(planes.batch, height, width);
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

/// The gradients of a sum weighted by `grad`.
pub(in super::super) struct Gradients<E> {
    /// As `x`, where it was wanted.
    pub x: Option<Vec<E>>,
    /// `[O, C, K, K]`, where it was wanted.
    pub weights: Vec<E>,
    /// `[O]`, likewise.
    pub bias: Vec<E>,
    /// As [`Extras::values`]; zeros where it was not wanted.
    pub extras: Vec<E>,
}

/// What a convolution was run with.
#[derive(Clone, Copy)]
pub(in super::super) struct Call<'a, E> {
    pub isa: Isa,
    pub planes: Planes,
    pub x: &'a [E],
    pub weights: Weights<'a, E>,
    pub extras: Extras<'a, E>,
    pub options: Conv2dOptions,
}

/// Which gradients are asked for.
#[derive(Clone, Copy)]
pub(in super::super) struct Wanted {
    pub x: bool,
    /// Weights and bias.
    pub parameters: bool,
    pub extras: bool,
}

impl Wanted {
    #[cfg(test)]
    pub(in super::super) const ALL: Self = Self { x: true, parameters: true, extras: true };
}

/// Computes [`Gradients`] from the result `y` and its gradient.
pub(in super::super) fn backward<E: Element>(
    call: Call<'_, E>,
    y: &[E],
    grad: &[E],
    wanted: Wanted,
) -> Result<Gradients<E>> {
    let Call { isa, planes, x, weights, extras, options } = call;
    let (pixels, outputs) = (planes.pixels(), weights.outputs);
    // The gradient before the activation, that is of the residual.
    let before = match options.activation {
        Activation::None => Cow::Borrowed(grad),
        Activation::Relu => Cow::Owned(where_positive(grad, y)),
    };
    // The gradient of the bare convolution.
    let bare = Conv2dOptions { activation: Activation::None, ..options };
    let of_sum = if extras.scales == 0 {
        Cow::Borrowed(&before[..])
    } else {
        Cow::Owned(scaled(&before, extras, pixels, outputs))
    };
    let mut of_extras = buffer::zeroed(extras.values.len());
    let of_pictures = of_extras
        .par_chunks_mut((extras.residuals + extras.scales).max(1) * pixels)
        .zip(before.par_chunks(outputs * pixels));
    if wanted.extras && extras.residuals > 0 {
        of_pictures.for_each(|(of_extras, before)| of_extras[..outputs * pixels].copy_from_slice(before));
    }
    if wanted.extras && extras.scales > 0 {
        let mut sums = buffer::zeroed(before.len());
        forward(isa, planes, x, weights, Extras::default(), bare, &mut sums)?;
        let scales = of_extras
            .chunks_mut((extras.residuals + 1) * pixels)
            .map(|picture| &mut picture[extras.residuals * pixels..]);
        dot_channels(&sums, &before, pixels, outputs, scales);
    }
    let of_x = match wanted.x {
        false => None,
        true => {
            let flipped = flipped(&weights);
            let transposed = Weights { values: &flipped, bias: None, outputs: planes.channels, size: weights.size };
            let mut of_x = buffer::zeroed(planes.len());
            let results = Planes { channels: outputs, ..planes };
            forward(isa, results, &of_sum, transposed, Extras::default(), bare, &mut of_x)?;
            Some(of_x)
        }
    };
    let (of_weights, of_bias) = weight_gradient::run(isa, planes, x, &of_sum, outputs, weights.size, options.dilation);
    Ok(Gradients { x: of_x, weights: of_weights, bias: of_bias, extras: of_extras })
}

/// Elements that one task of an elementwise loop takes.
const PIECE: usize = 1 << 15;

/// `values` where `gate` > 0, else 0: a ReLU's gradient from its result.
pub(crate) fn where_positive<E: Element>(values: &[E], gate: &[E]) -> Vec<E> {
    let mut out = buffer::zeroed(values.len());
    let pieces = out.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE).zip(gate.par_chunks(PIECE)));
    pieces.for_each(|(out, (values, gate))| {
        for (out, (&value, &gate)) in out.iter_mut().zip(values.iter().zip(gate)) {
            *out = if gate > E::ZERO { value } else { E::ZERO };
        }
    });
    out
}

/// `values` `[B, O, H, W]` times each picture's scale.
fn scaled<E: Element>(values: &[E], extras: Extras<'_, E>, pixels: usize, outputs: usize) -> Vec<E> {
    let mut out = buffer::zeroed(values.len());
    let planes = out.par_chunks_mut(pixels).zip(values.par_chunks(pixels)).enumerate();
    planes.for_each(|(plane, (out, values))| {
        let scale = extras.scale(plane / outputs, pixels).unwrap_or_default();
        for (out, (&value, &scale)) in out.iter_mut().zip(values.iter().zip(scale)) {
            *out = value * scale;
        }
    });
    out
}

/// Σ over channels of `a · b`, `[B, O, H, W]` each, in channel order, added to one plane for each picture.
fn dot_channels<'a, E: Element>(
    a: &[E],
    b: &[E],
    pixels: usize,
    outputs: usize,
    targets: impl Iterator<Item = &'a mut [E]>,
) {
    let pieces: Vec<(usize, &mut [E])> = targets
        .enumerate()
        .flat_map(|(picture, target)| {
            let pieces = target.chunks_mut(PIECE).enumerate();
            pieces.map(move |(piece, target)| (picture * outputs * pixels + piece * PIECE, target))
        })
        .collect();
    pieces.into_par_iter().for_each(|(start, target)| {
        for channel in 0..outputs {
            let at = start + channel * pixels;
            for (target, (&a, &b)) in target.iter_mut().zip(a[at..].iter().zip(&b[at..])) {
                *target += a * b;
            }
        }
    });
}

/// The kernel that takes a gradient back: inputs and outputs swapped, taps turned around. A block of inputs at a time, whose kernels are neighbours.
pub fn flipped<E: Element>(weights: &Weights<'_, E>) -> Vec<E> {
    let (taps, channels, outputs) = (weights.size * weights.size, weights.channels(), weights.outputs);
    let mut flipped = buffer::zeroed(weights.values.len());
    let blocks = flipped.chunks_mut(CHANNEL_BLOCK * outputs * taps).enumerate();
    for (block, flipped) in blocks {
        for (output, kernels) in weights.values.chunks_exact(channels * taps).enumerate() {
            let kernels = kernels.chunks_exact(taps).skip(block * CHANNEL_BLOCK);
            for (target, kernel) in flipped.chunks_exact_mut(outputs * taps).zip(kernels) {
                let target = &mut target[output * taps..][..taps];
                target.copy_from_slice(kernel);
                target.reverse();
            }
        }
    }
    flipped
}
