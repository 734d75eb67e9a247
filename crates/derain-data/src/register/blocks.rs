//! Whether the parts of a picture move alike.

use rayon::prelude::*;

use super::align::Aligner;
use super::motion::Motion;
use super::options::MotionModel;
use super::rectangle::Rectangle;

/// Blocks along either side of a picture, at most.
const MOST_BLOCKS: usize = 5;

/// The shortest side of a block, in pixels of the finest level that is used: smaller ones hold too
/// little that rain leaves alone.
const BLOCK_SIDE: f64 = 64.0;

/// Levels above the finest that a block is followed from: its own motion may be some pixels.
const LEVELS_UP: usize = 1;

/// A block moves by itself only if that brings its difference below this share of what it is where
/// the whole picture's motion puts it. Dense rain leads blocks astray without such a gain.
const LEAST_GAIN: f32 = 0.75;

/// A block whose motion is less certain than this, in pixels of the finest level, says nothing.
const CERTAIN: f64 = 0.15;

/// Standard errors by which a motion must exceed the limit: rain makes errors larger than computed.
const ERRORS_BEYOND: f64 = 4.0;

/// Blocks with something to see, and those of them that move by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) seen: usize,
    pub(super) moving: usize,
    /// Of the moving ones, the median way, in pixels of the picture.
    pub(super) way: f64,
}

/// Follows each block by itself, and counts those that end more than `limit` pixels from where
/// `motion` puts them.
pub(super) fn compare(aligner: &Aligner, motion: &Motion, limit: f64) -> Parts {
    let pixel = aligner.reference.pixel_size(0);
    let across = sides(aligner.size.0 as usize, pixel);
    let down = sides(aligner.size.1 as usize, pixel);
    let blocks: Vec<Rectangle> = down.iter().flat_map(|&y| across.iter().map(move |&x| Rectangle { x, y })).collect();
    let ways: Vec<Option<f64>> = blocks.par_iter().map(|block| way(aligner, motion, block, pixel, limit)).collect();
    let mut moving: Vec<f64> = ways.iter().flatten().copied().filter(|way| *way > 0.0).collect();
    moving.sort_by(f64::total_cmp);
    Parts {
        seen: ways.iter().flatten().count(),
        moving: moving.len(),
        way: moving.get(moving.len() / 2).copied().unwrap_or(0.0),
    }
}

/// How far a block lies off, 0 for not beyond the limit; `None` where that cannot be told.
fn way(aligner: &Aligner, motion: &Motion, block: &Rectangle, pixel: f64, limit: f64) -> Option<f64> {
    let middle = |[from, to]: [usize; 2]| (from + to) as f64 / 2.0;
    let (dx, dy) = motion.displacement(aligner.size, middle(block.x), middle(block.y));
    // Within a block the whole picture's rotation and scale are followed as they are.
    let found = aligner.refine(MotionModel::Translation, block, *motion, LEVELS_UP);
    if found.error > CERTAIN * pixel {
        return None;
    }
    let (found_dx, found_dy) = found.motion.displacement(aligner.size, middle(block.x), middle(block.y));
    let way = (found_dx - dx).hypot(found_dy - dy);
    let beyond = way > limit + ERRORS_BEYOND * found.error
        && aligner.difference(block, &found.motion) < LEAST_GAIN * aligner.difference(block, motion);
    Some(if beyond { way } else { 0.0 })
}

/// A side cut into equal parts.
fn sides(length: usize, pixel: f64) -> Vec<[usize; 2]> {
    let parts = ((length as f64 / (BLOCK_SIDE * pixel)) as usize).clamp(1, MOST_BLOCKS);
    (0..parts).map(|part| [length * part / parts, length * (part + 1) / parts]).collect()
}
