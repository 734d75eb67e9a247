//! What can be measured of a candidate.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::noise::noise;
use super::plane::{Plane, Slopes};
use super::steadiness;
use crate::{CleanImage, Error, StillnessCheck};

/// Frames that are looked at one by one, spread evenly over the clip. Every other measure takes all.
const SAMPLES: usize = 9;

/// The scene moves if it does in more than this part of the frames looked at: a percentile ignores single frames, and
/// very dense rain misleads the measurement in some.
const MOVED: usize = 4;

/// The two percentiles that are compared lie a `WAY`th of the way from the chosen one to the lowest and to the highest.
/// Where the background shows in a third of the frames or more, they mostly differ by no more than noise.
const WAY: u8 = 5;

/// A pixel whose near percentiles lie further apart than these luma steps and this share of the noise has no level of
/// its own: without rain they span half the noise near the median, and up to the whole of it near the tails.
const APART: f32 = 4.0;

/// See [`APART`].
const APART_NOISE: f32 = 1.0;

/// What tells a clean image from one with rain left in it. Luma, 8-bit steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measures {
    /// Standard deviation of the frames' noise.
    pub noise: f32,
    /// Root mean square of what the clip's two halves differ by, each pixel taken with its neighbours.
    pub change: f32,
    /// Share of the pixels that differ by more than noise between the two halves.
    pub changed: f32,
    /// Slope across the rain, beyond that along it, in what the halves differ by: streaks that are left. Steps per
    /// pixel.
    pub streaks: f32,
    /// The same in what the frames and the candidate differ by: how strong the rain is.
    pub rain: f32,
    /// Share of the pixels that have no level of their own: percentiles near the candidate's differ by more than noise.
    /// Rain covers them in nearly all frames, and no number of frames tells what is behind.
    pub unsure: f32,
    /// Share of the picture's parts whose brightness as a whole changes from frame to frame.
    pub unsteady: f32,
    /// Why the scene does not count as still; `None` if it does.
    pub motion: Option<String>,
}

impl Measures {
    /// Measures the image that `clip` has at a percentile.
    ///
    /// # Errors
    /// [`Error::SizesDiffer`] if the image is none of this clip, [`Error::NoFramesGiven`], [`Error::InvalidOption`]; [`Error::Io`] if
    /// spooled frames cannot be read back.
    pub fn of(image: &RgbImage, percentile: u8, clip: &CleanImage) -> Result<Self, Error> {
        if percentile > 100 {
            return Err(Error::option("percentile", percentile, "from 0 to 100"));
        }
        let [early, late] = clip.halves(percentile)?;
        if early.dimensions() != image.dimensions() {
            return Err(Error::SizesDiffer { expected: image.dimensions(), found: early.dimensions() });
        }
        let candidate = Plane::luma(image);
        let apart = Plane::luma(&early).minus(&Plane::luma(&late)).smooth();
        let frames = Frames::look(&candidate, clip)?;
        let [low, high] = [percentile - percentile / WAY, percentile + (100 - percentile) / WAY];
        let low = Plane::luma(&clip.percentile(low)?);
        let span = Plane::luma(&clip.percentile(high)?).minus(&low).smooth();
        let limit = APART + APART_NOISE * frames.noise;
        let across = frames.rain.across();
        let streaks = |slopes: Slopes| slopes.excess(across).max(0.0).sqrt() as f32;
        Ok(Self {
            noise: frames.noise,
            change: mean(apart.values.iter().map(|apart| apart * apart)).sqrt() as f32,
            changed: share(&apart, |apart| apart.abs() > limit),
            streaks: streaks(apart.slopes()),
            rain: streaks(frames.rain),
            unsure: share(&span, |span| span > limit),
            unsteady: frames.unsteady,
            motion: frames.motion,
        })
    }
}

/// What some frames show one by one.
struct Frames {
    noise: f32,
    rain: Slopes,
    unsteady: f32,
    motion: Option<String>,
}

impl Frames {
    fn look(candidate: &Plane, clip: &CleanImage) -> Result<Self, Error> {
        let mut stillness = StillnessCheck::new();
        let mut found = Self { noise: 0.0, rain: Slopes::default(), unsteady: 0.0, motion: None };
        let (mut noises, mut levels) = (Vec::new(), Vec::new());
        let mut moved = Vec::new();
        let mut last: Option<Plane> = None;
        for index in spread(clip.frames()) {
            let Some(frame) = clip.frame(index)? else { break };
            if let Err(mut error) = stillness.check(&frame)
                && let Error::SceneMoves { frame, .. } | Error::PartsMove { frame, .. } = &mut error
            {
                // It counts the frames that it was given.
                *frame = index;
                moved.push(error.to_string());
            }
            let frame = Plane::luma(&frame);
            if let Some(last) = &last {
                noises.push(noise(&frame, last));
            }
            let residual = frame.minus(candidate);
            levels.push(steadiness::levels(&residual));
            found.rain = found.rain.plus(&residual.smooth().slopes());
            last = Some(frame);
        }
        found.rain = found.rain.times(1.0 / levels.len().max(1) as f64);
        noises.sort_by(f32::total_cmp);
        found.noise = noises.get(noises.len() / 2).copied().unwrap_or(0.0);
        if moved.len() * MOVED > levels.len() {
            // The last one has moved farthest, if the camera goes on.
            found.motion = moved.pop();
        }
        found.unsteady = steadiness::unsteady(&levels);
        Ok(found)
    }
}

/// Up to [`SAMPLES`] numbers of frames, from the first to the last.
fn spread(frames: usize) -> impl Iterator<Item = usize> {
    let samples = frames.min(SAMPLES);
    (0..samples).map(move |sample| sample * (frames - 1) / (samples - 1).max(1))
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f64 {
    let count = values.len().max(1) as f64;
    values.map(f64::from).sum::<f64>() / count
}

fn share(plane: &Plane, counts: impl Fn(f32) -> bool) -> f32 {
    let count = plane.values.iter().filter(|&&value| counts(value)).count();
    count as f32 / plane.values.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn samples_span_the_clip() {
        assert_eq!(spread(0).count(), 0);
        assert_eq!(spread(1).collect::<Vec<_>>(), [0]);
        assert_eq!(spread(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(100).collect::<Vec<_>>(), [0, 12, 24, 37, 49, 61, 74, 86, 99]);
    }
}
