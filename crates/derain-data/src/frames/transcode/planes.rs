//! RGB to YCbCr planes, the inverse of the reader's conversion.
//!
//! With the matrix's Kr and Kb: y = Kr R + Kg G + Kb B, u = (B − y) / (2 (1 − Kb)), v = (R − y) / (2 (1 − Kr)) (ITU-R
//! BT.601, BT.709, BT.2020), put on 16..235 and 16..240 in limited range, rounded once. In 4:2:0 a chroma sample lies
//! at the left pixel of two and between two rows: it is made of RGB weighted 1 2 1 across and 1 1 down, columns and
//! rows beyond the edge repeating those at it.

use image::RgbImage;

use crate::frames::colour::{Matrix, Range};

/// Bytes of a pixel.
const RGB: usize = 3;

/// The formula's constants, for RGB on 0..255.
pub(super) struct Levels {
    matrix: Matrix,
    black: f32,
    luma_scale: f32,
    blue_scale: f32,
    red_scale: f32,
}

impl Levels {
    pub(super) fn new(matrix: Matrix, range: Range) -> Self {
        let (black, luma_span, chroma_span) = match range {
            Range::Limited => (16.0, 219.0, 224.0),
            Range::Full => (0.0, 255.0, 255.0),
        };
        let chroma_scale = |weight: f32| chroma_span / (255.0 * 2.0 * (1.0 - weight));
        Self {
            matrix,
            black,
            luma_scale: luma_span / 255.0,
            blue_scale: chroma_scale(matrix.blue),
            red_scale: chroma_scale(matrix.red),
        }
    }

    fn grey(&self, [r, g, b]: [f32; 3]) -> f32 {
        let Matrix { red, blue } = self.matrix;
        red * r + (1.0 - red - blue) * g + blue * b
    }

    fn luma(&self, rgb: [f32; 3]) -> u8 {
        round(self.black + self.luma_scale * self.grey(rgb))
    }

    fn chroma(&self, rgb: [f32; 3]) -> [u8; 2] {
        let grey = self.grey(rgb);
        [128.0 + self.blue_scale * (rgb[2] - grey), 128.0 + self.red_scale * (rgb[0] - grey)].map(round)
    }
}

/// Saturates, as casts from float to integer do.
fn round(value: f32) -> u8 {
    (value + 0.5) as u8
}

/// A plane to write: rows of samples, `stride` bytes apart.
pub(super) struct PlaneMut<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) stride: usize,
}

impl PlaneMut<'_> {
    fn rows(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(self.stride)
    }
}

pub(super) fn luma(image: &RgbImage, levels: &Levels, mut plane: PlaneMut<'_>) {
    for (row, out) in image.as_raw().chunks_exact(RGB * image.width() as usize).zip(plane.rows()) {
        for (pixel, sample) in row.chunks_exact(RGB).zip(out) {
            *sample = levels.luma([pixel[0], pixel[1], pixel[2]].map(f32::from));
        }
    }
}

/// Chroma of every pixel.
pub(super) fn chroma_full(image: &RgbImage, levels: &Levels, [mut blue, mut red]: [PlaneMut<'_>; 2]) {
    let rows = image.as_raw().chunks_exact(RGB * image.width() as usize);
    for ((row, blues), reds) in rows.zip(blue.rows()).zip(red.rows()) {
        for ((pixel, u), v) in row.chunks_exact(RGB).zip(blues).zip(reds) {
            [*u, *v] = levels.chroma([pixel[0], pixel[1], pixel[2]].map(f32::from));
        }
    }
}

/// Chroma of 4:2:0.
pub(super) fn chroma_quarter(image: &RgbImage, levels: &Levels, [mut blue, mut red]: [PlaneMut<'_>; 2]) {
    let (columns, row_bytes) = (image.width() as usize, RGB * image.width() as usize);
    // Two rows' sum.
    let mut pair: Vec<u16> = Vec::with_capacity(row_bytes);
    for ((rows, blues), reds) in image.as_raw().chunks(2 * row_bytes).zip(blue.rows()).zip(red.rows()) {
        let (upper, lower) = rows.split_at(row_bytes);
        let lower = if lower.is_empty() { upper } else { lower };
        pair.clear();
        pair.extend(upper.iter().zip(lower).map(|(&a, &b)| u16::from(a) + u16::from(b)));
        for ((x, u), v) in (0..columns).step_by(2).zip(blues).zip(reds) {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(columns - 1));
            let mean = |channel: usize| {
                let at = |x: usize| pair[RGB * x + channel];
                f32::from(at(left) + 2 * at(x) + at(right)) / 8.0
            };
            [*u, *v] = levels.chroma([mean(0), mean(1), mean(2)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::{Levels, PlaneMut, chroma_full, chroma_quarter, luma};
    use crate::frames::colour::{Encoding, Matrix, Plane, Range, Siting, to_rgb};

    fn planes(image: &RgbImage, levels: &Levels, quarter: bool) -> [Vec<u8>; 3] {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (across, down) = if quarter { (width.div_ceil(2), height.div_ceil(2)) } else { (width, height) };
        let (mut y, mut u, mut v) = (vec![0; width * height], vec![0; across * down], vec![0; across * down]);
        luma(image, levels, PlaneMut { bytes: &mut y, stride: width });
        let chroma = [PlaneMut { bytes: &mut u, stride: across }, PlaneMut { bytes: &mut v, stride: across }];
        if quarter {
            chroma_quarter(image, levels, chroma)
        } else {
            chroma_full(image, levels, chroma)
        }
        [y, u, v]
    }

    #[test]
    fn known_colours_have_the_standards_values() {
        // BT.709, limited: white, black and the primaries of 100 % colour bars.
        let image =
            RgbImage::from_raw(5, 1, vec![255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]).expect("fits");
        let [y, u, v] = planes(&image, &Levels::new(Matrix::BT709, Range::Limited), false);
        assert_eq!(y, [235, 16, 63, 173, 32]);
        assert_eq!(u, [128, 128, 102, 42, 240]);
        assert_eq!(v, [128, 128, 240, 26, 118]);
    }

    #[test]
    fn reading_gives_back_what_was_written() {
        for matrix in [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::SMPTE240, Matrix::FCC] {
            // A step of limited range is 255 / 219 in luma and up to 2.2 in a channel by chroma; half of each may be
            // lost.
            for (range, limit) in [(Range::Full, 2), (Range::Limited, 2)] {
                let levels = Levels::new(matrix, range);
                let steps = [0u8, 37, 90, 128, 201, 255];
                let image = RgbImage::from_fn(36, 6, |x, y| {
                    Rgb([steps[x as usize % 6], steps[x as usize / 6], steps[y as usize]])
                });
                let [y, u, v] = planes(&image, &levels, false);
                let encoding = Encoding { matrix, range, bits: 8, across: Siting::Every, down: Siting::Every };
                let plane = |bytes| Plane { bytes, stride: 36 };
                let back = to_rgb((36, 6), plane(&y), Some([plane(&u), plane(&v)]), &encoding).expect("fits");
                let worst = image.as_raw().iter().zip(back.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(limit), "{matrix:?} {range:?}: {worst:?}");
            }
        }
    }

    #[test]
    fn chroma_of_quarters_is_weighted_by_where_it_lies() {
        let levels = Levels::new(Matrix::BT601, Range::Full);
        // One blue pixel among black ones, at each place of a 5 x 3 picture in turn; weights in eighths.
        for (place, wanted) in [
            ((0, 0), [3, 0, 0, 0, 0, 0]),
            ((1, 1), [1, 1, 0, 0, 0, 0]),
            ((2, 0), [0, 2, 0, 0, 0, 0]),
            ((4, 2), [0, 0, 0, 0, 0, 6]),
            ((3, 2), [0, 0, 0, 0, 2, 2]),
        ] {
            let mut image = RgbImage::new(5, 3);
            image.put_pixel(place.0, place.1, Rgb([0, 0, 248]));
            let [_, u, _] = planes(&image, &levels, true);
            // Kb = 0.114: a blue of b has u = b (1 - Kb) / (2 (1 - Kb)) = b / 2.
            assert_eq!(u, wanted.map(|eighths| 128 + eighths as u8 * 31 / 2 + (eighths as u8 * 31) % 2), "{place:?}");
        }
    }
}
