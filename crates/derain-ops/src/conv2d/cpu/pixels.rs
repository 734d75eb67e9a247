//! Convolution of batches whose channels lie side by side already, and the gradient of its weights.

use rayon::prelude::*;

use super::super::Activation;
use super::planes::{RECT_COLUMNS, rect_rows};
use super::weight_gradient::{self, Method, Place};
use super::{Convolution, Epilogue};
use crate::Isa;
use crate::buffer::Aligned;
use crate::element::Element;
use crate::pixels::{PixelBand, Pixels};
use crate::rect::{Patch, Rect, padded};
use crate::reuse::{Reusable, Reused};

/// What follows the sum, as [`Epilogue`] says, for whole batches.
#[derive(Clone, Copy, Debug)]
pub struct PixelsEpilogue<'a, E: Element> {
    /// One channel.
    pub scale: Option<&'a Pixels<E>>,
    /// As many channels as the result.
    pub residual: Option<&'a Pixels<E>>,
    /// The last step.
    pub activation: Activation,
}

impl<E: Element> PixelsEpilogue<'_, E> {
    /// Nothing but an activation.
    pub fn activation(activation: Activation) -> Self {
        Self { scale: None, residual: None, activation }
    }
}

/// A thread's memory.
#[derive(Default)]
struct Scratch<E> {
    windows: Vec<Patch<E>>,
    form: Aligned<E>,
}

impl<E: Element> Reusable for Scratch<E> {
    fn bytes(&self) -> usize {
        self.windows.iter().map(Patch::bytes).sum::<usize>() + self.form.bytes()
    }
}

/// The columns of a row's rectangles: first and count.
fn tiles(width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..width).step_by(RECT_COLUMNS).map(move |column| (column, RECT_COLUMNS.min(width - column)))
}

impl<E: Element> Convolution<E> {
    /// Convolves whole pictures, zeros around them. Bits do not depend on the number of threads.
    ///
    /// # Panics
    /// When the sources, the result or what follows do not fit each other.
    pub fn run_pixels(&self, sources: &[&Pixels<E>], epilogue: &PixelsEpilogue<'_, E>, out: &mut Pixels<E>) {
        let shape = out.shape();
        for source in sources.iter().copied().chain(epilogue.scale).chain(epilogue.residual) {
            let of = source.shape();
            let same = (of.batch, of.height, of.width) == (shape.batch, shape.height, shape.width);
            assert!(same, "pictures of other sizes");
        }
        let rows = rect_rows(shape.batch, shape.height);
        out.bands(rows).into_par_iter().for_each_init(Reused::<Scratch<E>>::take, |scratch, band| {
            self.run_band(scratch.get(), sources, epilogue, band);
        });
    }

    fn run_band(
        &self,
        scratch: &mut Scratch<E>,
        sources: &[&Pixels<E>],
        epilogue: &PixelsEpilogue<'_, E>,
        mut band: PixelBand<'_, E>,
    ) {
        let Scratch { windows, form } = scratch;
        windows.resize_with(windows.len().max(sources.len()), Patch::default);
        let rows = band.pixels.rows();
        let [scale, residual] = [epilogue.scale, epilogue.residual].map(|of| of.map(|of| of.beside(&band)));
        for (column, columns) in tiles(band.pixels.columns()) {
            let [scale, residual] = [scale, residual].map(|of| of.map(|of| of.part(0, column, rows, columns)));
            let part = Epilogue { scale, residual, activation: epilogue.activation };
            let rects: Vec<Rect<'_, E>> = if self.reach() == 0 && self.grid() == 1 {
                sources.iter().map(|source| source.beside(&band).part(0, column, rows, columns)).collect()
            } else {
                for (window, source) in windows.iter_mut().zip(sources) {
                    let (height, width) = (self.source_extent(rows), self.source_extent(columns));
                    let reach = self.reach() as isize;
                    let mut target = window.shaped(height, width, source.shape().channels);
                    let corner = (band.row as isize - reach, column as isize - reach);
                    target.copy_window(source.picture(band.picture), corner);
                }
                windows.iter().take(sources.len()).map(Patch::rect).collect()
            };
            self.run(&rects, &part, band.pixels.part(0, column, rows, columns), form);
        }
    }
}

/// Gradients of the weights `[outputs, channels, size, size]` and of the bias `[outputs]`, from the convolution's input
/// and its result's gradient.
///
/// # Panics
/// When the two are of other sizes, or have other channels.
pub fn weight_gradient<E: Element>(
    isa: Isa,
    (x, channels): (&Pixels<E>, usize),
    (grad, outputs): (&Pixels<E>, usize),
    size: usize,
    dilation: usize,
) -> (Vec<E>, Vec<E>) {
    let (planes, shape) = (x.shape(), grad.shape());
    assert!((planes.batch, planes.height, planes.width) == (shape.batch, shape.height, shape.width), "other sizes");
    assert!(planes.channels == padded(channels) && shape.channels == padded(outputs), "other channels");
    let method = Method::new::<E>(isa, [channels, outputs], size, dilation);
    let reach = method.reach();
    let sums = |scratch: &mut weight_gradient::Scratch<E>, place: &Place, sums: &mut [E]| {
        let &Place { picture, row, column, rows, columns } = place;
        let (down, across) = (method.extent(rows), method.extent(columns));
        let (x, grad) = (x.picture(picture), grad.picture(picture).part(row, column, rows, columns));
        let x = if size == 1 {
            x.part(row, column, rows, columns)
        } else {
            let mut window = scratch.x.shaped(down + 2 * reach, across + 2 * reach, planes.channels);
            window.copy_window(x, (row as isize - reach as isize, column as isize - reach as isize));
            scratch.x.rect()
        };
        let grad = if (down, across) == (rows, columns) {
            grad
        } else {
            scratch.grad.shaped(down, across, shape.channels).copy_window(grad, (0, 0));
            scratch.grad.rect()
        };
        method.add(x, grad, sums, &mut scratch.form);
    };
    weight_gradient::total(planes, [channels, outputs], size, sums)
}
