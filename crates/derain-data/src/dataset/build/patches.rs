//! Which patches of which frames make the pairs of a video.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::options::{BuildOptions, PatchPlacement};
use crate::dataset::random::{generator, shuffle};

/// Patches of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FramePatches {
    /// Which of the frames that are used, counted from 0.
    pub(super) frame: usize,
    /// Corners (x, y), from the top, then from the left.
    pub(super) corners: Vec<(u32, u32)>,
}

/// Chooses patches from `frames` frames of `size`: as few frames as hold the pairs wanted, evenly over the video, with
/// as even numbers of patches. `content` is the video's hash.
pub(super) fn choose(
    options: &BuildOptions,
    content: &str,
    (width, height): (u32, u32),
    frames: usize,
) -> Vec<FramePatches> {
    let places = (width / options.patch) as usize * (height / options.patch) as usize;
    let pairs = options.pairs_per_video.min(places.saturating_mul(frames));
    if pairs == 0 {
        return Vec::new();
    }
    let chosen = pairs.div_ceil(places);
    // In the middle of its share of the frames.
    let frame = |number: usize| (2 * number + 1) * frames / (2 * chosen);
    let mut purpose = String::from("patches of ");
    purpose.push_str(content);
    (0..chosen)
        .map(|number| {
            let count = (number + 1) * pairs / chosen - number * pairs / chosen;
            let mut generator = generator(&purpose, &[options.seed, number as u64]);
            let mut corners = match options.placement {
                PatchPlacement::Grid => grid_corners(options.patch, (width, height), count, &mut generator),
                PatchPlacement::Random => random_corners(options.patch, (width, height), count, &mut generator),
            };
            corners.sort_unstable_by_key(|&(x, y)| (y, x));
            FramePatches { frame: frame(number), corners }
        })
        .collect()
}

/// `count` corners of those on a grid without overlap in the middle of the frame, or all if it has fewer.
fn grid_corners(patch: u32, (width, height): (u32, u32), count: usize, generator: &mut Pcg64Mcg) -> Vec<(u32, u32)> {
    let (columns, rows) = (width / patch, height / patch);
    let [left, top] = [(width, columns), (height, rows)].map(|(length, count)| (length - count * patch) / 2);
    let mut corners: Vec<_> =
        (0..rows).flat_map(|row| (0..columns).map(move |column| (left + column * patch, top + row * patch))).collect();
    shuffle(&mut corners, generator);
    corners.truncate(count);
    corners
}

/// `count` different corners, which must be no more than a grid holds, so that as many exist.
fn random_corners(patch: u32, (width, height): (u32, u32), count: usize, generator: &mut Pcg64Mcg) -> Vec<(u32, u32)> {
    let mut corners = BTreeSet::new();
    while corners.len() < count {
        let x = generator.random_range(0..=width - patch);
        corners.insert((x, generator.random_range(0..=height - patch)));
    }
    corners.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: usize, placement: PatchPlacement) -> BuildOptions {
        BuildOptions { patch: 10, pairs_per_video: pairs, placement, seed: 3, ..BuildOptions::default() }
    }

    fn count(patches: &[FramePatches]) -> usize {
        patches.iter().map(|frame| frame.corners.len()).sum()
    }

    #[test]
    fn a_video_gives_as_many_pairs_as_asked_for_or_as_it_has() {
        for placement in [PatchPlacement::Grid, PatchPlacement::Random] {
            for (pairs, size, frames, expected, of_frames) in [
                (7, (35, 25), 10, 7, 2),
                (1, (35, 25), 10, 1, 1),
                (60, (35, 25), 10, 60, 10),
                (61, (35, 25), 10, 60, 10),
                (5, (10, 10), 3, 3, 3),
                (5, (9, 30), 3, 0, 0),
                (5, (30, 30), 0, 0, 0),
            ] {
                let patches = choose(&options(pairs, placement), "abc", size, frames);
                assert_eq!((count(&patches), patches.len()), (expected, of_frames), "{placement:?} {pairs} {size:?}");
                assert!(patches.windows(2).all(|pair| pair[0].frame < pair[1].frame));
                for frame in &patches {
                    assert!(frame.frame < frames);
                    assert!(frame.corners.iter().all(|&(x, y)| x + 10 <= size.0 && y + 10 <= size.1));
                    assert_eq!(frame.corners.iter().collect::<BTreeSet<_>>().len(), frame.corners.len());
                }
            }
        }
    }

    #[test]
    fn frames_are_spread_and_the_grid_is_in_the_middle() {
        let patches = choose(&options(12, PatchPlacement::Grid), "abc", (35, 25), 100);
        assert_eq!(patches.iter().map(|frame| frame.frame).collect::<Vec<_>>(), [25, 75]);
        assert_eq!(patches[0].corners, [(2, 2), (12, 2), (22, 2), (2, 12), (12, 12), (22, 12)]);
        let most = choose(&options(174, PatchPlacement::Grid), "abc", (192, 108), 100);
        assert_eq!((most.len(), count(&most)), (1, 174));
    }

    #[test]
    fn the_seed_and_the_video_choose() {
        for placement in [PatchPlacement::Grid, PatchPlacement::Random] {
            let first = choose(&options(20, placement), "abc", (100, 100), 9);
            assert_eq!(first, choose(&options(20, placement), "abc", (100, 100), 9));
            assert_ne!(first, choose(&options(20, placement), "abd", (100, 100), 9));
            assert_ne!(first, choose(&BuildOptions { seed: 4, ..options(20, placement) }, "abc", (100, 100), 9));
        }
    }
}
