//! What a run takes, before it starts.

use derain_ops::conv2d::cpu::Convolution;
use derain_ops::rect::padded;

use super::pass::TILE_SIZES;
use super::weights::gate_channels;
use super::{COLOURS, Planned, scale_sizes};

/// Columns or rows that a window has more than its rectangle, at most: one on either side, and the rest of a tile.
const MARGIN: usize = 5;

impl Planned {
    /// Bytes that [`Planned::run`] takes at most on a picture of this size with as many threads as the current pool
    /// has, the weights and the picture's own values counted.
    pub(crate) fn memory_needed(&self, height: usize, width: usize) -> u64 {
        let floats = |counts: &[usize]| counts.iter().fold(1u64, |all, &count| all.saturating_mul(count as u64));
        // So large that no count of pixels below would overflow.
        if height.saturating_mul(width) > usize::MAX >> 20 {
            return u64::MAX;
        }
        let sizes = scale_sizes(height, width);
        let widest = self.config.widths.iter().map(|&width| padded(width)).max().unwrap_or(0);
        let inner = self.config.attention_channels().into_iter().map(padded).max().unwrap_or(0);
        let [(most_rows, most_columns), ..] = TILE_SIZES;
        let (rows, columns) = (most_rows.min(sizes[0].height), most_columns.min(sizes[0].width));
        let form = self.convolutions().map(Convolution::scratch_length).max().unwrap_or(0);
        let thread = [
            // Three windows, the gates or a shortcut, a module's inner features or the rain, the last block's features.
            floats(&[3, rows + MARGIN, columns + MARGIN, widest.max(inner)]),
            floats(&[rows, columns, gate_channels(widest)]),
            floats(&[rows, columns, inner.max(padded(COLOURS))]),
            floats(&[rows, columns, padded(self.config.widths[0])]),
            form as u64,
        ];
        let shares = [
            self.lengths(&sizes).all(),
            // The picture, padded and not, its RLCN picture, the background, the result, and three maps.
            floats(&[sizes[0].pixels(), 6 * COLOURS + 2]),
            self.convolutions().map(|convolution| convolution.packed_length() as u64).sum(),
            thread
                .iter()
                .fold(0, |sum: u64, &share| sum.saturating_add(share))
                .saturating_mul(rayon::current_num_threads() as u64),
        ];
        shares.iter().fold(0, |sum: u64, &share| sum.saturating_add(share)).saturating_mul(4)
    }
}
