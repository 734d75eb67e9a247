//! Whole pictures whose channels lie side by side: their statistics, and what is done to their size.

use rayon::prelude::*;

use super::super::COLOURS;
use super::super::padding::reflected;
use super::pass::ScaleSize;

/// Factor and addend of each channel that make its mean 0 and its deviation 1; `piece` pixels are summed at a time,
/// pieces added in order.
pub(super) fn normalization(values: &[f32], channels: usize, piece: usize, epsilon: f64) -> (Vec<f32>, Vec<f32>) {
    let sums = values.par_chunks(piece * channels).map(|values| {
        let (mut sums, mut squares) = (vec![0f64; channels], vec![0f64; channels]);
        for pixel in values.chunks_exact(channels) {
            for (value, (sum, square)) in pixel.iter().zip(sums.iter_mut().zip(&mut squares)) {
                let value = f64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        (sums, squares)
    });
    let pieces: Vec<(Vec<f64>, Vec<f64>)> = sums.collect();
    let count = (values.len() / channels) as f64;
    let normal = |channel: usize| {
        let mean = pieces.iter().map(|(sums, _)| sums[channel]).sum::<f64>() / count;
        let square = pieces.iter().map(|(_, squares)| squares[channel]).sum::<f64>() / count;
        // In f64 the difference of squares of f32 values loses nothing that matters beside epsilon.
        let variance = square - mean * mean;
        let scale = 1.0 / (if variance < 0.0 { 0.0 } else { variance } + epsilon).sqrt();
        (scale as f32, (-mean * scale) as f32)
    };
    (0..channels).map(normal).unzip()
}

/// Pixels of a picture, with its mirror image where the scale's size is larger.
pub(super) fn pad((height, width): (usize, usize), pixels: &[f32], size: ScaleSize) -> Vec<f32> {
    let mut padded = vec![0.0; size.pixels() * COLOURS];
    padded.par_chunks_exact_mut(size.width * COLOURS).enumerate().for_each(|(row, target)| {
        let source = &pixels[reflected(row, height) * width * COLOURS..][..width * COLOURS];
        let (inside, beyond) = target.split_at_mut(source.len());
        inside.copy_from_slice(source);
        for (column, pixel) in (width..).zip(beyond.chunks_exact_mut(COLOURS)) {
            pixel.copy_from_slice(&source[reflected(column, width) * COLOURS..][..COLOURS]);
        }
    });
    padded
}

/// The first `height` rows and `width` columns of a picture whose rows have `columns` pixels of `channels` values.
pub(super) fn crop(values: &[f32], columns: usize, channels: usize, (height, width): (usize, usize)) -> Vec<f32> {
    let mut cropped = vec![0.0; height * width * channels];
    let rows = cropped.par_chunks_exact_mut(width * channels).zip(values.par_chunks_exact(columns * channels));
    rows.for_each(|(target, row)| target.copy_from_slice(&row[..width * channels]));
    cropped
}

/// The mean of every 2x2 pixels of a colour picture.
pub(super) fn average(size: ScaleSize, source: &[f32], target: &mut [f32]) {
    let source = size.rect(source, COLOURS);
    let ScaleSize { width, .. } = size.below();
    target.par_chunks_exact_mut(width * COLOURS).enumerate().for_each(|(row, target)| {
        let rows = [source.row(2 * row), source.row(2 * row + 1)];
        for (at, value) in target.iter_mut().enumerate() {
            let (column, colour) = (at / COLOURS, at % COLOURS);
            let pair = |row: &[f32]| row[2 * column * COLOURS + colour] + row[(2 * column + 1) * COLOURS + colour];
            *value = (pair(rows[0]) + pair(rows[1])) / 4.0;
        }
    });
}
