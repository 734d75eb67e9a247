//! One frame's rain, before any picture.

use rayon::prelude::*;

use super::streak::Streak;
use crate::brief_debug::brief_debug;

/// Rows drawn by one thread at a time. Small against a picture, large against a streak's bookkeeping.
const BAND: usize = 32;

/// How much of each pixel the drops of one frame hide, 0 to 1; exactly 0 where none passed.
#[derive(Clone, PartialEq)]
pub struct RainLayer {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) opacity: Vec<f32>,
    /// For what else is random about the frame: sensor noise.
    pub(super) seed: u64,
    pub(super) frame: u64,
}

brief_debug!(RainLayer, |layer| {
    width: layer.width,
    height: layer.height,
    seed: layer.seed,
    frame: layer.frame,
});

impl RainLayer {
    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Row by row.
    #[must_use]
    pub fn opacity(&self) -> &[f32] {
        &self.opacity
    }

    /// Draws streaks in their order, so that the result does not depend on threads.
    pub(super) fn draw(streaks: &[Streak], width: u32, height: u32, seed: u64, frame: u64) -> Self {
        let columns = width as usize;
        let mut bands: Vec<Vec<u32>> = vec![Vec::new(); (height as usize).div_ceil(BAND)];
        for (index, streak) in (0..).zip(streaks) {
            let rows = streak.rows();
            let first = (rows.start.max(0) as usize / BAND).min(bands.len());
            let end = (rows.end.max(0) as usize).div_ceil(BAND).clamp(first, bands.len());
            for band in &mut bands[first..end] {
                band.push(index);
            }
        }
        let mut opacity = vec![1.0f32; columns * height as usize];
        opacity.par_chunks_mut(BAND * columns).zip(bands).enumerate().for_each(|(band, (clear, members))| {
            for index in members {
                streaks[index as usize].draw(clear, columns, (band * BAND) as i64);
            }
            for value in clear {
                *value = 1.0 - *value;
            }
        });
        Self { width, height, opacity, seed, frame }
    }
}
