//! The readable version: one pixel after the other, every percentile tried on every pixel.

use image::RgbImage;

use super::{CleanOptions, CleanResult, Interpolation, ModeOf, ModeRanges, ModeTie, PercentileTie};

/// The clean image by the definition, in the words of the module's documentation.
pub(super) fn clean_image(frames: &[RgbImage], options: &CleanOptions) -> CleanResult {
    let n = frames.len();
    let (width, height) = frames[0].dimensions();
    let mut votes = [0; 101];
    let mut mode_ranges = ModeRanges { min: [0; 101], max: [0; 101] };
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let values: Vec<Vec<u8>> = match options.mode_of {
            ModeOf::Luma => vec![frames.iter().map(|frame| luma(frame.get_pixel(x, y).0)).collect()],
            ModeOf::Channels => {
                (0..3).map(|c| frames.iter().map(|frame| frame.get_pixel(x, y).0[c]).collect()).collect()
            }
        };
        for o in values {
            let phi = mode(&o, options.mode_tie);
            let below = o.iter().filter(|&&o| o < phi).count();
            let last = o.iter().filter(|&&o| o <= phi).count() - 1;
            mode_ranges.min[100 * below / n] += 1;
            mode_ranges.max[100 * last / n] += 1;
            for (p, votes) in votes.iter_mut().enumerate() {
                if 100 * below <= p * n && p * n <= 100 * last {
                    *votes += 1;
                }
            }
        }
    }
    let most = *votes.iter().max().unwrap();
    let first = votes.iter().position(|&count| count == most).unwrap();
    let end = (first..101).find(|&p| votes[p] != most).unwrap_or(101);
    let chosen = match options.percentile_tie {
        PercentileTie::First => first,
        PercentileTie::Middle => (first + end - 1) / 2,
    };
    let percentile = options.percentile.unwrap_or(chosen as u8);
    let image = RgbImage::from_fn(width, height, |x, y| {
        let channel = |c: usize| {
            let o: Vec<u8> = frames.iter().map(|frame| frame.get_pixel(x, y).0[c]).collect();
            value_at(o, percentile.into(), options.interpolation)
        };
        image::Rgb([channel(0), channel(1), channel(2)])
    });
    CleanResult { image, percentile, votes, mode_ranges, frames: n }
}

fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000) as u8
}

pub(super) fn mode(o: &[u8], tie: ModeTie) -> u8 {
    let mut counts = [0; 256];
    o.iter().for_each(|&o| counts[usize::from(o)] += 1);
    let most = counts.iter().max();
    let mut winners = (0..=255).filter(|&value: &u8| Some(&counts[usize::from(value)]) == most);
    match tie {
        ModeTie::Largest => winners.next_back().unwrap(),
        _ => winners.next().unwrap(),
    }
}

fn value_at(mut o: Vec<u8>, p: usize, interpolation: Interpolation) -> u8 {
    o.sort_unstable();
    // The rank in hundredths.
    let rank = p * (o.len() - 1);
    let (low, high) = (usize::from(o[rank / 100]), usize::from(o[rank.div_ceil(100)]));
    let value = match (interpolation, (rank % 100).cmp(&50)) {
        (Interpolation::Linear, _) => (low * (100 - rank % 100) + high * (rank % 100)) / 100,
        (Interpolation::Nearest, std::cmp::Ordering::Less) => low,
        (Interpolation::Nearest, std::cmp::Ordering::Greater) => high,
        (Interpolation::Nearest, std::cmp::Ordering::Equal) => {
            if (rank / 100).is_multiple_of(2) {
                low
            } else {
                high
            }
        }
    };
    value as u8
}
