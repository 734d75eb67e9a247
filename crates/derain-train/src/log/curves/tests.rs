use super::*;

fn validation(step: u64, psnr: f64) -> Record {
    let score = |psnr| ScoreValues { psnr, ssim: f64::NAN };
    let (input, output) = (score(f64::INFINITY), score(psnr));
    Record { event: Event::Validation { step, input, output, pairs: 1, best: false, seconds: 0.0 }, time: 0.0 }
}

fn step(step: u64, total: f64) -> Record {
    let losses = Losses { total, ..Losses::default() };
    let (learning_rate, gradient_norm) = (0.0, 0.0);
    let event =
        Event::Step(StepRecord { step, epoch: 0, losses, learning_rate, gradient_norm, seconds: 0.0, waited: 0.0 });
    Record { event, time: 0.0 }
}

/// Rows of a column that have this colour.
fn rows(picture: &RgbImage, column: u32, color: Rgb<u8>) -> Vec<u32> {
    (ABOVE..picture.height()).filter(|&y| *picture.get_pixel(column, y) == color).collect()
}

/// One panel, as nothing but the network's PSNR can be drawn; its line rises from corner to corner, less the margins.
#[test]
fn lines_go_through_their_values() {
    let picture = plot_curves(&[validation(0, 25.0), validation(100, 35.0)]);
    assert_eq!(picture.dimensions(), (LEFT + WIDTH + RIGHT, ABOVE + HEIGHT + BELOW));
    // Margins of 5 % above and below: 11 dB are 179 pixels.
    let y = |psnr: f64| ABOVE + HEIGHT - 1 - ((psnr - 24.5) / 11.0 * f64::from(HEIGHT - 1)).round() as u32;
    assert!(rows(&picture, LEFT + WIDTH - 1, BLUE).contains(&y(35.0)));
    let middle = rows(&picture, LEFT + (WIDTH - 1) / 2, BLUE);
    assert!(middle.len() == 1 && middle[0].abs_diff(y(30.0)) <= 1, "{middle:?}");
    // Lines across, with labels beside.
    assert_eq!(rows(&picture, LEFT + 600, GRID), [35.0, 30.0, 25.0].map(y));
    assert!((0..LEFT - 6).any(|x| !rows(&picture, x, INK).is_empty()));
}

#[test]
fn columns_show_means_and_logarithms() {
    // Two values alternate in every column: 0.01 and 1, whose mean is 0.1 on this axis.
    let records: Vec<Record> = (1..=20_000).map(|at| step(at, if at % 2 == 0 { 1.0 } else { 0.01 })).collect();
    let picture = plot_curves(&records);
    assert_eq!(picture.height(), ABOVE + HEIGHT + BELOW, "norms and rates of 0 have no logarithm");
    let all: Vec<u32> = (LEFT + 5..LEFT + WIDTH - 5).flat_map(|column| rows(&picture, column, BLUE)).collect();
    let middle = ABOVE + HEIGHT / 2;
    assert!(all.len() > 600 && all.iter().all(|y| y.abs_diff(middle) < 12), "{:?}", all.iter().max());
}

#[test]
fn anything_can_be_drawn() {
    let extremes = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e-300, 1e300, 0.5];
    let _ = plot_curves(&[]);
    for first in extremes {
        let _ = plot_curves(&[step(u64::MAX, first), validation(u64::MAX, first)]);
        for second in extremes {
            let _ = plot_curves(&[step(1, first), step(2, second), validation(0, first), validation(3, second)]);
        }
    }
}

#[test]
fn labels_are_short() {
    let panel = |scale| Panel { scale, series: Vec::new(), low: 0.0, high: 1.0 };
    let linear = panel(Scale::Linear);
    let labels = [0.0, 0.95, 32.5, 1e-5, 123_456.0, -0.002].map(|value| linear.label(value));
    assert_eq!(labels, ["0", "0.95", "32.5", "1e-5", "1.235e5", "-0.002"]);
    assert_eq!([-2.0, -4.0, 0.0].map(|line| panel(Scale::Logarithmic).label(line)), ["0.01", "1e-4", "1"]);
}
