//! What a user of the module sees, and the drops behind it.

use image::{Rgb, RgbImage};
use rayon::ThreadPoolBuilder;

use super::streak::{Course, Streak};
use super::{Backdrop, Blending, Bokeh, Density, RainLayer, RainOptions, RainScene};
use crate::Error;

/// A picture with dark and bright parts, from arithmetic.
pub(super) fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let value = |step: u32| ((x * 5 + y * step + (x * y) % 17) % 256) as u8;
        Rgb([value(3), value(4), value(7) / 2])
    })
}

/// Rain alone: no veil, noise or compression.
pub(super) fn dense() -> RainOptions {
    RainOptions { veil: 0.0, ..RainOptions::preset(Density::Dense) }
}

fn everything() -> RainOptions {
    RainOptions {
        veil: 0.2,
        veil_gradient: 0.5,
        dimming: 0.1,
        noise: 3.0,
        jpeg: Some(80),
        bokeh: Bokeh { density: 300.0, ..Bokeh::default() },
        ..dense()
    }
}

#[test]
fn bits_depend_on_the_seed_and_the_frame_alone() {
    let clean = picture(150, 101);
    let render = |threads: usize, frames: &[u64]| -> Vec<_> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let scene = RainScene::new(&everything(), 150, 101, 5).unwrap();
            frames.iter().map(|&frame| scene.render(&clean, frame).unwrap()).collect()
        })
    };
    let one = render(1, &[0, 1, 7]);
    assert_eq!(one, render(2, &[0, 1, 7]));
    assert_eq!(one[2], render(3, &[7])[0]);
    assert_ne!(one[0].mask, one[1].mask);
    let other = RainScene::new(&everything(), 150, 101, 6).unwrap().render(&clean, 0).unwrap();
    assert_ne!(one[0].mask, other.mask);
}

#[test]
fn no_drops_leave_the_picture() {
    let clean = picture(40, 30);
    let bokeh = Bokeh { density: 0.0, ..Bokeh::default() };
    let dry = RainOptions { density: 0.0, bokeh, ..dense() };
    let same = RainScene::new(&dry, 40, 30, 1).unwrap().render(&clean, 3).unwrap();
    assert_eq!((&same.rainy, &same.background), (&clean, &clean));
    assert!(same.mask.iter().all(|&value| value == 0));
    let transparent = RainOptions { opacity: 0.0, bokeh, ..dense() };
    assert_eq!(RainScene::new(&transparent, 40, 30, 1).unwrap().render(&clean, 3).unwrap(), same);
}

#[test]
fn the_mask_marks_what_streaks_changed() {
    let clean = picture(120, 90);
    for blending in [Blending::Light, Blending::Additive, Blending::Screen] {
        for veil in [0.0, 0.3] {
            let options = RainOptions { blending, veil, mask_threshold: 4, ..dense() };
            let scene = RainScene::new(&options, 120, 90, 2).unwrap();
            let wet = scene.render(&clean, 1).unwrap();
            let layer = scene.frame(1);
            let mut marked = 0;
            for (index, (rainy, before)) in wet.rainy.pixels().zip(wet.background.pixels()).enumerate() {
                let moved = (0..3).any(|c| rainy.0[c].abs_diff(before.0[c]) > 4);
                assert_eq!(wet.mask.as_raw()[index], if moved { 255 } else { 0 });
                assert!(layer.opacity()[index] > 0.0 || rainy == before);
                marked += usize::from(moved);
            }
            assert!((500..10_000).contains(&marked), "{marked}");
            assert_eq!(wet.background == clean, veil == 0.0);
            // Noise and compression are no rain.
            let noisy = RainOptions { noise: 9.0, jpeg: Some(50), ..options };
            let noisy = RainScene::new(&noisy, 120, 90, 2).unwrap().render(&clean, 1).unwrap();
            assert_eq!((noisy.mask, noisy.background), (wet.mask, wet.background));
            assert_ne!(noisy.rainy, wet.rainy);
        }
    }
}

#[test]
fn dark_places_show_rain_that_a_bright_sky_hides() {
    let clean = RgbImage::from_fn(200, 200, |x, _| if x < 100 { Rgb([30; 3]) } else { Rgb([235; 3]) });
    let options = RainOptions { light: 1.0, ..dense() };
    let rainy = RainScene::new(&options, 200, 200, 3).unwrap().render(&clean, 0).unwrap().rainy;
    let mean = |columns: std::ops::Range<u32>| -> f64 {
        let changes = columns.flat_map(|x| (0..200).map(move |y| (x, y)));
        changes.map(|(x, y)| f64::from(rainy.get_pixel(x, y).0[0].abs_diff(clean.get_pixel(x, y).0[0]))).sum::<f64>()
            / 2e4
    };
    assert!(mean(0..100) > 8.0 * mean(100..200), "{} {}", mean(0..100), mean(100..200));
}

#[test]
fn stored_values_blend_as_their_formulas_say() {
    // A white picture's light is white, so the streak adds a or takes the rest's share a.
    let grey = RgbImage::from_pixel(1, 1, Rgb([255; 3]));
    let layer = RainLayer { width: 1, height: 1, opacity: vec![0.25], seed: 0, frame: 0 };
    let blend = |blending, light| {
        let options = RainOptions { blending, light, ..dense() };
        let mut backdrop = Backdrop::new(&grey, &options).unwrap();
        backdrop.put(Rgb([51, 102, 255]));
        backdrop.apply(&layer).unwrap().rainy.get_pixel(0, 0).0
    };
    assert_eq!(blend(Blending::Additive, 1.0), [115, 166, 255]);
    assert_eq!(blend(Blending::Screen, 1.0), [102, 140, 255]);
    // 51 and 102 are 0.0331 and 0.1329 of linear light; a quarter of the way to 1 is 0.2748 and 0.3497, stored as 143
    // and 160.
    assert_eq!(blend(Blending::Light, 1.0), [143, 160, 255]);
    assert_eq!(blend(Blending::Light, 0.0)[2], 225);
}

#[test]
fn drops_move_by_their_velocity() {
    let options = RainOptions { unevenness: 0.0, frame_time: 0.002, ..dense() };
    let scene = RainScene::new(&options, 160, 120, 4).unwrap();
    let (before, after) = (scene.streaks(10), scene.streaks(11));
    let mut followed = 0;
    for streak in &before {
        let distance = streak.length / options.exposure * options.frame_time;
        let expected: [f32; 2] = std::array::from_fn(|axis| streak.head[axis] + distance * streak.direction[axis]);
        let moved = Streak { head: expected, ..*streak };
        if !moved.touches(160, 120) {
            continue;
        }
        let same = |other: &&Streak| other.course == streak.course && other.opacity == streak.opacity;
        let found = after.iter().find(same).unwrap();
        for axis in 0..2 {
            assert!((found.head[axis] - expected[axis]).abs() < 1e-2, "{found:?} {expected:?}");
        }
        followed += 1;
    }
    assert!(followed > 200, "{followed}");
}

#[test]
fn what_is_drawn_moves_by_the_velocity() {
    let options = RainOptions { density: 900.0, unevenness: 0.0, frame_time: 0.001, ..dense() };
    let scene = RainScene::new(&options, 200, 200, 8).unwrap();
    let centre = |layer: &RainLayer| {
        let mut sums = [0.0f64; 3];
        for (index, &opacity) in layer.opacity().iter().enumerate() {
            for (sum, weight) in sums.iter_mut().zip([1.0, (index % 200) as f64, (index / 200) as f64]) {
                *sum += f64::from(opacity) * weight;
            }
        }
        [sums[1] / sums[0], sums[2] / sums[0]]
    };
    let inside = |streak: &&Streak| {
        streak.rows().start > 5 && streak.rows().end < 180 && (40.0..160.0).contains(&streak.head[0])
    };
    let streaks = scene.streaks(0);
    let streak = streaks.iter().find(inside).unwrap();
    let distance = streak.length / options.exposure * options.frame_time;
    let next = scene.streaks(1);
    let later = next.iter().find(|other| other.course == streak.course).unwrap();
    let draw = |streak: &Streak| centre(&RainLayer::draw(&[*streak], 200, 200, 0, 0));
    let (from, to) = (draw(streak), draw(later));
    for axis in 0..2 {
        let expected = f64::from(distance * streak.direction[axis]);
        assert!((to[axis] - from[axis] - expected).abs() < 0.1, "{from:?} {to:?} {expected}");
    }
}

#[test]
fn drops_leave_and_come_back_out_of_sight() {
    let options = RainOptions { frame_time: 0.0005, angle: 40.0, ..dense() };
    let scene = RainScene::new(&options, 60, 40, 4).unwrap();
    // What is seen in a frame and not at the same opacity in the next has left the picture, or nearly.
    for frame in 0..200 {
        let (before, after) = (scene.streaks(frame), scene.streaks(frame + 1));
        for streak in before {
            let step = streak.length / options.exposure * options.frame_time;
            let moved = Streak {
                head: std::array::from_fn(|axis| streak.head[axis] + step * streak.direction[axis]),
                ..streak
            };
            // Rounding may decide otherwise right at the edge.
            let surely = Streak { radius: streak.radius - 0.1, ..moved }.touches(60, 40);
            assert!(!surely || after.iter().any(|other| other.course == streak.course));
        }
    }
}

#[test]
fn rain_neither_thins_nor_repeats() {
    let scene = RainScene::new(&dense(), 100, 80, 9).unwrap();
    let mean = |frame| scene.frame(frame).opacity().iter().sum::<f32>();
    let early: f32 = (0..20).map(mean).sum();
    let late: f32 = (1_000_000..1_000_020).map(mean).sum();
    assert!((late / early - 1.0).abs() < 0.2, "{early} {late}");
    assert_ne!(scene.frame(0), RainLayer { frame: 0, ..scene.frame(1000) });
}

#[test]
fn coverage_tells_how_often_a_pixel_is_free() {
    let options = RainOptions { size_spread: 0.0, angle: 0.0, angle_spread: 0.0, ..dense() };
    let scene = RainScene::new(&options, 200, 150, 1).unwrap();
    let frames = 12;
    let free: usize =
        (0..frames).map(|frame| scene.frame(frame).opacity().iter().filter(|&&opacity| opacity == 0.0).count()).sum();
    let (share, expected) = (free as f32 / (frames as f32 * 3e4), (-options.coverage()).exp());
    assert!((share - expected).abs() < 0.04, "{share} {expected}");
}

#[test]
fn any_size_and_only_such() {
    for (width, height) in [(1, 1), (3, 7), (1, 900), (900, 1), (33, 31)] {
        let clean = picture(width, height);
        let wet = RainScene::new(&everything(), width, height, 1).unwrap().render(&clean, 2).unwrap();
        assert_eq!((wet.rainy.dimensions(), wet.mask.dimensions()), ((width, height), (width, height)));
    }
    assert!(matches!(RainScene::new(&dense(), 0, 5, 1), Err(Error::NoPixels { width: 0, height: 5 })));
    assert!(matches!(Backdrop::new(&RgbImage::new(5, 0), &dense()), Err(Error::NoPixels { .. })));
    let layer = RainScene::new(&dense(), 8, 9, 1).unwrap().frame(0);
    let backdrop = Backdrop::new(&picture(9, 8), &dense()).unwrap();
    assert!(matches!(backdrop.apply(&layer), Err(Error::SizesDiffer { expected: (9, 8), found: (8, 9) })));
    let wide = RainScene::new(&RainOptions { density: 0.0, ..dense() }, u32::MAX, u32::MAX, 1);
    assert!(matches!(wide, Err(Error::TooManyPixels { width: u32::MAX, .. })), "{wide:?}");
    let much = RainOptions { density: 2e5, speed: 1e6, exposure: 0.01, ..dense() };
    assert!(matches!(RainScene::new(&much, 4000, 4000, 1), Err(Error::TooMuchRain { .. })));
}

#[test]
fn the_last_frame_of_all_is_a_frame() {
    let slow = RainOptions { frame_time: 60.0, unevenness: 0.5, ..dense() };
    for options in [dense(), slow] {
        let layer = RainScene::new(&options, 40, 30, 1).unwrap().frame(u64::MAX);
        assert!(layer.opacity().iter().all(|opacity| (0.0..=1.0).contains(opacity)));
    }
}

#[test]
fn a_course_without_changes_is_even() {
    let even = Streak {
        head: [20.5, 50.0],
        direction: [0.0, 1.0],
        length: 40.0,
        radius: 2.0,
        edge: 1.0,
        opacity: 0.4,
        course: Course::default(),
    };
    let layer = RainLayer::draw(&[even], 41, 60, 0, 0);
    for row in 14..46 {
        assert!((layer.opacity()[row * 41 + 20] - 0.4).abs() < 1e-5, "{row}");
    }
    assert_eq!(layer.opacity()[20], 0.0);
}
