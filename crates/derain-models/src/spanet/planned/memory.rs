//! What a run takes, before it starts.

use derain_ops::conv2d::cpu::Convolution;

use super::attention::PlannedAttention;
use super::{BAND_ROWS, COLOURS, COLUMNS, Planned, scans};
use crate::engine::Storage;

/// Columns or rows that a window has more than its rectangle, at most: two on either side, and the rest of a square of
/// tiles.
const MARGIN: usize = 12;

impl Planned {
    /// Bytes that [`Planned::run`] takes at most on a picture of this size with as many threads as the current pool
    /// has, the weights and the picture's own values counted; files are not.
    pub(crate) fn memory_needed(&self, height: usize, width: usize, storage: Storage<'_>) -> u64 {
        let of = |counts: &[usize]| counts.iter().fold(4u64, |bytes, &count| bytes.saturating_mul(count as u64));
        let channels = self.channels;
        let branch = self.attention.iter().any(PlannedAttention::has_branch);
        let (rows, columns) = (BAND_ROWS.min(height) + MARGIN, COLUMNS.min(width) + MARGIN);
        let scan_columns = scans::COLUMNS.min(width) + MARGIN;
        let form = self.convolutions().map(Convolution::scratch_length).max().unwrap_or(0);
        let mut shares = vec![
            // The picture, the first and the latest attention map, the weights of the directions.
            of(&[height, width, COLOURS + 2 + if branch { 4 } else { 0 }]),
            // Four rows at each band's edges and the two states on their way.
            of(&[4 * height.div_ceil(super::band_rows(height)) + 2, width, channels]),
            self.convolutions().map(|convolution| 4 * convolution.packed_length() as u64).sum(),
        ];
        let mut thread = vec![
            of(&[3, rows, columns, channels]),
            of(&[5, rows, scan_columns, channels]),
            // The states of horizontal scans.
            of(&[rows, width / scans::COLUMNS + 4, channels]),
            of(&[form]),
        ];
        let band = of(&[2, rows, width, channels]);
        match storage {
            Storage::Memory => shares.push(of(&[2, height, width, channels])),
            // Bands as they are read and written, by every thread and by the two walks over the rows.
            Storage::File(_) => {
                shares.push(band);
                thread.push(band);
            }
        }
        let sum = |shares: Vec<u64>| shares.into_iter().fold(0, u64::saturating_add);
        let threads = rayon::current_num_threads() as u64;
        sum(shares).saturating_add(sum(thread).saturating_mul(threads))
    }
}
