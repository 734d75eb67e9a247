//! The gradient of one direction's scan of a picture, or of some of its whole chains, whose channels lie side by side.

use std::ops::AddAssign;

use super::{DirectionMaps, RectScans};
use crate::element::Element;
use crate::irnn::Direction;
use crate::rect::{Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// Chains in work together: each holds its gradient and two sums in registers.
const CHAINS: usize = 6;

/// Sums over pixels for each padded channel: the gradients of a direction's weights and biases.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanSums {
    /// Of the weights.
    pub a: Vec<f64>,
    /// Of the biases.
    pub b: Vec<f64>,
}

impl AddAssign for ScanSums {
    fn add_assign(&mut self, other: Self) {
        for (sums, others) in [(&mut self.a, other.a), (&mut self.b, other.b)] {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
    }
}

impl<E: Element> RectScans<E> {
    /// From the scan `h` of a picture, or of some of its whole chains, not weighted, and the gradient of the scan times
    /// its direction's map (if there are maps): adds the gradient of the picture to `of_source`, writes that of the map
    /// to its channel of `of_maps`, and returns those of the coefficients.
    ///
    /// # Panics
    /// When a rectangle is of another size.
    pub fn gradient(
        &self,
        direction: Direction,
        h: Rect<'_, E>,
        grad: Rect<'_, E>,
        maps: Option<(DirectionMaps<'_, E>, RectMut<'_, E>)>,
        of_source: RectMut<'_, E>,
    ) -> ScanSums {
        let size = (h.rows(), h.columns(), self.channels);
        assert!(size == (grad.rows(), grad.columns(), grad.channels()) && h.channels() == self.channels, "other sizes");
        assert!(size == (of_source.rows(), of_source.columns(), of_source.channels()), "a result of another size");
        let narrow = (h.rows(), h.columns(), 4);
        let (maps, of_maps) = maps.unzip();
        assert!(maps.is_none_or(|maps| (maps.rows(), maps.columns(), maps.channels()) == narrow), "other maps");
        let of_fits = |of: &RectMut<'_, E>| (of.rows(), of.columns(), of.channels()) == narrow;
        assert!(of_maps.as_ref().is_none_or(of_fits), "other gradients of maps");
        let (a, _) = self.coefficients(direction);
        let sums = ScanSums { a: vec![0.0; self.channels], b: vec![0.0; self.channels] };
        E::run(self.isa, Gradient { direction, a, h, grad, maps, of_maps, of_source, sums })
    }
}

struct Gradient<'a, 'o, E> {
    direction: Direction,
    a: &'a [E],
    h: Rect<'a, E>,
    grad: Rect<'a, E>,
    maps: Option<DirectionMaps<'a, E>>,
    of_maps: Option<RectMut<'o, E>>,
    of_source: RectMut<'o, E>,
    sums: ScanSums,
}

impl<E: Element> Kernel<E> for Gradient<'_, '_, E> {
    type Output = ScanSums;

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) -> ScanSums {
        let (_, across) = self.direction.along_and_across(self.h.rows(), self.h.columns());
        for channel in (0..self.h.channels()).step_by(V::LANES) {
            let mut first = 0;
            while first < across {
                let weighted = self.maps.is_some();
                match (across - first >= CHAINS, weighted) {
                    (true, false) => self.chains::<V, CHAINS, false>(channel, first),
                    (true, true) => self.chains::<V, CHAINS, true>(channel, first),
                    (false, false) => self.chains::<V, 1, false>(channel, first),
                    (false, true) => self.chains::<V, 1, true>(channel, first),
                }
                first += if across - first >= CHAINS { CHAINS } else { 1 };
            }
        }
        self.sums
    }
}

impl<E: Element> Gradient<'_, '_, E> {
    /// Runs `N` neighbouring chains against the direction of their scan.
    #[inline(always)]
    fn chains<V: Vector<Elem = E>, const N: usize, const WEIGHTED: bool>(&mut self, channel: usize, first: usize) {
        let (direction, h, grad) = (self.direction, self.h, self.grad);
        let channels = h.channels();
        let (length, across) = direction.along_and_across(h.rows(), h.columns());
        assert!(first + N <= across && channel + V::LANES <= channels, "beyond the rectangle");
        // Elements from one step of the scan to the next, and from one chain to the next.
        let (h_step, h_chain) = direction.along_and_across(h.row_stride(), channels);
        let (grad_step, grad_chain) = direction.along_and_across(grad.row_stride(), channels);
        let (dx_step, dx_chain) = direction.along_and_across(self.of_source.row_stride(), channels);
        let (map_step, map_chain) = self.maps.map_or((0, 0), |maps| direction.along_and_across(maps.row_stride(), 4));
        let (dmap_step, dmap_chain) =
            self.of_maps.as_ref().map_or((0, 0), |maps| direction.along_and_across(maps.row_stride(), 4));
        let map = self.maps.map_or(std::ptr::null(), |maps| maps.as_ptr());
        let dmap = self.of_maps.as_mut().map_or(std::ptr::null_mut(), RectMut::as_mut_ptr);
        let dx = self.of_source.as_mut_ptr();
        let a = V::load(&self.a[channel..]);
        let zero = V::splat(E::ZERO);
        let (mut g, mut sum_a, mut sum_b) = ([zero; N], [zero; N], [zero; N]);
        for step in (0..length).rev() {
            let line = direction.line(step, length);
            for n in 0..N {
                let chain = first + n;
                // SAFETY: all rectangles have `length` lines of `across` chains, as `RectScans::gradient` has compared,
                // chains and channels lie inside, as asserted above, and the line before is read only where the scan
                // has one.
                unsafe {
                    let here = V::load_from(h.as_ptr().add(line * h_step + chain * h_chain + channel));
                    let mut arriving = V::load_from(grad.as_ptr().add(line * grad_step + chain * grad_chain + channel));
                    if WEIGHTED {
                        let at = direction as usize;
                        let dot = arriving.mul(here).sum();
                        let target = dmap.add(line * dmap_step + chain * dmap_chain + at);
                        *target = if channel == 0 { dot } else { *target + dot };
                        arriving = arriving.mul(V::splat(*map.add(line * map_step + chain * map_chain + at)));
                    }
                    g[n] = a.mul_add(g[n], arriving).where_positive(here);
                    let target = dx.add(line * dx_step + chain * dx_chain + channel);
                    g[n].add(V::load_from(target)).store_to(target);
                    if step > 0 {
                        let before = direction.line(step - 1, length);
                        let previous = V::load_from(h.as_ptr().add(before * h_step + chain * h_chain + channel));
                        sum_a[n] = g[n].mul_add(previous, sum_a[n]);
                        sum_b[n] = g[n].add(sum_b[n]);
                    }
                }
            }
        }
        // f64 between chains, so that the sums of a large picture keep f32's precision.
        let mut lanes = [E::ZERO; LARGEST_VECTOR];
        for (sums, totals) in [(sum_a, &mut self.sums.a), (sum_b, &mut self.sums.b)] {
            for sum in sums {
                sum.store(&mut lanes[..V::LANES]);
                for (total, lane) in totals[channel..].iter_mut().zip(&lanes[..V::LANES]) {
                    *total += lane.to_f64();
                }
            }
        }
    }
}

/// Lanes of the widest vector.
const LARGEST_VECTOR: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::irnn::{Start, reference};
    use crate::rect::padded;
    use crate::testing::{Noise, assert_close, to_f64};
    use crate::{Isa, Planes};

    /// Compares with the reference's gradients of planes, for one element type.
    fn compare<E: Element>(isa: Isa, planes: Planes, weighted: bool, tolerance: f64) {
        let Planes { channels, height, width, .. } = planes;
        let (wide, pixels) = (padded(channels), planes.pixels());
        let mut noise = Noise::new(31);
        let x = noise.uniform(planes.len(), -1.0, 1.0);
        let (weights, biases) = (noise.uniform(4 * channels, -0.9, 0.9), noise.uniform(4 * channels, -0.3, 0.5));
        let maps = if weighted { noise.uniform(4 * pixels, 0.0, 1.0) } else { vec![1.0; 4 * pixels] };
        let grad = noise.uniform(4 * planes.len(), -1.0, 1.0);
        let expected = reference::backward(planes, &x, &weights, &biases, &maps, &grad);

        let typed = |values: &[f64]| -> Vec<E> { values.iter().map(|&value| E::from_f64(value)).collect() };
        let beside = |planes: &[f64], channels: usize, wide: usize| {
            let mut values = vec![E::ZERO; pixels * wide];
            for (at, &value) in planes.iter().enumerate().take(channels * pixels) {
                values[at % pixels * wide + at / pixels] = E::from_f64(value);
            }
            values
        };
        let scans = RectScans::new(isa, channels, &typed(&weights), &typed(&biases)).expect("fits");
        fn rect<E>(values: &[E], planes: Planes, channels: usize) -> Rect<'_, E> {
            Rect::new(values, planes.height, planes.width, channels, planes.width * channels)
        }
        let (source, maps) = (beside(&x, channels, wide), beside(&maps, 4, 4));
        let (mut of_source, mut of_maps) = (vec![E::ZERO; pixels * wide], vec![E::ZERO; pixels * 4]);
        let (mut da, mut db) = (Vec::new(), Vec::new());
        for direction in Direction::ALL {
            let across = if direction.is_vertical() { width } else { height };
            let (mut state, mut h) = (vec![E::ZERO; across * wide], vec![E::ZERO; pixels * wide]);
            let out = RectMut::new(&mut h, height, width, wide, width * wide);
            scans.scan(direction, rect(&source, planes, wide), Start::Border, &mut state, None, out);
            let grad = beside(&grad[direction as usize * planes.len()..], channels, wide);
            let of_maps = RectMut::new(&mut of_maps, height, width, 4, width * 4);
            let maps = weighted.then(|| (rect(&maps, planes, 4), of_maps));
            let of_source = RectMut::new(&mut of_source, height, width, wide, width * wide);
            let sums = scans.gradient(direction, rect(&h, planes, wide), rect(&grad, planes, wide), maps, of_source);
            da.extend_from_slice(&sums.a[..channels]);
            db.extend_from_slice(&sums.b[..channels]);
        }
        let what = format!("{isa:?} {planes:?} weighted: {weighted}");
        assert_close(&to_f64(&of_source), &to_f64(&beside(&expected.x, channels, wide)), tolerance, &what);
        assert_close(&da, &expected.weights, tolerance, &what);
        assert_close(&db, &expected.biases, tolerance, &what);
        if weighted {
            assert_close(&to_f64(&of_maps), &to_f64(&beside(&expected.directions, 4, 4)), tolerance, &what);
        }
    }

    #[test]
    fn equals_the_reference() {
        for (channels, height, width) in [(1, 1, 1), (5, 1, 9), (16, 9, 1), (20, 7, 13), (33, 16, 8)] {
            let planes = Planes { batch: 1, channels, height, width };
            for weighted in [false, true] {
                compare::<f64>(Isa::Portable, planes, weighted, 1e-12);
                Isa::available().into_iter().for_each(|isa| compare::<f32>(isa, planes, weighted, 2e-5));
            }
        }
    }
}
