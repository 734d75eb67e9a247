//! What a run takes, before it starts.

use derain_ops::rect::padded;

use super::{BAND_ROWS, COLOURS, COLUMNS, Planned, scans};
use crate::engine::Place;

/// Columns or rows that a window has more than its rectangle, at most: two on either side, and the rest of a square of tiles.
const MARGIN: usize = 12;

impl Planned {
    /// Bytes that [`Planned::run`] takes at most on a picture of this size with as many threads as the current pool has, the weights and the
    /// picture's own values counted; files are not.
    pub(crate) fn memory_needed(&self, height: usize, width: usize, place: Place<'_>) -> u64 {
        let of = |counts: &[usize]| counts.iter().fold(4u64, |bytes, &count| bytes.saturating_mul(count as u64));
        let channels = self.channels;
        let branch = self.attention.iter().any(|module| module.has_branch());
        // The picture, three attention maps (the first, the current, the one in work), the weights of the directions.
        let mut values = of(&[height, width, COLOURS + 3 + if branch { 4 } else { 0 }]);
        // Four rows at each band's edges; the bands of a low picture are lower, but so is it.
        let fewest_rows = super::band_rows(height);
        values += of(&[4 * height.div_ceil(fewest_rows) + 2, width, channels]);
        let large = of(&[height, width, channels]);
        let (rows, columns) = (BAND_ROWS.min(height) + MARGIN, COLUMNS.min(width) + MARGIN);
        let scan_columns = scans::COLUMNS.min(width) + MARGIN;
        let mut thread = 3 * of(&[rows, columns, channels]) + 5 * of(&[rows, scan_columns, channels]);
        thread += of(&[rows, width / scans::COLUMNS + 4, channels]);
        thread += self.convolutions().map(|convolution| 4 * convolution.scratch_length() as u64).max().unwrap_or(0);
        match place {
            Place::Memory => values += 2 * large,
            // Bands as they are read and written.
            Place::Spool(_) => {
                thread += 2 * of(&[rows, width, channels]);
                values += 2 * of(&[rows, width, channels]);
            }
        }
        let weights: u64 = self.convolutions().map(|convolution| 4 * convolution.packed_length() as u64).sum();
        values + weights + thread * rayon::current_num_threads() as u64 + of(&[padded(1), width])
    }
}
