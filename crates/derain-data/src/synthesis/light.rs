//! The light around each part of a picture, which drops and veil carry into it.

use image::RgbImage;
use rayon::prelude::*;

use super::srgb;

/// Cells along the picture's longer side. Light that comes from a wide angle has no finer detail.
const CELLS: u32 = 32;

/// Blur radius in cells; three box blurs of it have a standard deviation of a seventh of the longer side.
const BLUR: usize = 3;
const BLURS: usize = 3;

/// Share of the brightest cells that stands for the sky, which most of a drop's light comes from.
const SKY_SHARE: f32 = 0.2;

/// How much of the light is the sky's, the rest being local.
const SKY_WEIGHT: f32 = 0.5;

/// How much of the light's colour remains: a drop mixes all directions.
const SATURATION: f32 = 0.2;

/// Even at night some light falls on the rain, else no rain would be seen.
const FLOOR: f32 = 0.02;

/// Linear light on a coarse grid.
#[derive(Clone, Debug)]
pub(super) struct LightMap {
    columns: usize,
    rows: usize,
    /// Pixels per cell.
    cell: f32,
    cells: Vec<[f32; 3]>,
}

impl LightMap {
    pub(super) fn new(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let cell = width.max(height).div_ceil(CELLS).max(1);
        let (columns, rows) = (width.div_ceil(cell) as usize, height.div_ceil(cell) as usize);
        let mut cells: Vec<[f32; 3]> = (0..columns * rows)
            .into_par_iter()
            .map(|index| mean_light(picture, cell, (index % columns) as u32, (index / columns) as u32))
            .collect();
        let sky = sky(&cells);
        for _ in 0..BLURS {
            cells = blur(&cells, columns, rows);
        }
        for cell in &mut cells {
            let mixed: [f32; 3] = std::array::from_fn(|c| SKY_WEIGHT * sky[c] + (1.0 - SKY_WEIGHT) * cell[c]);
            let luminance = luminance(&mixed);
            *cell = mixed.map(|value| (luminance + SATURATION * (value - luminance)).max(FLOOR));
        }
        Self { columns, rows, cell: cell as f32, cells }
    }

    /// The light along a row of pixels, ready to be asked by column.
    pub(super) fn row(&self, y: usize) -> LightRow {
        let (above, weight) = self.place(y, self.rows);
        let below = (above + 1).min(self.rows - 1);
        let cells = (0..self.columns).map(|column| {
            lerp(self.cells[above * self.columns + column], self.cells[below * self.columns + column], weight)
        });
        LightRow { per_pixel: 1.0 / self.cell, cells: cells.collect() }
    }

    /// The cell whose centre is before a pixel's, and how far on the pixel is.
    fn place(&self, pixel: usize, count: usize) -> (usize, f32) {
        place((pixel as f32 + 0.5) / self.cell, count)
    }
}

/// One row of pixels' light.
pub(super) struct LightRow {
    per_pixel: f32,
    cells: Vec<[f32; 3]>,
}

impl LightRow {
    pub(super) fn at(&self, x: usize) -> [f32; 3] {
        let (left, weight) = place((x as f32 + 0.5) * self.per_pixel, self.cells.len());
        lerp(self.cells[left], self.cells[(left + 1).min(self.cells.len() - 1)], weight)
    }
}

fn place(cells: f32, count: usize) -> (usize, f32) {
    let place = (cells - 0.5).clamp(0.0, (count - 1) as f32);
    (place as usize, place.fract())
}

fn lerp(from: [f32; 3], to: [f32; 3], weight: f32) -> [f32; 3] {
    std::array::from_fn(|c| from[c] + weight * (to[c] - from[c]))
}

fn luminance([red, green, blue]: &[f32; 3]) -> f32 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn mean_light(picture: &RgbImage, cell: u32, column: u32, row: u32) -> [f32; 3] {
    let linear = srgb::linear_table();
    let (width, height) = picture.dimensions();
    let (left, top) = (column * cell, row * cell);
    let (right, bottom) = ((left + cell).min(width), (top + cell).min(height));
    let mut sum = [0.0f32; 3];
    for y in top..bottom {
        let line = (y as usize * width as usize + left as usize) * 3;
        for pixel in picture.as_raw()[line..line + (right - left) as usize * 3].as_chunks::<3>().0 {
            for (sum, &value) in sum.iter_mut().zip(pixel) {
                *sum += linear[usize::from(value)];
            }
        }
    }
    let area = ((right - left) * (bottom - top)) as f32;
    sum.map(|sum| sum / area)
}

/// Mean of the brightest cells.
fn sky(cells: &[[f32; 3]]) -> [f32; 3] {
    let mut sorted = cells.to_vec();
    sorted.sort_by(|a, b| luminance(b).total_cmp(&luminance(a)));
    let brightest = &sorted[..((cells.len() as f32 * SKY_SHARE) as usize).max(1)];
    let mut sum = [0.0f32; 3];
    for cell in brightest {
        for (sum, value) in sum.iter_mut().zip(cell) {
            *sum += value;
        }
    }
    sum.map(|sum| sum / brightest.len() as f32)
}

/// Box blur in both directions; only cells inside count.
fn blur(cells: &[[f32; 3]], columns: usize, rows: usize) -> Vec<[f32; 3]> {
    let pass = |cells: &[[f32; 3]], length: usize, index: &dyn Fn(usize, usize) -> usize, lines: usize| {
        let mut out = vec![[0.0f32; 3]; cells.len()];
        for line in 0..lines {
            for place in 0..length {
                let window = place.saturating_sub(BLUR)..(place + BLUR + 1).min(length);
                let share = 1.0 / window.len() as f32;
                for other in window {
                    for (out, value) in out[index(line, place)].iter_mut().zip(cells[index(line, other)]) {
                        *out += share * value;
                    }
                }
            }
        }
        out
    };
    let across = pass(cells, columns, &|row, column| row * columns + column, rows);
    pass(&across, rows, &|column, row| row * columns + column, columns)
}
