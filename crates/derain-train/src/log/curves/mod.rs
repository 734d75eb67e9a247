//! The curves of a training as a picture.

#[cfg(test)]
mod tests;

use derain_data::text;
use image::{Rgb, RgbImage};

use super::ScoreValues;
use super::record::{Event, Record};
use crate::observer::{Losses, StepRecord};

/// Pixels of a panel, one above the other, and around it.
const WIDTH: u32 = 720;
const HEIGHT: u32 = 180;
const LEFT: u32 = 64;
const RIGHT: u32 = 24;
const ABOVE: u32 = 22;
const BELOW: u32 = 26;

/// Labels of the steps are at least this many pixels apart.
const BETWEEN_LABELS: u32 = 90;
/// About this many lines across a panel.
const LINES: f64 = 5.0;

const WHITE: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([40; 3]);
const GRID: Rgb<u8> = Rgb([228; 3]);
const BLUE: Rgb<u8> = Rgb([40, 90, 170]);
const RED: Rgb<u8> = Rgb([200, 60, 40]);
const GREEN: Rgb<u8> = Rgb([40, 140, 70]);
const PURPLE: Rgb<u8> = Rgb([130, 70, 160]);

/// Points (step, value), in the steps' order.
type Points = Vec<(u64, f64)>;

struct Series {
    name: &'static str,
    color: Rgb<u8>,
    points: Points,
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// Draws loss and terms, gradient norm, learning rate, PSNR and SSIM over the steps, one panel each; panels without a
/// value are left out.
///
/// Where several steps share a column of pixels, the line is their mean. Losses, norms and rates have logarithmic axes.
#[must_use]
pub fn plot_curves(records: &[Record]) -> RgbImage {
    let steps = |value: &dyn Fn(&StepRecord) -> Option<f64>| -> Points {
        let of = |record: &Record| match &record.event {
            Event::Step(step) => Some((step.step, value(step)?)),
            _ => None,
        };
        records.iter().filter_map(of).collect()
    };
    let scores = |value: &dyn Fn(&Event) -> Option<f64>| -> Points {
        records.iter().filter_map(|record| Some((record.event.step(), value(&record.event)?))).collect()
    };
    let term = |part: fn(&Losses) -> Option<f64>| steps(&|step| part(&step.losses));
    let series = |name, color, points| Series { name, color, points };
    let panels = [
        (
            Scale::Logarithmic,
            vec![
                series("l1", GREEN, term(|losses| losses.l1)),
                series("1-SSIM", RED, term(|losses| losses.ssim)),
                series("attention", PURPLE, term(|losses| losses.attention)),
                series("loss", BLUE, term(|losses| Some(losses.total))),
            ],
        ),
        (Scale::Logarithmic, vec![series("gradient norm", BLUE, steps(&|step| Some(step.gradient_norm)))]),
        (Scale::Logarithmic, vec![series("learning rate", BLUE, steps(&|step| Some(step.learning_rate)))]),
        (
            Scale::Linear,
            vec![
                series("input", RED, scores(&|event| score(event, |input, _| input.psnr))),
                series("PSNR", BLUE, scores(&|event| score(event, |_, output| output.psnr))),
            ],
        ),
        (
            Scale::Linear,
            vec![
                series("input", RED, scores(&|event| score(event, |input, _| input.ssim))),
                series("SSIM", BLUE, scores(&|event| score(event, |_, output| output.ssim))),
            ],
        ),
    ];
    let drawable = panels.into_iter().filter_map(|(scale, series)| Panel::new(scale, series));
    let panels: Vec<Panel> = drawable.collect();
    let last = records.iter().map(|record| record.event.step()).max().unwrap_or(0).max(1);
    let height = (ABOVE + HEIGHT + BELOW) * panels.len().max(1) as u32;
    let mut picture = RgbImage::from_pixel(LEFT + WIDTH + RIGHT, height, WHITE);
    for (index, panel) in panels.iter().enumerate() {
        panel.draw(&mut picture, (ABOVE + HEIGHT + BELOW) * index as u32 + ABOVE, last);
    }
    picture
}

fn score(event: &Event, value: fn(ScoreValues, ScoreValues) -> f64) -> Option<f64> {
    match *event {
        Event::Validation { input, output, .. } => Some(value(input, output)),
        _ => None,
    }
}

/// Series on one pair of axes.
struct Panel {
    scale: Scale,
    series: Vec<Series>,
    /// Of what is drawn: logarithms where the scale has them.
    low: f64,
    high: f64,
}

impl Panel {
    /// None where no series has a value that the scale can show.
    fn new(scale: Scale, mut series: Vec<Series>) -> Option<Self> {
        for series in &mut series {
            series.points.retain_mut(|(_, value)| {
                if scale == Scale::Logarithmic {
                    *value = value.log10();
                }
                value.is_finite()
            });
        }
        series.retain(|series| !series.points.is_empty());
        let values = || series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
        let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        // A flat line lies in the middle.
        let margin = ((high - low) * 0.05).max(low.abs() * 1e-3).max(1e-3);
        Some(Self { scale, series, low: low - margin, high: high + margin })
    }

    fn draw(&self, picture: &mut RgbImage, top: u32, last: u64) {
        let bottom = top + HEIGHT - 1;
        let y = |value: f64| {
            let part = (value - self.low) / (self.high - self.low);
            bottom - (part.clamp(0.0, 1.0) * f64::from(HEIGHT - 1)).round() as u32
        };
        for line in self.lines() {
            fill(picture, LEFT, y(line), WIDTH, 1, GRID);
            let label = self.label(line);
            let left = LEFT.saturating_sub(6 + text::width(&label));
            text::write(picture, &label, left, y(line).saturating_sub(text::HEIGHT / 2), INK);
        }
        let column = |step: u64| LEFT + ((u128::from(step) * u128::from(WIDTH - 1)) / u128::from(last)) as u32;
        let between = nice(last as f64 * f64::from(BETWEEN_LABELS) / f64::from(WIDTH)).max(1.0) as u64;
        let labels = std::iter::successors(Some(0u64), |at| at.checked_add(between).filter(|at| *at <= last));
        for step in labels {
            let label = step.to_string();
            fill(picture, column(step), bottom, 1, 5, INK);
            text::write(picture, &label, column(step) - text::width(&label) / 2, bottom + 9, INK);
        }
        fill(picture, LEFT, bottom, WIDTH, 1, INK);
        fill(picture, LEFT, top, 1, HEIGHT, INK);
        for series in &self.series {
            let means = column_means(&series.points, column);
            for pair in means.windows(2) {
                line(picture, (pair[0].0, y(pair[0].1)), (pair[1].0, y(pair[1].1)), series.color);
            }
            // A single value is no line.
            if let [(column, value)] = means[..] {
                fill(picture, column.saturating_sub(2), y(value).saturating_sub(2), 5, 5, series.color);
            }
        }
        let mut right = LEFT + WIDTH;
        for series in self.series.iter().rev() {
            right -= text::width(series.name) + 12;
            text::write(picture, series.name, right, top - 14, series.color);
        }
    }

    /// Where lines across the panel lie.
    fn lines(&self) -> Vec<f64> {
        let range = self.high - self.low;
        // Whole powers of ten, while there are several in the range.
        let between = if self.scale == Scale::Logarithmic && range >= 2.0 {
            nice(range / LINES).max(1.0)
        } else {
            nice(range / LINES)
        };
        let first = (self.low / between).ceil() as i64;
        let lines = (first..).map(|at| at as f64 * between);
        // Rounding can make a line at most one off.
        lines.take_while(|&line| line <= self.high).take(2 * LINES as usize + 2).collect()
    }

    fn label(&self, line: f64) -> String {
        let value = if self.scale == Scale::Logarithmic { 10f64.powf(line) } else { line };
        let digits = format!("{value:.3e}");
        let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
        match exponent.parse::<i32>().unwrap_or(0) {
            exponent @ -3..=4 => trimmed(&format!("{value:.*}", usize::try_from(3 - exponent).unwrap_or(0))),
            _ => format!("{}e{exponent}", trimmed(mantissa)),
        }
    }
}

/// A decimal number without zeros at its end.
fn trimmed(number: &str) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').into(),
        false => number.into(),
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|&step| step >= least).unwrap_or(10.0 * power)
}

/// The mean of the points of each column that has some.
fn column_means(points: &[(u64, f64)], column: impl Fn(u64) -> u32) -> Vec<(u32, f64)> {
    let chunks = points.chunk_by(|a, b| column(a.0) == column(b.0));
    chunks
        .map(|chunk| (column(chunk[0].0), chunk.iter().map(|point| point.1).sum::<f64>() / chunk.len() as f64))
        .collect()
}

fn line(picture: &mut RgbImage, (x0, y0): (u32, u32), (x1, y1): (u32, u32), color: Rgb<u8>) {
    let length = x1.abs_diff(x0).max(y1.abs_diff(y0)).max(1);
    for at in 0..=length {
        let along = |from: u32, to: u32| {
            (f64::from(from) + (f64::from(to) - f64::from(from)) * f64::from(at) / f64::from(length)).round() as u32
        };
        fill(picture, along(x0, x1), along(y0, y1), 1, 1, color);
    }
}

fn fill(picture: &mut RgbImage, left: u32, top: u32, width: u32, height: u32, color: Rgb<u8>) {
    for y in top..top + height {
        for x in left..left + width {
            if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                *pixel = color;
            }
        }
    }
}
