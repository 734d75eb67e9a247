//! How dense the rain of a clip is.

use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::noise::noise;
use super::plane::Plane;
use crate::{Density, Error, FrameSource};

/// Frames that are looked at: enough for a median over time, and what sparse rain needs anyway.
const FRAMES: usize = 20;

/// Pixels of each frame that are looked at, about: rows of a larger picture are left out. 20 frames then take 80 MB.
const PIXELS: usize = 1 << 20;

/// Pixels that one task takes, at least.
const PIXELS_AT_ONCE: usize = 1 << 12;

/// A pixel is in the rain if it is this many luma steps, and [`NOISE`], from its median over time.
const VISIBLE: f32 = 4.0;

/// Standard deviations of noise.
const NOISE: f32 = 3.0;

/// Up to this share rain is sparse: between the presets' shares, as measured by `calibrate_judge`.
const SPARSE: f32 = 0.06;

/// From this share on rain is dense: as before. Faint dense rain stays below.
const DENSE: f32 = 0.155;

/// How dense rain seems, and what that rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DensityEstimate {
    /// The class.
    pub density: Density,
    /// Share of all pixels in all frames that rain visibly covers.
    pub covered: f32,
    /// Frames that were looked at.
    pub frames: usize,
}

/// Estimates how dense the rain is from the first 20 frames of `source`, or all if there are fewer. Open the source
/// once more to use those frames.
///
/// The scene must lie still in the frames: those of a hand-held camera are to be registered first
/// ([`steady`](crate::steady)), or edges that move pass for rain.
///
/// # Errors
/// [`Error::NoFramesGiven`], [`Error::FrameSize`], and those of the source.
pub fn estimate_density(source: &mut dyn FrameSource) -> Result<DensityEstimate, Error> {
    let mut frames: Vec<Plane> = Vec::new();
    let mut size = None;
    while frames.len() < FRAMES {
        let Some(frame) = source.next_frame()? else { break };
        let expected = *size.get_or_insert(frame.dimensions());
        if frame.dimensions() != expected {
            return Err(Error::FrameSize { frame: frames.len(), expected, found: frame.dimensions() });
        }
        frames.push(thinned(&frame));
    }
    if frames.is_empty() {
        return Err(Error::NoFramesGiven);
    }
    let covered = covered(&frames);
    let density = match covered {
        covered if covered <= SPARSE => Density::Sparse,
        covered if covered <= DENSE => Density::Normal,
        _ => Density::Dense,
    };
    Ok(DensityEstimate { density, covered, frames: frames.len() })
}

/// Luma of pairs of rows, spread evenly: noise is measured on squares.
fn thinned(frame: &RgbImage) -> Plane {
    let all = Plane::luma(frame);
    let every = all.values.len().div_ceil(PIXELS).max(1);
    if every == 1 {
        return all;
    }
    let pairs = all.values.chunks(2 * all.width).step_by(every);
    let values: Vec<f32> = pairs.flatten().copied().collect();
    Plane { width: all.width, height: values.len() / all.width, values }
}

/// The share of pixels and frames that are away from their median.
fn covered(frames: &[Plane]) -> f32 {
    let mut noises: Vec<f32> = frames.par_windows(2).map(|pair| noise(&pair[0], &pair[1])).collect();
    noises.sort_by(f32::total_cmp);
    let visible = VISIBLE + NOISE * noises.get(noises.len() / 2).copied().unwrap_or(0.0);
    let pixels = frames[0].values.len();
    let away = |over_time: &mut Vec<f32>, pixel: usize| {
        over_time.clear();
        over_time.extend(frames.iter().map(|frame| frame.values[pixel]));
        let middle = (over_time.len() - 1) / 2;
        let median = *over_time.select_nth_unstable_by(middle, f32::total_cmp).1;
        over_time.iter().filter(|&&value| (value - median).abs() > visible).count()
    };
    let count: usize = (0..pixels).into_par_iter().with_min_len(PIXELS_AT_ONCE).map_init(Vec::new, away).sum();
    count as f32 / (pixels * frames.len()).max(1) as f32
}
