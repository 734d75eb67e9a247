//! The scans on the CPU: slices in, slices out, planes in parallel.
//!
//! Each plane is scanned by exactly the same instructions whatever thread runs it, and sums are added in plane order,
//! so results do not depend on the number of threads.

mod horizontal;
mod vertical;

use rayon::prelude::*;

use super::{Coefficients, Direction};
use crate::buffer;
use crate::element::Element;
use crate::{Isa, Planes};

/// Rows that one task of a horizontal scan takes: a multiple of every vector length, enough to outweigh the task's
/// cost.
const BAND_ROWS: usize = 64;

/// The recurrence of one channel in one direction: h_i = max(a·h_{i-1} + b + x_i, 0).
#[derive(Clone, Copy)]
struct Recurrence<E> {
    a: E,
    b: E,
    direction: Direction,
}

impl<E: Element> Recurrence<E> {
    fn new(coefficients: Coefficients<'_, E>, direction: Direction, channel: usize) -> Self {
        let (a, b) = coefficients.at(direction, channel);
        Self { a, b, direction }
    }

    /// a and b at a step. At the border neither is applied; starting from h = 0 with both 0 gives max(x_0, 0).
    #[inline(always)]
    fn at_step(&self, step: usize) -> (E, E) {
        if step == 0 { (E::ZERO, E::ZERO) } else { (self.a, self.b) }
    }
}

/// One plane that was scanned in one direction, for its gradient.
struct Scanned<'a, 'dx, E> {
    h: &'a [E],
    grad: &'a [E],
    map: Option<&'a [E]>,
    width: usize,
    recurrence: Recurrence<E>,
    dx: &'dx mut [E],
}

/// Gradient sums of one channel's weight and bias in one direction.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: f64,
    b: f64,
}

/// Writes the four scans of every plane of `x` to `out`, weighted by `directions` where given.
pub(super) fn forward<E: Element>(
    isa: Isa,
    planes: Planes,
    x: &[E],
    coefficients: Coefficients<'_, E>,
    directions: Option<&[E]>,
    out: &mut [E],
) {
    let Planes { channels, width, .. } = planes;
    let pixels = planes.pixels();
    let pictures = out.par_chunks_mut(4 * channels * pixels).zip(x.par_chunks(channels * pixels));
    pictures.enumerate().for_each(|(picture, (out, x))| {
        let [up, right, down, left] = quarters(out);
        let maps = directions.map(|maps| quarters_of(&maps[picture * 4 * pixels..][..4 * pixels]));
        let map = |direction: Direction| maps.map(|maps| maps[direction as usize]);
        let recurrence = |direction, channel| Recurrence::new(coefficients, direction, channel);
        let outputs = (
            up.par_chunks_mut(pixels),
            right.par_chunks_mut(pixels),
            down.par_chunks_mut(pixels),
            left.par_chunks_mut(pixels),
            x.par_chunks(pixels),
        );
        outputs.into_par_iter().enumerate().for_each(|(channel, (up, right, down, left, x))| {
            let vertical = |direction, out| {
                let recurrence = recurrence(direction, channel);
                E::run(isa, vertical::Forward { x, width, recurrence, map: map(direction), out });
            };
            let horizontal = || {
                let band = BAND_ROWS * width;
                let bands = (right.par_chunks_mut(band), left.par_chunks_mut(band), x.par_chunks(band));
                bands.into_par_iter().enumerate().for_each(|(index, (right, left, x))| {
                    let rows = index * band..index * band + x.len();
                    let side = |direction, out| horizontal::Side {
                        recurrence: recurrence(direction, channel),
                        map: map(direction).map(|map| &map[rows.clone()]),
                        out,
                    };
                    let sides = [side(Direction::Right, right), side(Direction::Left, left)];
                    E::run(isa, horizontal::Forward { x, width, sides });
                });
            };
            rayon::join(|| rayon::join(|| vertical(Direction::Down, down), || vertical(Direction::Up, up)), horizontal);
        });
    });
}

/// The gradients of a sum weighted by `grad`, from the unweighted scans `h`, both `[B, 4·C, H, W]`.
pub(super) struct Gradients<E> {
    /// `[B, C, H, W]`.
    pub x: Vec<E>,
    /// `[4, C]`.
    pub weights: Vec<E>,
    /// `[4, C]`.
    pub biases: Vec<E>,
}

/// Computes [`Gradients`]; `directions` are the maps that weighted the scans, if any did.
pub(super) fn backward<E: Element>(
    isa: Isa,
    planes: Planes,
    coefficients: Coefficients<'_, E>,
    directions: Option<&[E]>,
    h: &[E],
    grad: &[E],
) -> Gradients<E> {
    let Planes { channels, width, .. } = planes;
    let pixels = planes.pixels();
    let mut x = buffer::zeroed(planes.len());
    let per_plane: Vec<[Sums; 4]> = (x.par_chunks_mut(pixels).enumerate())
        .map(|(plane, dx)| {
            let (picture, channel) = (plane / channels, plane % channels);
            Direction::ALL.map(|direction| {
                let d = direction as usize;
                let of_plane = |all| slice_of::<E>(all, (picture * 4 + d) * channels + channel, pixels);
                let (h, grad) = (of_plane(h), of_plane(grad));
                let map = directions.map(|maps| slice_of(maps, picture * 4 + d, pixels));
                let recurrence = Recurrence::new(coefficients, direction, channel);
                let plane = Scanned { h, grad, map, width, recurrence, dx: &mut *dx };
                match direction {
                    Direction::Up | Direction::Down => E::run(isa, vertical::Backward(plane)),
                    Direction::Right | Direction::Left => E::run(isa, horizontal::Backward(plane)),
                }
            })
        })
        .collect();
    let total = |direction: usize, channel: usize, part: fn(&Sums) -> f64| {
        let pictures = per_plane.iter().skip(channel).step_by(channels);
        E::from_f64(pictures.map(|sums| part(&sums[direction])).sum())
    };
    let all = |part| (0..4 * channels).map(|i| total(i / channels, i % channels, part)).collect();
    Gradients { x, weights: all(|sums| sums.a), biases: all(|sums| sums.b) }
}

/// The gradient for the direction weights, `[B, 4, H, W]`: the sum over channels of `grad · h`.
pub(super) fn direction_gradient<E: Element>(planes: Planes, h: &[E], grad: &[E]) -> Vec<E> {
    let Planes { batch, channels, width, .. } = planes;
    let pixels = planes.pixels();
    let mut out = buffer::zeroed(4 * batch * pixels);
    let rows = out.par_chunks_mut(pixels).enumerate().flat_map(|(map, out)| {
        out.par_chunks_mut(BAND_ROWS * width).enumerate().map(move |(band, out)| (map, band * BAND_ROWS * width, out))
    });
    rows.for_each(|(map, start, out)| {
        for channel in 0..channels {
            let at = (map * channels + channel) * pixels + start;
            let (h, grad) = (&h[at..at + out.len()], &grad[at..at + out.len()]);
            for (out, (&h, &grad)) in out.iter_mut().zip(h.iter().zip(grad)) {
                *out += h * grad;
            }
        }
    });
    out
}

fn quarters<E>(all: &mut [E]) -> [&mut [E]; 4] {
    let quarter = all.len() / 4;
    let (first, rest) = all.split_at_mut(quarter);
    let (second, rest) = rest.split_at_mut(quarter);
    let (third, fourth) = rest.split_at_mut(quarter);
    [first, second, third, fourth]
}

fn quarters_of<E>(all: &[E]) -> [&[E]; 4] {
    std::array::from_fn(|index| slice_of(all, index, all.len() / 4))
}

/// The `index`-th of the consecutive pieces of `length` elements.
fn slice_of<E>(all: &[E], index: usize, length: usize) -> &[E] {
    &all[index * length..(index + 1) * length]
}
