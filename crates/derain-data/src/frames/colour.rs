//! YCbCr planes to RGB.
//!
//! With Kr and Kb of the matrix, Kg = 1 − Kr − Kb, luma y in 0..1 and chroma u, v in −0.5..0.5:
//! R = y + 2 (1 − Kr) v, B = y + 2 (1 − Kb) u, G = (y − Kr R − Kb B) / Kg (ITU-R BT.601, BT.709,
//! BT.2020). Limited range puts y on 16..235 and u, v on 16..240 of 8 bits. Samples of more bits are
//! rounded once, in RGB.

use image::RgbImage;
use rayon::prelude::*;

/// Weights of red and blue in luma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Matrix {
    pub(super) red: f32,
    pub(super) blue: f32,
}

impl Matrix {
    pub(super) const BT601: Self = Self { red: 0.299, blue: 0.114 };
}

/// Matrices that only videos name.
#[cfg(any(test, feature = "video"))]
impl Matrix {
    pub(super) const BT709: Self = Self { red: 0.2126, blue: 0.0722 };
    pub(super) const BT2020: Self = Self { red: 0.2627, blue: 0.0593 };
    pub(super) const SMPTE240: Self = Self { red: 0.212, blue: 0.087 };
    pub(super) const FCC: Self = Self { red: 0.30, blue: 0.11 };
}

/// Which part of the samples' range is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Limited,
    Full,
}

/// How the chroma samples of one axis lie among the luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Siting {
    /// As many as luma samples.
    Every,
    /// One for two, in the middle between them.
    Between,
    /// One for two, at the first of them.
    First,
}

impl Siting {
    /// Chroma samples along an axis of `length` luma samples.
    pub(super) fn samples(self, length: usize) -> usize {
        if self == Self::Every { length } else { length.div_ceil(2) }
    }

    /// The two chroma samples beside luma sample `at` and their weights in quarters.
    fn neighbours(self, at: usize, samples: usize) -> [(usize, u32); 2] {
        let near = at / 2;
        let next = (near + 1).min(samples - 1);
        match (self, at % 2) {
            (Self::Every, _) => [(at, 4), (at, 0)],
            (Self::Between, 0) => [(near, 3), (near.saturating_sub(1), 1)],
            (Self::Between, _) => [(near, 3), (next, 1)],
            (Self::First, 0) => [(near, 4), (near, 0)],
            (Self::First, _) => [(near, 2), (next, 2)],
        }
    }
}

/// One plane: rows of samples, `stride` bytes apart.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
}

/// What the samples mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Encoding {
    pub(super) matrix: Matrix,
    pub(super) range: Range,
    /// Bits of a sample; above 8 a sample is two bytes, the low one first.
    pub(super) bits: u32,
    /// Horizontal.
    pub(super) across: Siting,
    /// Vertical.
    pub(super) down: Siting,
}

impl Encoding {
    fn bytes_per_sample(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }
}

/// RGB of a luma plane and, unless the picture is grey, two chroma planes. `None` if a plane is too
/// short for the size.
pub(super) fn to_rgb(
    (width, height): (u32, u32),
    luma: Plane,
    chroma: Option<[Plane; 2]>,
    encoding: &Encoding,
) -> Option<RgbImage> {
    let (columns, rows) = (width as usize, height as usize);
    let (across, down) = (encoding.across.samples(columns), encoding.down.samples(rows));
    let sample_bytes = encoding.bytes_per_sample();
    let fits = |plane: &Plane, columns: usize, rows: usize| {
        let last =
            plane.stride.checked_mul(rows.saturating_sub(1)).and_then(|at| at.checked_add(columns * sample_bytes));
        plane.stride >= columns * sample_bytes && last.is_some_and(|end| end <= plane.bytes.len())
    };
    let chroma_fits = chroma.iter().flatten().all(|plane| fits(plane, across, down));
    if !fits(&luma, columns, rows) || !chroma_fits {
        return None;
    }
    let levels = Levels::new(encoding);
    let mut image = RgbImage::new(width, height);
    if columns > 0 {
        image.par_chunks_exact_mut(3 * columns).enumerate().for_each_init(Scratch::default, |scratch, (y, out)| {
            read_row(&mut scratch.luma, luma, y, columns, sample_bytes);
            let Some([blue, red]) = chroma else {
                for (pixel, &y) in out.chunks_exact_mut(3).zip(&scratch.luma) {
                    pixel.fill(round(levels.luma(y)));
                }
                return;
            };
            let vertical = encoding.down.neighbours(y, down);
            scratch.blue.interpolate(blue, vertical, columns, across, encoding);
            scratch.red.interpolate(red, vertical, columns, across, encoding);
            for (((pixel, &y), &u), &v) in
                out.chunks_exact_mut(3).zip(&scratch.luma).zip(&scratch.blue.full).zip(&scratch.red.full)
            {
                let (y, u, v) = (levels.luma(y), levels.chroma(u), levels.chroma(v));
                pixel[0] = round(y + levels.red_v * v);
                pixel[1] = round(y - levels.green_u * u - levels.green_v * v);
                pixel[2] = round(y + levels.blue_u * u);
            }
        });
    }
    Some(image)
}

/// Saturates, as casts from float to integer do.
fn round(value: f32) -> u8 {
    (value + 0.5) as u8
}

/// The formula's constants, for results on 0..255.
struct Levels {
    black: f32,
    luma_scale: f32,
    middle: f32,
    chroma_scale: f32,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
}

impl Levels {
    fn new(encoding: &Encoding) -> Self {
        let Matrix { red, blue } = encoding.matrix;
        let green = 1.0 - red - blue;
        let unit = (1u32 << (encoding.bits - 8)) as f32;
        let (black, luma_span, chroma_span) = match encoding.range {
            Range::Limited => (16.0 * unit, 219.0 * unit, 224.0 * unit),
            Range::Full => (0.0, 256.0 * unit - 1.0, 256.0 * unit - 1.0),
        };
        Self {
            black,
            luma_scale: 255.0 / luma_span,
            // Interpolated chroma is in sixteenths.
            middle: 16.0 * 128.0 * unit,
            chroma_scale: 255.0 / (16.0 * chroma_span),
            red_v: 2.0 * (1.0 - red),
            green_u: 2.0 * blue * (1.0 - blue) / green,
            green_v: 2.0 * red * (1.0 - red) / green,
            blue_u: 2.0 * (1.0 - blue),
        }
    }

    fn luma(&self, sample: u16) -> f32 {
        (f32::from(sample) - self.black) * self.luma_scale
    }

    fn chroma(&self, sixteenths: u32) -> f32 {
        (sixteenths as f32 - self.middle) * self.chroma_scale
    }
}

/// Rows of one thread.
#[derive(Default)]
struct Scratch {
    luma: Vec<u16>,
    blue: ChromaRow,
    red: ChromaRow,
}

#[derive(Default)]
struct ChromaRow {
    rows: [Vec<u16>; 2],
    /// The two rows' weighted sum, in quarters.
    blended: Vec<u32>,
    /// The row at luma's resolution, in sixteenths.
    full: Vec<u32>,
}

impl ChromaRow {
    fn interpolate(
        &mut self,
        plane: Plane,
        vertical: [(usize, u32); 2],
        columns: usize,
        samples: usize,
        encoding: &Encoding,
    ) {
        for (row, (y, _)) in self.rows.iter_mut().zip(vertical) {
            read_row(row, plane, y, samples, encoding.bytes_per_sample());
        }
        let [(_, near), (_, far)] = vertical;
        self.blended.clear();
        let pairs = self.rows[0].iter().zip(&self.rows[1]);
        self.blended.extend(pairs.map(|(&a, &b)| near * u32::from(a) + far * u32::from(b)));
        self.full.clear();
        self.full.extend((0..columns).map(|x| {
            let [(a, near), (b, far)] = encoding.across.neighbours(x, samples);
            near * self.blended[a] + far * self.blended[b]
        }));
    }
}

fn read_row(row: &mut Vec<u16>, plane: Plane, y: usize, samples: usize, sample_bytes: usize) {
    let bytes = &plane.bytes[y * plane.stride..][..samples * sample_bytes];
    row.clear();
    if sample_bytes == 1 {
        row.extend(bytes.iter().map(|&byte| u16::from(byte)));
    } else {
        row.extend(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Matrix, Plane, Range, Siting, to_rgb};

    /// The formulas of the module's documentation, in f64.
    fn reference(y: f64, u: f64, v: f64, matrix: Matrix, range: Range, bits: u32) -> [f64; 3] {
        let (kr, kb) = (f64::from(matrix.red), f64::from(matrix.blue));
        let unit = f64::from(1 << (bits - 8));
        let (y, u, v) = match range {
            Range::Limited => ((y / unit - 16.0) / 219.0, (u / unit - 128.0) / 224.0, (v / unit - 128.0) / 224.0),
            Range::Full => {
                let top = 256.0 * unit - 1.0;
                (y / top, (u - 128.0 * unit) / top, (v - 128.0 * unit) / top)
            }
        };
        let red = y + 2.0 * (1.0 - kr) * v;
        let blue = y + 2.0 * (1.0 - kb) * u;
        [red, (y - kr * red - kb * blue) / (1.0 - kr - kb), blue].map(|value| (255.0 * value).clamp(0.0, 255.0))
    }

    #[test]
    fn every_matrix_range_and_depth_follows_the_formula() {
        for matrix in [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::SMPTE240, Matrix::FCC] {
            for (range, bits) in [(Range::Limited, 8), (Range::Full, 8), (Range::Limited, 10), (Range::Full, 12)] {
                let encoding = Encoding { matrix, range, bits, across: Siting::Every, down: Siting::Every };
                let top = (1u32 << bits) - 1;
                let steps = [0, 16, 60, 128, 181, 235, 240, 255].map(|level| level * top / 255);
                for index in 0..steps.len().pow(3) {
                    let [y, u, v] = [index % 8, index / 8 % 8, index / 64].map(|step| &steps[step]);
                    let bytes = |sample: &u32| sample.to_le_bytes();
                    let (y_bytes, u_bytes, v_bytes) = (bytes(y), bytes(u), bytes(v));
                    let plane = |bytes| Plane { bytes, stride: 2 };
                    let image = to_rgb((1, 1), plane(&y_bytes), Some([plane(&u_bytes), plane(&v_bytes)]), &encoding)
                        .expect("fits");
                    let wanted = reference(f64::from(*y), f64::from(*u), f64::from(*v), matrix, range, bits);
                    for (got, wanted) in image.as_raw().iter().zip(wanted) {
                        assert!(
                            (f64::from(*got) - wanted).abs() < 0.5 + 1e-3,
                            "{encoding:?} {y} {u} {v}: {got} {wanted}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_is_interpolated_from_where_it_lies() {
        let weights = |siting: Siting, at, samples| {
            let mut row = vec![0; samples];
            for (sample, weight) in siting.neighbours(at, samples) {
                row[sample] += weight;
            }
            row
        };
        assert_eq!(weights(Siting::Every, 2, 3), [0, 0, 4]);
        // Sample k lies at 2 k + 0.5.
        assert_eq!(weights(Siting::Between, 0, 3), [4, 0, 0]);
        assert_eq!(weights(Siting::Between, 1, 3), [3, 1, 0]);
        assert_eq!(weights(Siting::Between, 2, 3), [1, 3, 0]);
        assert_eq!(weights(Siting::Between, 5, 3), [0, 0, 4]);
        // Sample k lies at 2 k.
        assert_eq!(weights(Siting::First, 2, 3), [0, 4, 0]);
        assert_eq!(weights(Siting::First, 3, 3), [0, 2, 2]);
        assert_eq!(weights(Siting::First, 5, 3), [0, 0, 4]);
    }

    #[test]
    fn short_planes_are_noticed() {
        let encoding = Encoding {
            matrix: Matrix::BT601,
            range: Range::Full,
            bits: 8,
            across: Siting::Between,
            down: Siting::Between,
        };
        let plane = |bytes| Plane { bytes, stride: 3 };
        let chroma = |bytes| Some([Plane { bytes, stride: 2 }; 2]);
        assert!(to_rgb((3, 3), plane(&[9; 9]), chroma(&[128; 4]), &encoding).is_some());
        assert!(to_rgb((3, 3), plane(&[9; 8]), chroma(&[128; 4]), &encoding).is_none());
        assert!(to_rgb((3, 3), plane(&[9; 9]), chroma(&[128; 3]), &encoding).is_none());
    }
}
