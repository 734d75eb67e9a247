use image::{Rgb, RgbImage};

use super::CleanResult;
use crate::text;

/// Pixels of a percentile's bar, the gap to the next included.
const BAR: u32 = 6;
/// Pixels of the bar with the most votes.
const TALLEST: u32 = 240;
/// Around the bars: room for labels.
const LEFT: u32 = 64;
const RIGHT: u32 = 24;
const TOP: u32 = 24;
const BOTTOM: u32 = 40;
/// Labels of the axes are so far apart.
const PERCENTILES_BETWEEN_LABELS: usize = 20;
const VOTE_LABELS: u64 = 4;

const WHITE: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([40; 3]);
const GRID: Rgb<u8> = Rgb([225; 3]);
const VOTES: Rgb<u8> = Rgb([90, 130, 180]);
const CHOSEN: Rgb<u8> = Rgb([200, 60, 40]);

/// Draws the votes over the percentiles, as the paper's figure 3: a bar for each of 0..=100, the chosen one in red.
#[must_use]
pub fn plot(result: &CleanResult) -> RgbImage {
    let width = BAR * result.votes.len() as u32;
    let mut picture = RgbImage::from_pixel(LEFT + width + RIGHT, TOP + TALLEST + BOTTOM, WHITE);
    let most = result.votes.iter().copied().max().unwrap_or(0).max(1);
    // u128: votes of any picture times pixels.
    let height = |votes: u64| (u128::from(votes) * u128::from(TALLEST) / u128::from(most)) as u32;
    let floor = TOP + TALLEST;
    for step in 0..=VOTE_LABELS.min(most) {
        let steps = VOTE_LABELS.min(most);
        let votes = most / steps * step + most % steps * step / steps;
        let y = floor - height(votes);
        fill(&mut picture, LEFT, y, width, 1, GRID);
        let label = votes.to_string();
        text::write(&mut picture, &label, LEFT.saturating_sub(6 + text::width(&label)), y - text::HEIGHT / 2, INK);
    }
    for (p, &votes) in result.votes.iter().enumerate() {
        let color = if p == usize::from(result.percentile) { CHOSEN } else { VOTES };
        fill(&mut picture, LEFT + BAR * p as u32, floor - height(votes), BAR - 1, height(votes), color);
    }
    fill(&mut picture, LEFT, floor, width, 1, INK);
    for p in (0..result.votes.len()).step_by(PERCENTILES_BETWEEN_LABELS) {
        let middle = LEFT + BAR * p as u32 + BAR / 2;
        let label = p.to_string();
        fill(&mut picture, middle, floor, 1, 4, INK);
        text::write(&mut picture, &label, middle - text::width(&label) / 2, floor + 8, INK);
    }
    let name = "percentile";
    text::write(&mut picture, name, LEFT + (width - text::width(name)) / 2, floor + 24, INK);
    text::write(&mut picture, "votes", 8, 8, INK);
    let chosen = format!("p = {}    {} frames", result.percentile, result.frames);
    text::write(&mut picture, &chosen, LEFT + width - text::width(&chosen), 8, CHOSEN);
    picture
}

fn fill(picture: &mut RgbImage, left: u32, top: u32, width: u32, height: u32, color: Rgb<u8>) {
    for y in top..top + height {
        for x in left..left + width {
            picture.put_pixel(x, y, color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CleanImage, CleanOptions};

    #[test]
    fn bars_are_as_tall_as_votes() {
        let mut clean = CleanImage::new(CleanOptions::default());
        for value in [9, 9, 1, 200] {
            clean.push(&RgbImage::from_pixel(4, 1, Rgb([value; 3]))).unwrap();
        }
        // All four pixels at 25..=50 %, of which the smallest is chosen.
        let picture = plot(&clean.finish().unwrap());
        for p in 0..=100 {
            let column = LEFT + BAR * p + 1;
            let (bar, color) = match p {
                25 => (TALLEST, CHOSEN),
                26..=50 => (TALLEST, VOTES),
                _ => (0, VOTES),
            };
            let painted = (TOP..TOP + TALLEST).filter(|&y| *picture.get_pixel(column, y) == color).count();
            assert_eq!(painted, bar as usize, "percentile {p}");
        }
    }

    #[test]
    fn any_votes_can_be_drawn() {
        let mut clean = CleanImage::new(CleanOptions::default());
        clean.push(&RgbImage::new(1, 1)).unwrap();
        let mut result = clean.finish().unwrap();
        for votes in [[0; 101], [1; 101], [u64::MAX; 101]] {
            result.votes = votes;
            let _ = plot(&result);
        }
    }
}
