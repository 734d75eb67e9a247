//! Batches of pictures whose pixels hold their channels side by side, in memory that is used again.
//!
//! A network that trains keeps every layer's result until the gradients have passed it, step after step of the same
//! shapes. Kept in the kernels' layout ([`crate::rect`]) none of them is rearranged, and taken from a [`Pool`] none is
//! allocated after the first step.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::buffer::{Aligned, PIECE};
use crate::element::Element;
use crate::interleave::{Interleave, Separate};
use crate::rect::{Rect, RectMut, padded};
use crate::simd::{Kernel, Vector};
use crate::{Isa, Planes, relu};

/// Buffers that serve again. Those in use and those that lie idle together never exceed the most that was in use at
/// once; all are freed when the last owner goes.
#[derive(Debug)]
pub struct Pool<E>(Mutex<Buffers<E>>);

#[derive(Debug)]
struct Buffers<E> {
    /// The longest idle first.
    idle: Vec<Aligned<E>>,
    /// Elements.
    used: usize,
    most_used: usize,
}

impl<E> Default for Pool<E> {
    fn default() -> Self {
        Self(Mutex::new(Buffers { idle: Vec::new(), used: 0, most_used: 0 }))
    }
}

impl<E: Element> Pool<E> {
    /// A batch whose elements are left over from earlier uses.
    pub fn take(self: &Arc<Self>, shape: Planes) -> Pixels<E> {
        let length = shape.len();
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, and not one so large that its memory would be better used elsewhere.
        let fitting =
            buffers.idle.iter().enumerate().filter(|(_, buffer)| (length..=2 * length).contains(&buffer.len()));
        let best = fitting.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        let found = best.map(|at| buffers.idle.remove(at));
        buffers.used += found.as_ref().map_or(length, |buffer| buffer.len());
        buffers.most_used = buffers.most_used.max(buffers.used);
        let mut left = buffers.idle.iter().map(|buffer| buffer.len()).sum::<usize>();
        while buffers.used + left > buffers.most_used && !buffers.idle.is_empty() {
            left -= buffers.idle.remove(0).len();
        }
        drop(buffers);
        let values = found.unwrap_or_else(|| Aligned::zeroed(length));
        Pixels { values, shape, pool: Arc::clone(self) }
    }
}

/// `[B, H, W, C]`; C counts the padding where a convolution reads or writes it.
#[derive(Debug)]
pub struct Pixels<E: Element> {
    /// At least as many as the shape needs.
    values: Aligned<E>,
    shape: Planes,
    pool: Arc<Pool<E>>,
}

impl<E: Element> Drop for Pixels<E> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut buffers = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.used -= values.len();
        buffers.idle.push(values);
    }
}

/// Some rows of one picture of a batch.
pub struct PixelBand<'a, E> {
    /// Which picture.
    pub picture: usize,
    /// The first of the rows.
    pub row: usize,
    /// The rows.
    pub pixels: RectMut<'a, E>,
}

impl<E: Element> Pixels<E> {
    /// Pictures of planes, one every `stride` elements, their channels padded with zeros to what convolutions read.
    ///
    /// # Panics
    /// When `planes` are too few.
    pub fn from_planes(pool: &Arc<Pool<E>>, isa: Isa, planes: &[E], shape: Planes, stride: usize) -> Self {
        let mut pixels = pool.take(Planes { channels: padded(shape.channels), ..shape });
        pixels.bands(BAND_ROWS).into_par_iter().for_each(|band| {
            let planes = &planes[band.picture * stride..][..shape.channels * shape.pixels()];
            let corner = (band.row as isize, 0);
            let Planes { height, width, .. } = shape;
            E::run(isa, Interleave { planes, height, width, corner, target: band.pixels });
        });
        pixels
    }

    /// The first `channels` channels as planes. In `out` a picture's planes start every `stride` elements; `stride`
    /// must be at least `channels` planes.
    ///
    /// # Panics
    /// When `stride` is 0, or `stride` or the end of `out` cuts a plane short.
    pub fn write_planes(&self, isa: Isa, channels: usize, out: &mut [E], stride: usize) {
        let (pixels, width) = (self.shape.pixels(), self.shape.width);
        out.par_chunks_mut(stride).take(self.shape.batch).enumerate().for_each(|(picture, out)| {
            let mut planes: Vec<&mut [E]> = out.chunks_mut(pixels).take(channels).collect();
            E::run(isa, Separate { source: self.picture(picture), planes: &mut planes, width, column: 0 });
        });
    }

    /// B, C, H and W.
    pub fn shape(&self) -> Planes {
        self.shape
    }

    /// All elements.
    pub fn values(&self) -> &[E] {
        &self.values[..self.shape.len()]
    }

    /// All elements.
    pub fn values_mut(&mut self) -> &mut [E] {
        &mut self.values[..self.shape.len()]
    }

    /// One picture.
    pub fn picture(&self, picture: usize) -> Rect<'_, E> {
        let Planes { channels, height, width, .. } = self.shape;
        let values = &self.values[picture * height * width * channels..];
        Rect::new(values, height, width, channels, width * channels)
    }

    /// The pictures, each whole.
    pub fn pictures(&mut self) -> Vec<PixelBand<'_, E>> {
        self.bands(self.shape.height)
    }

    /// All pictures' rows in bands of `rows`, picture by picture.
    pub fn bands(&mut self, rows: usize) -> Vec<PixelBand<'_, E>> {
        let Planes { channels, height, width, .. } = self.shape;
        let row_length = width * channels;
        let pictures = self.values_mut().chunks_mut(height * row_length).enumerate();
        let bands = pictures.flat_map(|(picture, values)| {
            values.chunks_mut(rows * row_length).enumerate().map(move |(band, values)| {
                let rows_here = values.len() / row_length;
                let pixels = RectMut::new(values, rows_here, width, channels, row_length);
                PixelBand { picture, row: band * rows, pixels }
            })
        });
        bands.collect()
    }

    /// The same rows of this batch as a band of another of the same size holds.
    pub fn beside<F>(&self, band: &PixelBand<'_, F>) -> Rect<'_, E> {
        self.picture(band.picture).part(band.row, 0, band.pixels.rows(), band.pixels.columns())
    }

    /// Sets every element to where it is now, if `gate` is above 0 there, and else to 0: what a ReLU does to a
    /// gradient.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn keep_where_positive(&mut self, isa: Isa, gate: &Self) {
        assert!(self.shape == gate.shape, "a gate of another shape");
        relu::keep_where_positive(isa, self.values_mut(), gate.values());
    }

    /// `self · map`, and Σ over channels of `self · other` into `dots`; `map` and `dots` have one channel. The
    /// gradients of a product with a map, from the gradient of the product.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn weigh(&self, isa: Isa, map: &Self, other: &Self, weighted: &mut Self, dots: &mut Self) {
        let narrow = Planes { channels: 1, ..self.shape };
        assert!(self.shape == other.shape && self.shape == weighted.shape, "other shapes");
        assert!(map.shape == narrow && dots.shape == narrow, "maps of other shapes");
        let channels = self.shape.channels;
        let wide = PIECE / channels * channels;
        let wide = wide.max(channels);
        let pieces = (weighted.values_mut().par_chunks_mut(wide), dots.values_mut().par_chunks_mut(wide / channels));
        let sources = (self.values().par_chunks(wide), other.values().par_chunks(wide));
        let all = pieces.into_par_iter().zip(sources).zip(map.values().par_chunks(wide / channels));
        all.for_each(|(((weighted, dots), (values, other)), map)| {
            E::run(isa, Weigh { values, other, map, weighted, dots });
        });
    }
}

/// Rows of a band where any number gives the same result.
const BAND_ROWS: usize = 32;

struct Weigh<'a, E> {
    values: &'a [E],
    other: &'a [E],
    map: &'a [E],
    weighted: &'a mut [E],
    dots: &'a mut [E],
}

impl<E: Element> Kernel<E> for Weigh<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let channels = self.values.len() / self.map.len();
        let sources = self.values.chunks_exact(channels).zip(self.other.chunks_exact(channels));
        let narrow = self.map.iter().zip(self.dots);
        for (((values, other), weighted), (map, out)) in
            sources.zip(self.weighted.chunks_exact_mut(channels)).zip(narrow)
        {
            let map = V::splat(*map);
            let mut dot = V::splat(E::ZERO);
            let lanes = values.chunks(V::LANES).zip(other.chunks(V::LANES)).zip(weighted.chunks_mut(V::LANES));
            for ((values, other), weighted) in lanes {
                let values = V::load(values);
                dot = values.mul_add(V::load(other), dot);
                values.mul(map).store(weighted);
            }
            *out = dot.sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    #[test]
    fn planes_come_back() {
        let shape = Planes { batch: 2, channels: 5, height: 3, width: 7 };
        let values = Noise::new(1).uniform(shape.len(), -1.0, 1.0);
        let pool = Arc::default();
        for isa in Isa::available() {
            let pixels = Pixels::from_planes(&pool, isa, &values, shape, 5 * 21);
            assert_eq!(pixels.picture(1).row(2)[6 * 16 + 4], values[shape.len() - 1]);
            assert!(pixels.values().chunks(16).all(|pixel| pixel[5..].iter().all(|&value| value == 0.0)));
            let mut out = vec![0.0; shape.len()];
            pixels.write_planes(isa, 5, &mut out, 5 * 21);
            assert_eq!(out, values);
        }
        assert_eq!(pool.0.lock().expect("unpoisoned").idle.len(), 1, "the buffer was not used again");
    }

    #[test]
    fn pools_hold_no_more_than_was_used_at_once() {
        let pool = Arc::<Pool<f32>>::default();
        let shape = |width| Planes { batch: 1, channels: 1, height: 1, width };
        drop((pool.take(shape(100)), pool.take(shape(150))));
        for width in 30..90 {
            drop(pool.take(shape(width)));
            let buffers = pool.0.lock().expect("unpoisoned");
            assert_eq!(buffers.used, 0);
            assert!(buffers.idle.iter().map(|buffer| buffer.len()).sum::<usize>() <= 250, "{buffers:?}");
        }
    }

    #[test]
    fn gradients_of_gates_and_maps() {
        let shape = Planes { batch: 2, channels: 16, height: 3, width: 5 };
        let (pool, mut noise) = (Arc::default(), Noise::new(2));
        let mut draw = |channels| {
            let mut pixels = Pool::take(&pool, Planes { channels, ..shape });
            let length = pixels.shape().len();
            pixels.values_mut().copy_from_slice(&noise.uniform(length, -1.0, 1.0));
            pixels
        };
        let (a, b, map) = (draw(16), draw(16), draw(1));
        let (mut weighted, mut dots) = (draw(16), draw(1));
        a.weigh(Isa::current(), &map, &b, &mut weighted, &mut dots);
        for (pixel, (a, b)) in a.values().chunks(16).zip(b.values().chunks(16)).enumerate() {
            let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!((dots.values()[pixel] - dot).abs() < 1e-12);
            for (channel, a) in a.iter().enumerate() {
                assert_eq!(weighted.values()[pixel * 16 + channel], a * map.values()[pixel]);
            }
        }
        weighted.keep_where_positive(Isa::current(), &b);
        assert!(weighted.values().iter().zip(b.values()).all(|(value, &gate)| gate > 0.0 || *value == 0.0));
    }
}
