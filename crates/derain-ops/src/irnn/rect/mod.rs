//! The scans of rectangles whose channels lie side by side, for the inference path: one direction at a time, from a
//! state that a neighbouring rectangle left to the state that the next one needs. Cutting a picture into rectangles
//! changes no bit.

mod gradient;

pub use gradient::ScanSums;

use super::Direction;
use crate::element::Element;
use crate::rect::{Rect, RectMut, padded};
use crate::simd::{Kernel, Vector};
use crate::{Error, Isa, Result};

/// One IRNN's coefficients, ready to scan rectangles of `padded(C)` channels.
#[derive(Clone, Debug)]
pub struct RectScans<E = f32> {
    isa: Isa,
    channels: usize,
    /// `[4, padded C]`.
    weights: Vec<E>,
    biases: Vec<E>,
}

/// What a scan weights its results by: a rectangle as large as the scanned one with one channel per direction.
pub type DirectionMaps<'a, E = f32> = Rect<'a, E>;

/// What the first line of a scan follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it is the picture's first, whatever the state holds.
    Border,
    /// The line whose h the state holds.
    AfterState,
}

impl Start {
    /// The border where the first line is the picture's first.
    pub fn border_if(first: bool) -> Self {
        if first { Self::Border } else { Self::AfterState }
    }
}

impl<E: Element> RectScans<E> {
    /// From `weights` and `biases` `[4, C]`, in the order of [`Direction`].
    ///
    /// # Errors
    /// When their lengths are not 4·C.
    pub fn new(isa: Isa, channels: usize, weights: &[E], biases: &[E]) -> Result<Self> {
        for (argument, values) in [("weights", weights), ("biases", biases)] {
            let (expected, got) = (4 * channels, values.len());
            if expected != got || channels == 0 {
                return Err(Error::Length { op: "RectScans", argument, expected, got });
            }
        }
        let pad = |values: &[E]| {
            let mut all = vec![E::ZERO; 4 * padded(channels)];
            for (all, values) in all.chunks_mut(padded(channels)).zip(values.chunks(channels)) {
                all[..channels].copy_from_slice(values);
            }
            all
        };
        Ok(Self { isa, channels: padded(channels), weights: pad(weights), biases: pad(biases) })
    }

    /// Scans `source` in one direction, writing only `state`: it holds h of the line before, a row or column of pixels
    /// with their channels, and then that of the last line.
    ///
    /// # Panics
    /// When `source` or `state` is of another size.
    pub fn advance(&self, direction: Direction, source: Rect<'_, E>, start: Start, state: &mut [E]) {
        self.run(direction, source, start, state, None);
    }

    /// As [`Self::advance`], and writes the results to `out`, times the direction's map if there are maps.
    ///
    /// # Panics
    /// When a rectangle or `state` is of another size.
    pub fn scan(
        &self,
        direction: Direction,
        source: Rect<'_, E>,
        start: Start,
        state: &mut [E],
        maps: Option<DirectionMaps<'_, E>>,
        out: RectMut<'_, E>,
    ) {
        let size = (source.rows(), source.columns());
        assert!(maps.is_none_or(|maps| (maps.rows(), maps.columns()) == size && maps.channels() == 4), "other maps");
        let fits = (out.rows(), out.columns()) == size && out.channels() == self.channels;
        assert!(fits, "a result of another size");
        self.run(direction, source, start, state, Some(Results { maps, out }));
    }

    fn run(
        &self,
        direction: Direction,
        source: Rect<'_, E>,
        start: Start,
        state: &mut [E],
        results: Option<Results<'_, '_, E>>,
    ) {
        let (_, across) = direction.along_and_across(source.rows(), source.columns());
        assert!(source.channels() == self.channels && state.len() == across * self.channels, "of another size");
        let (a, b) = self.coefficients(direction);
        E::run(self.isa, Scan { direction, a, b, source, start, state, results });
    }

    /// a and b of a direction, for all padded channels.
    fn coefficients(&self, direction: Direction) -> (&[E], &[E]) {
        let range = direction as usize * self.channels..(direction as usize + 1) * self.channels;
        (&self.weights[range.clone()], &self.biases[range])
    }
}

struct Scan<'a, 'o, E> {
    direction: Direction,
    a: &'a [E],
    b: &'a [E],
    source: Rect<'a, E>,
    start: Start,
    state: &'a mut [E],
    results: Option<Results<'a, 'o, E>>,
}

/// Where a scan writes its results, and what it weights them by; both as large as its source.
struct Results<'a, 'o, E> {
    maps: Option<DirectionMaps<'a, E>>,
    out: RectMut<'o, E>,
}

/// Chains of a scan that are in work together, to hide the latency of a multiply-add and a maximum.
const CHAINS: usize = 8;

impl<E: Element> Kernel<E> for Scan<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        match &self.results {
            None => self.lines::<V, false, false>(),
            Some(Results { maps: None, .. }) => self.lines::<V, true, false>(),
            Some(Results { maps: Some(_), .. }) => self.lines::<V, true, true>(),
        }
    }
}

impl<E: Element> Scan<'_, '_, E> {
    /// Takes chains in groups: neighbouring columns of a vertical scan, neighbouring rows of a horizontal one.
    #[inline(always)]
    fn lines<V: Vector<Elem = E>, const WRITES: bool, const WEIGHTED: bool>(mut self) {
        let channels = self.source.channels();
        let across = self.state.len() / channels;
        for channel in (0..channels).step_by(V::LANES) {
            let mut first = 0;
            while first < across {
                if across - first >= CHAINS {
                    self.chains::<V, CHAINS, WRITES, WEIGHTED>(channel, first);
                    first += CHAINS;
                } else {
                    self.chains::<V, 1, WRITES, WEIGHTED>(channel, first);
                    first += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn chains<V: Vector<Elem = E>, const N: usize, const WRITES: bool, const WEIGHTED: bool>(
        &mut self,
        channel: usize,
        first: usize,
    ) {
        let Self { direction, source, start, ref mut state, ref mut results, .. } = *self;
        let channels = source.channels();
        let (length, across) = direction.along_and_across(source.rows(), source.columns());
        assert!(first + N <= across && channel + V::LANES <= channels, "beyond the rectangle");
        // Elements from one step of the scan to the next, and from one chain to the next.
        let (step, chain) = direction.along_and_across(source.row_stride(), channels);
        let (maps, out) = match results {
            None => (None, None),
            Some(Results { maps, out }) => (*maps, Some(out)),
        };
        let (out_step, out_chain) =
            out.as_ref().map_or((0, 0), |out| direction.along_and_across(out.row_stride(), channels));
        let (map_step, map_chain) = maps.map_or((0, 0), |maps| direction.along_and_across(maps.row_stride(), 4));
        let out = out.map_or(std::ptr::null_mut(), RectMut::as_mut_ptr);
        let map = maps.map_or(std::ptr::null(), |maps| maps.as_ptr());
        let (a, b) = (V::load(&self.a[channel..]), V::load(&self.b[channel..]));
        let mut h = [V::splat(E::ZERO); N];
        for (n, h) in h.iter_mut().enumerate() {
            *h = V::load(&state[(first + n) * channels + channel..]);
        }
        for i in 0..length {
            let line = direction.line(i, length);
            for (n, h) in h.iter_mut().enumerate() {
                let at = line * step + (first + n) * chain + channel;
                // SAFETY: the rectangle holds `length` lines of `across` pixels of `channels` elements, and chain and
                // channel lie inside, as asserted above; so do `out` and `maps`, which `RectScans::scan` has compared
                // with the source.
                unsafe {
                    let x = V::load_from(source.as_ptr().add(at));
                    *h = if start == Start::Border && i == 0 { x.relu() } else { a.mul_add(*h, b.add(x)).relu() };
                    if WRITES {
                        let mut result = *h;
                        if WEIGHTED {
                            let map = map.add(line * map_step + (first + n) * map_chain + direction as usize);
                            result = result.mul(V::splat(*map));
                        }
                        result.store_to(out.add(line * out_step + (first + n) * out_chain + channel));
                    }
                }
            }
        }
        for (n, h) in h.into_iter().enumerate() {
            h.store(&mut state[(first + n) * channels + channel..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;
    use crate::{Planes, irnn};

    const CHANNELS: usize = 5;

    /// Scans `length` lines in pieces that end at `cuts`, as a caller that walks over a picture does; results as pixels
    /// of `padded(C)`.
    fn in_pieces(isa: Isa, case: &Case, direction: Direction, weighted: bool, cuts: &[usize]) -> Vec<f32> {
        let scans = RectScans::new(isa, CHANNELS, &case.weights, &case.biases).expect("fits");
        let Planes { height, width, .. } = case.planes;
        let channels = padded(CHANNELS);
        let source = Rect::new(&case.pixels, height, width, channels, width * channels);
        let maps = Rect::new(&case.maps, height, width, 4, width * 4);
        let mut out = vec![f32::NAN; source.row_stride() * height];
        let length = if direction.is_vertical() { height } else { width };
        let mut ends: Vec<usize> = [&[0], cuts, &[length]].concat().into_iter().filter(|&cut| cut <= length).collect();
        ends.dedup();
        let mut pieces: Vec<(usize, usize)> = ends.windows(2).map(|ends| (ends[0], ends[1] - ends[0])).collect();
        if !direction.is_ascending() {
            pieces.reverse();
        }
        let across = if direction.is_vertical() { width } else { height };
        let mut state = vec![f32::NAN; across * channels];
        for (at, (start, count)) in pieces.into_iter().enumerate() {
            let mut out = RectMut::new(&mut out, height, width, channels, width * channels);
            let (row, column, rows, columns) =
                if direction.is_vertical() { (start, 0, count, width) } else { (0, start, height, count) };
            let maps = weighted.then(|| maps.part(row, column, rows, columns));
            let source = source.part(row, column, rows, columns);
            let (start, out) = (Start::border_if(at == 0), out.part(row, column, rows, columns));
            scans.scan(direction, source, start, &mut state, maps, out);
        }
        out
    }

    struct Case {
        planes: Planes,
        weights: Vec<f32>,
        biases: Vec<f32>,
        /// `[H, W, padded C]`.
        pixels: Vec<f32>,
        /// `[H, W, 4]`.
        maps: Vec<f32>,
    }

    impl Case {
        fn new(height: usize, width: usize) -> Self {
            let planes = Planes { batch: 1, channels: CHANNELS, height, width };
            let mut noise = Noise::new(21);
            let mut draw = |count, low, high| -> Vec<f32> {
                noise.uniform(count, low, high).into_iter().map(|value| value as f32).collect()
            };
            let mut pixels = draw(planes.pixels() * padded(CHANNELS), -1.0, 1.0);
            pixels.chunks_mut(padded(CHANNELS)).for_each(|pixel| pixel[CHANNELS..].fill(0.0));
            let maps = draw(planes.pixels() * 4, 0.0, 1.0);
            Self { planes, weights: draw(4 * CHANNELS, -0.9, 0.9), biases: draw(4 * CHANNELS, -0.3, 0.5), pixels, maps }
        }

        /// What the reference makes of it, in one direction, as pixels.
        fn expected(&self, direction: Direction, weighted: bool) -> Vec<f64> {
            let pixels = self.planes.pixels();
            let plane = |values: &[f32], stride: usize, channel: usize| -> Vec<f64> {
                values.iter().skip(channel).step_by(stride).map(|&value| value.into()).collect()
            };
            let x: Vec<f64> = (0..CHANNELS).flat_map(|c| plane(&self.pixels, padded(CHANNELS), c)).collect();
            let maps: Vec<f64> = (0..4).flat_map(|d| plane(&self.maps, 4, d)).collect();
            let [weights, biases] = [plane(&self.weights, 1, 0), plane(&self.biases, 1, 0)];
            let maps = if weighted { maps } else { vec![1.0; maps.len()] };
            let h = irnn::reference::forward(self.planes, &x, &weights, &biases, &maps);
            let mut expected = vec![0.0; pixels * padded(CHANNELS)];
            for (channel, plane) in h.chunks(pixels).skip(direction as usize * CHANNELS).take(CHANNELS).enumerate() {
                for (pixel, &value) in plane.iter().enumerate() {
                    expected[pixel * padded(CHANNELS) + channel] = value;
                }
            }
            expected
        }
    }

    #[test]
    fn pieces_equal_the_reference_and_one_piece_bit_by_bit() {
        for (height, width) in [(1, 1), (1, 9), (9, 1), (4, 7), (8, 8), (17, 23)] {
            let case = Case::new(height, width);
            for isa in Isa::available() {
                for direction in Direction::ALL {
                    for weighted in [false, true] {
                        let whole = in_pieces(isa, &case, direction, weighted, &[]);
                        let what = format!("{isa:?} {height}x{width} {direction:?} weighted: {weighted}");
                        for (at, (&got, expected)) in whole.iter().zip(case.expected(direction, weighted)).enumerate() {
                            assert!((f64::from(got) - expected).abs() < 1e-5, "{what}, {at}: {got} for {expected}");
                        }
                        let pieces = in_pieces(isa, &case, direction, weighted, &[1, 4, 11]);
                        assert!(whole.iter().zip(&pieces).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn advancing_leaves_the_state_that_a_scan_leaves() {
        let case = Case::new(6, 11);
        let Planes { height, width, .. } = case.planes;
        let channels = padded(CHANNELS);
        let source = Rect::new(&case.pixels, height, width, channels, width * channels);
        for isa in Isa::available() {
            let scans = RectScans::new(isa, CHANNELS, &case.weights, &case.biases).expect("fits");
            for direction in Direction::ALL {
                for start in [Start::Border, Start::AfterState] {
                    let (_, across) = direction.along_and_across(height, width);
                    let (mut advanced, mut scanned) = (vec![0.25; across * channels], vec![0.25; across * channels]);
                    scans.advance(direction, source, start, &mut advanced);
                    let mut out = vec![0.0; case.pixels.len()];
                    let out = RectMut::new(&mut out, height, width, channels, width * channels);
                    scans.scan(direction, source, start, &mut scanned, None, out);
                    assert_eq!(advanced, scanned, "{isa:?} {direction:?} {start:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let result = RectScans::new(Isa::Portable, 3, &[0.0; 12], &[0.0; 11]);
        assert!(matches!(result, Err(Error::Length { argument: "biases", expected: 12, got: 11, .. })), "{result:?}");
    }
}
