//! The block on the CPU: what lies between its convolutions stays in the kernels' layout, and so do its gradients.

use rayon::prelude::*;

use super::Arguments;
use crate::buffer::{self, Aligned};
use crate::conv2d::Activation;
use crate::conv2d::cpu::{Convolution, Epilogue, Piece, Weights, bands, flipped, layout_weights};
use crate::element::Element;
use crate::interleave::{Interleave, Separate};
use crate::rect::{Patch, Rect, RectMut, padded};
use crate::reuse::Reused;
use crate::simd::{Kernel, Vector};
use crate::{Planes, Result};

/// Rows and columns of a rectangle. They decide which gradients of weights are summed first, so they depend on nothing.
const ROWS: usize = 32;
const COLUMNS: usize = 96;

/// The two inner results of all pictures, `[B, H, W, padded C]`, as the gradient needs them.
pub(super) struct Inner<E> {
    first: Aligned<E>,
    second: Aligned<E>,
}

/// A thread's memory.
#[derive(Default)]
struct Scratch<E> {
    input: Patch<E>,
    window: Patch<E>,
    other: Patch<E>,
    result: Patch<E>,
    form: Aligned<E>,
}

/// Rows of all pictures' bands in a buffer of pixels, in the order of [`bands`].
fn pixel_bands<E>(values: &mut [E], planes: Planes, channels: usize) -> Vec<&mut [E]> {
    let row = planes.width * channels;
    values.chunks_mut(planes.height * row).flat_map(|picture| picture.chunks_mut(ROWS * row)).collect()
}

fn tiles(width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..width).step_by(COLUMNS).map(move |column| (column, COLUMNS.min(width - column)))
}

impl<E: Element> Arguments<'_, E> {
    fn convolutions(&self) -> Result<[Convolution<E>; 3]> {
        let channels = self.planes.channels;
        let of = |values, size, dilation| {
            Convolution::new(self.isa, Weights { values, bias: None, outputs: channels, size }, &[channels], dilation)
        };
        let [first, second, third] = self.weights;
        Ok([of(first, 1, 1)?, of(second, 3, self.dilation)?, of(third, 1, 1)?])
    }

    /// The convolutions that take gradients back.
    fn transposed(&self) -> Result<[Convolution<E>; 3]> {
        let channels = self.planes.channels;
        let [first, second, third] = [(0, 1), (1, 3), (2, 1)]
            .map(|(at, size)| flipped(&Weights { values: self.weights[at], bias: None, outputs: channels, size }));
        Arguments { weights: [&first, &second, &third], ..*self }.convolutions()
    }

    /// One picture of a buffer of pixels.
    fn picture<'v>(&self, values: &'v [E], picture: usize) -> Rect<'v, E> {
        let Planes { channels, height, width, .. } = self.planes;
        let row = width * padded(channels);
        Rect::new(&values[picture * height * row..], height, width, padded(channels), row)
    }

    /// A rectangle of tensors of planes, in the kernels' layout.
    fn interleave(&self, planes: &[E], picture: usize, (row, column): (usize, usize), target: RectMut<'_, E>) {
        let Planes { channels, height, width, .. } = self.planes;
        let planes = &planes[picture * channels * height * width..][..channels * height * width];
        let corner = (row as isize, column as isize);
        E::run(self.isa, Interleave { planes, height, width, corner, target });
    }

    fn map(&self, picture: usize, (row, column): (usize, usize), rows: usize, columns: usize) -> Option<Rect<'_, E>> {
        let Planes { width, .. } = self.planes;
        let start = picture * self.planes.pixels() + row * width + column;
        self.map.map(|map| Rect::new(&map[start..], rows, columns, 1, width))
    }
}

/// Writes the block's result to `out` and returns the inner results.
pub(super) fn forward<E: Element>(arguments: &Arguments<'_, E>, out: &mut [E]) -> Result<Inner<E>> {
    let planes = arguments.planes;
    let (width, channels) = (planes.width, padded(planes.channels));
    let [conv1, conv2, conv3] = arguments.convolutions()?;
    let length = planes.batch * planes.pixels() * channels;
    let mut inner = Inner { first: Aligned::zeroed(length), second: Aligned::zeroed(length) };
    let relu = Epilogue::activation(Activation::Relu);
    let of_picture = planes.height.div_ceil(ROWS);

    let firsts = pixel_bands(&mut inner.first, planes, channels).into_par_iter().enumerate();
    firsts.for_each_init(Reused::<Scratch<E>>::take, |scratch, (band, first)| {
        let Scratch { input, form, .. } = scratch.get();
        let (picture, row, rows) = (band / of_picture, band % of_picture * ROWS, first.len() / (width * channels));
        let mut first = RectMut::new(first, rows, width, channels, width * channels);
        for (column, columns) in tiles(width) {
            arguments.interleave(arguments.x, picture, (row, column), input.shaped(rows, columns, channels));
            conv1.run(&[input.rect()], &relu, first.part(0, column, rows, columns), form);
        }
    });

    let first = &inner.first;
    let seconds = pixel_bands(&mut inner.second, planes, channels).into_par_iter();
    let results = bands(out, planes, planes.channels, ROWS).into_par_iter().zip(seconds);
    results.for_each_init(Reused::<Scratch<E>>::take, |scratch, (mut band, second)| {
        let Scratch { input, window, result, form, .. } = scratch.get();
        let (picture, row, rows) = (band.picture, band.first_row, band.rows);
        let mut second = RectMut::new(second, rows, width, channels, width * channels);
        for (column, columns) in tiles(width) {
            load(arguments, &conv2, first, picture, (row, column), (rows, columns), window);
            conv2.run(&[window.rect()], &relu, second.part(0, column, rows, columns), form);
            arguments.interleave(arguments.x, picture, (row, column), input.shaped(rows, columns, channels));
            let epilogue = Epilogue {
                scale: arguments.map(picture, (row, column), rows, columns),
                residual: Some(input.rect()),
                activation: Activation::Relu,
            };
            let inner = second.as_rect().part(0, column, rows, columns);
            conv3.run(&[inner], &epilogue, result.shaped(rows, columns, channels), form);
            E::run(arguments.isa, Separate { source: result.rect(), planes: &mut band.out, width, column });
        }
    });
    Ok(inner)
}

/// What a convolution of a rectangle needs of a buffer of pixels.
fn load<E: Element>(
    arguments: &Arguments<'_, E>,
    convolution: &Convolution<E>,
    values: &[E],
    picture: usize,
    (row, column): (usize, usize),
    (rows, columns): (usize, usize),
    window: &mut Patch<E>,
) {
    let source = arguments.picture(values, picture);
    let (height, width) = (convolution.source_extent(rows), convolution.source_extent(columns));
    let reach = convolution.reach() as isize;
    let mut target = window.shaped(height, width, source.channels());
    target.copy_window(source, (row as isize - reach, column as isize - reach));
}

/// Gradients, laid out as their arguments.
pub(super) struct Gradients<E> {
    pub x: Vec<E>,
    pub weights: [Vec<E>; 3],
    pub map: Vec<E>,
}

/// Sums of one band's products for the gradients of weights.
type Sums<E> = Vec<E>;

/// The gradients from the inner results, the result `y` and its gradient.
pub(super) fn backward<E: Element>(
    arguments: &Arguments<'_, E>,
    inner: &Inner<E>,
    y: &[E],
    dy: &[E],
) -> Result<Gradients<E>> {
    let (planes, isa, dilation) = (arguments.planes, arguments.isa, arguments.dilation);
    let (width, channels) = (planes.width, padded(planes.channels));
    let conv3 = &arguments.convolutions()?[2];
    let [back1, back2, back3] = arguments.transposed()?;
    let none = Epilogue::activation(Activation::None);
    let length = planes.batch * planes.pixels() * channels;
    let (mut of_sum, mut of_second) = (Aligned::zeroed(length), Aligned::zeroed(length));
    let mut of_map = buffer::zeroed(planes.batch * planes.pixels());
    let of_picture = planes.height.div_ceil(ROWS);
    let count = |size: usize| (size * size * channels + 1) * channels;

    // Behind the third convolution: its weights, the map, and what arrives at the second one's result.
    let pieces = pixel_bands(&mut of_sum, planes, channels)
        .into_par_iter()
        .zip(pixel_bands(&mut of_second, planes, channels))
        .zip(pixel_bands(&mut of_map, planes, 1))
        .enumerate();
    let third: Vec<Sums<E>> = pieces
        .map_init(Reused::<Scratch<E>>::take, |scratch, (band, ((of_sum, of_second), of_map))| {
            let Scratch { input, other, result, form, .. } = scratch.get();
            let (picture, row, rows) = (band / of_picture, band % of_picture * ROWS, of_sum.len() / (width * channels));
            let mut of_sum = RectMut::new(of_sum, rows, width, channels, width * channels);
            let mut of_second = RectMut::new(of_second, rows, width, channels, width * channels);
            let mut of_map = RectMut::new(of_map, rows, width, 1, width);
            let mut sums = vec![E::ZERO; count(1)];
            for (column, columns) in tiles(width) {
                let at = (row, column);
                arguments.interleave(y, picture, at, input.shaped(rows, columns, channels));
                let mut g = of_sum.part(0, column, rows, columns);
                arguments.interleave(dy, picture, at, g.part(0, 0, rows, columns));
                E::run(isa, Gate { values: g.part(0, 0, rows, columns), gate: input.rect() });
                let second = arguments.picture(&inner.second, picture).part(row, column, rows, columns);
                let mut weighted = other.shaped(rows, columns, channels);
                weighted.copy_from(g.as_rect());
                if let Some(map) = arguments.map(picture, at, rows, columns) {
                    conv3.run(&[second], &none, result.shaped(rows, columns, channels), form);
                    let of_map = of_map.part(0, column, rows, columns);
                    E::run(isa, Weigh { values: weighted, map, sums: result.rect(), of_map });
                }
                E::run(isa, Piece { x: second, grad: other.rect(), size: 1, dilation: 1, sums: &mut sums });
                let mut target = of_second.part(0, column, rows, columns);
                back3.run(&[other.rect()], &none, target.part(0, 0, rows, columns), form);
                E::run(isa, Gate { values: target, gate: second });
            }
            sums
        })
        .collect();

    // In front of it: the second and the first convolution's weights, and x.
    let mut of_x = buffer::zeroed(planes.len());
    let (of_sum, of_second) = (&of_sum, &of_second);
    let others: Vec<[Sums<E>; 2]> = bands(&mut of_x, planes, planes.channels, ROWS)
        .into_par_iter()
        .map_init(Reused::<Scratch<E>>::take, |scratch, mut band| {
            let Scratch { input, window, other, result, form } = scratch.get();
            let (picture, row, rows) = (band.picture, band.first_row, band.rows);
            let mut sums = [vec![E::ZERO; count(1)], vec![E::ZERO; count(3)]];
            for (column, columns) in tiles(width) {
                let (at, size) = ((row, column), (rows, columns));
                let part = |values| arguments.picture(values, picture).part(row, column, rows, columns);
                load(arguments, &back2, &inner.first, picture, at, size, window);
                let grad = part(of_second);
                E::run(isa, Piece { x: window.rect(), grad, size: 3, dilation, sums: &mut sums[1] });
                load(arguments, &back2, of_second, picture, at, size, window);
                back2.run(&[window.rect()], &none, other.shaped(rows, columns, channels), form);
                E::run(isa, Gate { values: other.rect_mut(), gate: part(&inner.first) });
                arguments.interleave(arguments.x, picture, at, input.shaped(rows, columns, channels));
                E::run(isa, Piece { x: input.rect(), grad: other.rect(), size: 1, dilation: 1, sums: &mut sums[0] });
                let plus = Epilogue { residual: Some(part(of_sum)), ..none };
                back1.run(&[other.rect()], &plus, result.shaped(rows, columns, channels), form);
                E::run(isa, Separate { source: result.rect(), planes: &mut band.out, width, column });
            }
            sums
        })
        .collect();

    let total = |sums: &mut dyn Iterator<Item = &Sums<E>>, size: usize| {
        let mut total = vec![0f64; count(size)];
        for sums in sums {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum.to_f64());
        }
        layout_weights(&total, planes.channels, planes.channels, size)
    };
    let weights = [
        total(&mut others.iter().map(|sums| &sums[0]), 1),
        total(&mut others.iter().map(|sums| &sums[1]), 3),
        total(&mut third.iter(), 1),
    ];
    Ok(Gradients { x: of_x, weights, map: of_map })
}

/// `values` where `gate > 0`, else 0.
struct Gate<'a, 'v, E> {
    values: RectMut<'v, E>,
    gate: Rect<'a, E>,
}

impl<E: Element> Kernel<E> for Gate<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        for row in 0..self.values.rows() {
            let values = self.values.row_mut(row).chunks_exact_mut(V::LANES);
            for (values, gate) in values.zip(self.gate.row(row).chunks_exact(V::LANES)) {
                V::load(values).where_positive(V::load(gate)).store(values);
            }
        }
    }
}

/// The map's gradient, Σ over channels of `values · sums`, and then `values` times the map.
struct Weigh<'a, 'v, E> {
    values: RectMut<'v, E>,
    map: Rect<'a, E>,
    sums: Rect<'a, E>,
    of_map: RectMut<'v, E>,
}

impl<E: Element> Kernel<E> for Weigh<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let channels = self.values.channels();
        for row in 0..self.values.rows() {
            let values = self.values.row_mut(row).chunks_exact_mut(channels);
            let pixels = values.zip(self.sums.row(row).chunks_exact(channels));
            for ((values, sums), (map, of_map)) in pixels.zip(self.map.row(row).iter().zip(self.of_map.row_mut(row))) {
                let mut dot = V::splat(E::ZERO);
                for (value, sum) in values.chunks_exact_mut(V::LANES).zip(sums.chunks_exact(V::LANES)) {
                    let g = V::load(value);
                    dot = g.mul_add(V::load(sum), dot);
                    g.mul(V::splat(*map)).store(value);
                }
                *of_map = dot.sum();
            }
        }
    }
}
