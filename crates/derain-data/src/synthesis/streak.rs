//! One drop during one exposure: its shape, and drawing it.

use std::ops::Range;

use super::RainOptions;

/// Longer paths cover any picture many times over; pixels.
pub(super) const MAX_LENGTH: f32 = 10_000.0;

/// Radius of the pixel's own blur: with it, the widths of a line that falls on one pixel column and of one
/// that falls between two differ least (1.00 and 1.06 in sum).
const PIXEL_RADIUS: f32 = 0.85;

/// Blur circles start to have an edge at about this diameter in pixels; smaller ones are soft dabs.
const EDGE_DIAMETER: f32 = 16.0;

/// How far drops before the lens are.
pub(super) const BOKEH_DISTANCE: f32 = 0.5;

/// A moving drop's image, see the formula in [`super`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Streak {
    /// Where the drop is when the shutter closes, pixels; the centre of the first pixel is 0.5.
    pub(super) head: [f32; 2],
    /// Unit vector of its movement.
    pub(super) direction: [f32; 2],
    /// Path during the exposure, pixels.
    pub(super) length: f32,
    /// Of the footprint, pixels.
    pub(super) radius: f32,
    /// How steep the footprint's edge is: g in that formula, at least 1.
    pub(super) edge: f32,
    /// Opacity in the middle, 0 to 1, before the course's changes.
    pub(super) opacity: f32,
    pub(super) course: Course,
}

/// How opacity changes along a path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Course {
    /// From −1 to 1: how much the head is brighter than the tail.
    pub(super) taper: f32,
    /// From 0 to 1: how far both ends fade out.
    pub(super) soft_ends: f32,
    /// From 0 to 1: by how much opacity goes up and down.
    pub(super) beading: f32,
    /// Ups and downs along the path, and where in one the head is.
    pub(super) beads: f32,
    pub(super) phase: f32,
}

impl Course {
    /// Factor at a share of the way from head to tail.
    fn at(&self, place: f32) -> f32 {
        let fade = 1.0 - self.soft_ends * (1.0 - 4.0 * place * (1.0 - place));
        // A triangle wave: cheaper than a sine, and the footprint rounds it off to the eye.
        let bead = self.phase + self.beads * place;
        let wave = 4.0 * (bead - bead.floor() - 0.5).abs() - 1.0;
        fade * (1.0 + self.taper * (1.0 - 2.0 * place)) * (1.0 + self.beading * wave)
    }
}

/// Width, blur and the fading that they cause.
pub(super) struct Footprint {
    pub(super) radius: f32,
    pub(super) edge: f32,
    /// Opacity against that of the same drop in focus and not smaller than a pixel.
    pub(super) dilution: f32,
}

impl Footprint {
    /// Of a drop of `width` pixels that leaves a path of `length` pixels, seen through a circle of confusion.
    pub(super) fn of_drop(width: f32, length: f32, confusion: f32) -> Self {
        let drop = 0.5 * width;
        let radius = (drop * drop + 0.25 * confusion * confusion + PIXEL_RADIUS * PIXEL_RADIUS).sqrt();
        // Light spreads across the path always, along it only by what the ends gain.
        let dilution = drop / radius * (length + 2.0 * drop) / (length + 2.0 * radius);
        // Movement takes the edge off.
        let still = confusion / (confusion + length + f32::MIN_POSITIVE);
        Self { radius, edge: 1.0 + still * confusion / EDGE_DIAMETER, dilution }
    }

    /// Of a drop before the lens, all blur. It hides what is behind during the share of the exposure that it is there.
    pub(super) fn of_bokeh(diameter: f32, length: f32) -> Self {
        Self {
            radius: 0.5 * diameter,
            dilution: diameter / (diameter + length),
            ..Self::of_drop(0.0, length, diameter)
        }
    }
}

/// Circle of confusion at a distance, pixels, by the thin lens.
pub(super) fn confusion(options: &RainOptions, distance: f32) -> f32 {
    options.defocus * (1.0 / distance - 1.0 / options.focus).abs()
}

/// Pixels that a drop of mean size at `distance` touches.
pub(super) fn touched_pixels(options: &RainOptions, distance: f32) -> f32 {
    let (width, length) = (options.thickness / distance, options.speed * options.exposure / distance);
    area(length, Footprint::of_drop(width, length, confusion(options, distance)).radius)
}

/// Pixels that a drop before the lens touches.
pub(super) fn bokeh_touched_pixels(options: &RainOptions) -> f32 {
    area(options.speed * options.exposure / BOKEH_DISTANCE, 0.5 * options.bokeh.diameter)
}

fn area(length: f32, radius: f32) -> f32 {
    2.0 * radius * length + std::f32::consts::PI * radius * radius
}

impl Streak {
    /// The rows that it may touch, before any cut.
    pub(super) fn rows(&self) -> Range<i64> {
        let tail = self.head[1] - self.direction[1] * self.length;
        let (top, bottom) = (self.head[1].min(tail) - self.radius, self.head[1].max(tail) + self.radius);
        (top - 0.5).ceil() as i64..(bottom - 0.5).floor() as i64 + 1
    }

    /// Whether it may touch a picture of this size.
    pub(super) fn touches(&self, width: u32, height: u32) -> bool {
        let tail = self.head[0] - self.direction[0] * self.length;
        let (left, right) = (self.head[0].min(tail) - self.radius, self.head[0].max(tail) + self.radius);
        let rows = self.rows();
        right > 0.0 && left < width as f32 && rows.end > 0 && rows.start < i64::from(height)
    }

    /// Multiplies what shines through into `clear`, rows of `width` pixels from row `first` on.
    pub(super) fn draw(&self, clear: &mut [f32], width: usize, first: i64) {
        let kernel = Kernel::new(self);
        let [dx, dy] = self.direction;
        let last = first + (clear.len() / width) as i64;
        let rows = self.rows();
        let tail_x = self.head[0] - dx * self.length;
        let (left, right) = (self.head[0].min(tail_x) - self.radius, self.head[0].max(tail_x) + self.radius);
        for row in rows.start.max(first)..rows.end.min(last) {
            let y = row as f32 + 0.5 - self.head[1];
            // Where the row crosses the endless strip of the path.
            let (middle, reach) = (self.head[0] + y * dx / dy, self.radius / dy.abs());
            let start = ((left.max(middle - reach) - 0.5).ceil().max(0.0) as usize).min(width);
            let end = ((right.min(middle + reach) - 0.5).floor() + 1.0).max(0.0) as usize;
            let offset = (row - first) as usize * width;
            let pixels = &mut clear[offset + start..offset + end.clamp(start, width)];
            for (column, clear) in pixels.iter_mut().enumerate() {
                let x = (start + column) as f32 + 0.5 - self.head[0];
                let (along, across) = (x * dx + y * dy, x * dy - y * dx);
                *clear *= 1.0 - kernel.opacity(across * across, -along);
            }
        }
    }
}

/// The formula with what depends on the streak alone worked out.
struct Kernel {
    length: f32,
    /// Squared radii of the two parabolas whose difference is the footprint, and the weight of the first.
    outer: f32,
    inner: f32,
    edge: f32,
    scale: f32,
    course: Course,
    radius: f32,
    per_length: f32,
}

impl Kernel {
    fn new(streak: &Streak) -> Self {
        let outer = streak.radius * streak.radius;
        let mut kernel = Self {
            length: streak.length,
            outer,
            inner: outer * (1.0 - 1.0 / streak.edge),
            edge: streak.edge,
            scale: 1.0,
            course: Course::default(),
            radius: streak.radius,
            per_length: 1.0 / (streak.length + 2.0 * streak.radius),
        };
        let peak = kernel.exposure(0.0, 0.5 * streak.length);
        kernel.scale = if peak > 0.0 { streak.opacity / peak } else { 0.0 };
        kernel.course = streak.course;
        kernel
    }

    /// Opacity at a squared distance across the path and a distance behind the head.
    fn opacity(&self, across: f32, behind: f32) -> f32 {
        let place = ((behind + self.radius) * self.per_length).clamp(0.0, 1.0);
        (self.scale * self.exposure(across, behind) * self.course.at(place)).clamp(0.0, 1.0)
    }

    /// The integral of the formula in [`super`].
    fn exposure(&self, across: f32, behind: f32) -> f32 {
        if across >= self.outer {
            return 0.0;
        }
        let (from, to) = (behind - self.length, behind);
        let mut sum = self.edge * parabola(self.outer, across, from, to);
        if across < self.inner {
            sum -= (self.edge - 1.0) * parabola(self.inner, across, from, to);
        }
        sum
    }
}

/// ∫ max(0, 1 − (σ² + u²) / r²) dσ from `from` to `to`, for u² < r².
fn parabola(radius2: f32, across: f32, from: f32, to: f32) -> f32 {
    let half = (radius2 - across).sqrt();
    let (from, to) = (from.clamp(-half, half), to.clamp(-half, half));
    let inverse = 1.0 / radius2;
    let integral = |s: f32| s * ((radius2 - across) - s * s * (1.0 / 3.0)) * inverse;
    integral(to) - integral(from)
}

#[cfg(test)]
mod tests {
    use super::{Course, Footprint, Streak};

    /// Opacity in the middle of every pixel, by adding up footprints along the path.
    fn reference(streak: &Streak, width: usize, height: usize) -> Vec<f32> {
        const STEPS: usize = 4000;
        let footprint = |x: f64, y: f64| {
            let q = (x * x + y * y) / f64::from(streak.radius).powi(2);
            (f64::from(streak.edge) * (1.0 - q)).clamp(0.0, 1.0)
        };
        let [dx, dy] = streak.direction.map(f64::from);
        let exposed = |x: f64, y: f64| {
            let positions = (0..STEPS).map(|step| (step as f64 + 0.5) / STEPS as f64 * f64::from(streak.length));
            positions.map(|back| footprint(x + back * dx, y + back * dy)).sum::<f64>()
        };
        let peak = exposed(-0.5 * f64::from(streak.length) * dx, -0.5 * f64::from(streak.length) * dy);
        let pixels = (0..width * height).map(|index| {
            let x = (index % width) as f64 + 0.5 - f64::from(streak.head[0]);
            let y = (index / width) as f64 + 0.5 - f64::from(streak.head[1]);
            let place = ((f64::from(streak.radius) - x * dx - y * dy) / f64::from(streak.length + 2.0 * streak.radius))
                .clamp(0.0, 1.0);
            (f64::from(streak.opacity) * exposed(x, y) / peak * f64::from(streak.course.at(place as f32))).min(1.0)
                as f32
        });
        pixels.collect()
    }

    #[test]
    fn drawn_as_the_sum_of_footprints() {
        let course = Course { taper: 0.5, soft_ends: 0.7, beading: 0.2, beads: 2.0, phase: 0.3 };
        for (length, radius, edge, degrees, course) in [
            (20.0, 1.2, 1.0, 0.0f32, Course::default()),
            (20.0, 1.2, 1.0, 50.0, course),
            (3.0, 8.0, 6.0, -20.0, Course::default()),
            (12.0, 5.0, 2.5, -75.0, course),
            (0.5, 0.85, 1.0, 10.0, Course::default()),
        ] {
            let direction = [degrees.to_radians().sin(), degrees.to_radians().cos()];
            let streak = Streak { head: [20.3, 24.6], direction, length, radius, edge, opacity: 0.4, course };
            let mut clear = vec![1.0; 40 * 36];
            // In two parts, as bands do.
            let (top, bottom) = clear.split_at_mut(40 * 20);
            streak.draw(top, 40, 0);
            streak.draw(bottom, 40, 20);
            for (index, (clear, expected)) in clear.iter().zip(reference(&streak, 40, 36)).enumerate() {
                assert!((1.0 - clear - expected).abs() < 2e-3, "{length} {radius}: {index} {} {expected}", 1.0 - clear);
            }
        }
    }

    #[test]
    fn blur_spreads_light_and_keeps_its_amount() {
        let amount = |width, confusion| {
            let footprint = Footprint::of_drop(width, 1000.0, confusion);
            footprint.dilution * footprint.radius
        };
        for (width, confusion) in [(0.3, 0.0), (2.0, 5.0), (2.0, 30.0)] {
            assert!((amount(width, confusion) / (0.5 * width) - 1.0).abs() < 0.04);
        }
    }
}
