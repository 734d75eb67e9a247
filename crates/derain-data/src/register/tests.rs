//! Registration under rain, of scenes that shake, turn, pan and fall apart.

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{Motion, MotionModel, MotionOptions, Registration, StillnessCheck};
use crate::Error;

const SIZE: (u32, u32) = (160, 120);

/// A scene that is known between pixels: waves of many directions, none shorter than 4 pixels.
struct Scene {
    waves: Vec<[f64; 5]>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let waves = (0..60).map(|_| {
            let length: f64 = 4.0 * 20f64.powf(random.random());
            let (sine, cosine) = (std::f64::consts::TAU * random.random::<f64>()).sin_cos();
            let frequency = std::f64::consts::TAU / length;
            // Longer waves are stronger, as in photographs.
            [
                frequency * cosine,
                frequency * sine,
                std::f64::consts::TAU * random.random::<f64>(),
                length.sqrt(),
                random.random(),
            ]
        });
        Self { waves: waves.collect() }
    }

    fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let mut sum = [110.0; 3];
        for [across, down, phase, strength, tint] in &self.waves {
            let value = 2.5 * strength * (across * x + down * y + phase).sin();
            sum[0] += value;
            sum[1] += value * (0.6 + 0.4 * tint);
            sum[2] += value * tint;
        }
        sum
    }

    /// What a camera sees whose picture is moved: reference pixels lie where `motion` says.
    fn seen(&self, motion: &Motion) -> RgbImage {
        let (p, q) = motion.matrix();
        let norm = p * p + q * q;
        let centre = [f64::from(SIZE.0 - 1) / 2.0, f64::from(SIZE.1 - 1) / 2.0];
        RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            let (u, v) = (f64::from(x) - centre[0] - motion.dx, f64::from(y) - centre[1] - motion.dy);
            let (x, y) = (centre[0] + (p * u + q * v) / norm, centre[1] + (p * v - q * u) / norm);
            Rgb(self.at(x, y).map(|value| value.round().clamp(0.0, 255.0) as u8))
        })
    }
}

/// Bright slanted streaks, about 25 dB of them.
fn rained_on(mut image: RgbImage, seed: u64) -> RgbImage {
    let mut random = Pcg64::seed_from_u64(seed);
    for _ in 0..14 {
        let (left, top) = (random.random_range(0.0..160.0f64), random.random_range(-20.0..120.0f64));
        let (length, strength) = (random.random_range(15.0..45.0f64), random.random_range(50.0..160.0f64));
        for step in 0..length as u32 {
            let y = top + f64::from(step);
            let middle = left + 0.2 * f64::from(step);
            for x in middle as u32..middle as u32 + 3 {
                if !(0.0..120.0).contains(&y) || x >= SIZE.0 {
                    continue;
                }
                let light = strength * (-(f64::from(x) - middle - 1.0).powi(2)).exp();
                for sample in &mut image.get_pixel_mut(x, y as u32).0 {
                    *sample = (f64::from(*sample) + light).min(255.0) as u8;
                }
            }
        }
    }
    image
}

/// Mean squared difference, 8 pixels of the border left out.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let inside = |x: u32, y: u32| (8..SIZE.0 - 8).contains(&x) && (8..SIZE.1 - 8).contains(&y);
    let pixels = a.enumerate_pixels().filter(|(x, y, _)| inside(*x, *y));
    let squares: Vec<f64> = pixels
        .flat_map(|(x, y, pixel)| {
            let other = b.get_pixel(x, y).0;
            [0, 1, 2].map(|channel| (f64::from(pixel[channel]) - f64::from(other[channel])).powi(2))
        })
        .collect();
    squares.iter().sum::<f64>() / squares.len() as f64
}

fn shakes(count: usize, seed: u64) -> Vec<Motion> {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut shift = || random.random_range(-3.0..3.0);
    (0..count).map(|_| Motion::shift(shift(), shift())).collect()
}

fn options(model: MotionModel) -> MotionOptions {
    MotionOptions { model, ..MotionOptions::default() }
}

#[test]
fn sub_pixel_shake_is_measured_under_rain() {
    let mut squares = Vec::new();
    for seed in 0..3 {
        let scene = Scene::new(seed);
        let mut registration = Registration::new(MotionOptions::default()).expect("options");
        registration.register(&rained_on(scene.seen(&Motion::default()), 99)).expect("first");
        for (rain, motion) in (0..).zip(shakes(8, seed)) {
            let found = registration.register(&rained_on(scene.seen(&motion), rain)).expect("registered").motion;
            let error = (found.dx - motion.dx).hypot(found.dy - motion.dy);
            assert!(error < 0.12, "seed {seed}: {found:?}, truly {motion:?}");
            squares.push(error * error);
        }
    }
    let error = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    assert!(error < 0.05, "{error}");
}

#[test]
fn registered_pixels_are_the_scene_s() {
    let scene = Scene::new(5);
    let first = scene.seen(&Motion::default());
    let mut registration = Registration::new(MotionOptions::default()).expect("options");
    assert_eq!(registration.register(&first).expect("first").image, first);
    for motion in shakes(6, 1) {
        let registered = registration.register(&scene.seen(&motion)).expect("registered");
        // 45 dB.
        let error = difference(&registered.image, &first);
        assert!(error < 2.0, "{motion:?}: {error}");
        let missing = registered.missing;
        assert_eq!(missing.left > 0, registered.motion.dx < 0.0, "{missing:?}");
        assert!(missing.right <= 3 && missing.bottom <= 3);
    }
}

#[test]
fn whole_pixel_shake_is_undone_exactly_under_rain() {
    let scene = Scene::new(8);
    let mut registration = Registration::new(MotionOptions::default()).expect("options");
    registration.register(&rained_on(scene.seen(&Motion::default()), 40)).expect("first");
    for (rain, motion) in (0..).zip(shakes(8, 3)) {
        let motion = Motion::shift(motion.dx.round(), motion.dy.round());
        let frame = rained_on(scene.seen(&motion), rain);
        let registered = registration.register(&frame).expect("registered");
        assert_eq!(registered.motion, motion);
        for (x, y, pixel) in registered.image.enumerate_pixels() {
            let place = |at: u32, shift: f64| (f64::from(at) + shift) as i64;
            let (x, y) = (place(x, motion.dx), place(y, motion.dy));
            if (0..160).contains(&x) && (0..120).contains(&y) {
                assert_eq!(pixel, frame.get_pixel(x as u32, y as u32));
            }
        }
    }
}

#[test]
fn turns_and_zooms_are_followed_by_similarity_and_refused_by_translation() {
    let scene = Scene::new(2);
    let first = scene.seen(&Motion::default());
    let mut random = Pcg64::seed_from_u64(4);
    for _ in 0..4 {
        let (rotation, scale) = (random.random_range(0.02..0.03), random.random_range(0.985..1.015));
        let motion = Motion { dx: random.random_range(-1.5..1.5), dy: random.random_range(-1.5..1.5), rotation, scale };
        let frame = scene.seen(&motion);
        let mut similarity = Registration::new(options(MotionModel::Similarity)).expect("options");
        similarity.register(&rained_on(first.clone(), 1)).expect("first");
        let found = similarity.register(&rained_on(frame.clone(), 2)).expect("registered").motion;
        let corners = found.corners(SIZE).into_iter().zip(motion.corners(SIZE));
        let error = corners.map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).fold(0.0, f64::max);
        assert!(error < 0.15, "{found:?}, truly {motion:?}");
        assert!(difference(&similarity.register(&frame).expect("registered").image, &first) < 4.0);
        let mut translation =
            Registration::new(MotionOptions { max_way: 0.5, ..MotionOptions::default() }).expect("options");
        translation.register(&first).expect("first");
        let error = translation.register(&frame).expect_err("turned");
        assert!(matches!(error, Error::PartsMove { frame: 1, .. }), "{error}");
        assert!(error.to_string().contains("`--camera turning`"), "{error}");
        let mut check = StillnessCheck::new();
        check.check(&rained_on(first.clone(), 1)).expect("first");
        let error = check.check(&rained_on(frame.clone(), 2)).expect_err("turned").to_string();
        let (turning, handheld) = (error.find("--camera turning"), error.find("--camera handheld"));
        assert!(turning.is_some() && turning < handheld, "{error}");
        // A refused frame changes nothing.
        assert_eq!(translation.frames(), 1);
        assert!(translation.register(&first).is_ok());
    }
}

#[test]
fn a_pan_is_refused_with_its_motion() {
    let scene = Scene::new(6);
    let pan = |frame: u32| rained_on(scene.seen(&Motion::shift(-1.2 * f64::from(frame), 0.2)), u64::from(frame));
    let mut registration = Registration::new(MotionOptions::default()).expect("options");
    let refused = (0..20).find_map(|frame| registration.register(&pan(frame)).err()).expect("refused");
    let Error::SceneMoves { frame, dx, limit, .. } = refused else { panic!("{refused}") };
    // 3 % of 160 pixels.
    assert_eq!((frame, limit), (5, 4.8));
    assert!((dx + 6.0).abs() < 0.2, "{dx}");
    let mut check = StillnessCheck::new();
    check.check(&pan(0)).expect("first");
    let error = check.check(&pan(1)).expect_err("moves").to_string();
    assert!(error.contains("-1.2") && error.contains("Camera::Handheld"), "{error}");
    let (turning, handheld) = (error.find("--camera turning"), error.find("--camera handheld"));
    assert!(handheld.is_some() && handheld < turning, "{error}");
}

#[test]
fn a_still_scene_passes_whatever_the_rain() {
    for seed in 0..4 {
        let scene = Scene::new(seed).seen(&Motion::default());
        let mut check = StillnessCheck::new();
        for rain in 0..8 {
            check.check(&rained_on(scene.clone(), 10 * seed + rain)).expect("still");
        }
    }
    // Nothing to see: nothing moves.
    let mut check = StillnessCheck::new();
    let mut registration = Registration::new(options(MotionModel::Similarity)).expect("options");
    for level in [90, 91, 120] {
        let wall = RgbImage::from_pixel(50, 40, Rgb([level; 3]));
        check.check(&wall).expect("still");
        assert_eq!(registration.register(&wall).expect("registered").image, wall);
    }
}

#[test]
fn a_part_may_move_but_not_half_the_picture() {
    let (scene, other) = (Scene::new(11), Scene::new(12));
    // The columns before `end` show something near that moves as the camera does not.
    let seen = |end: u32, shift: f64| {
        let (mut image, near) = (scene.seen(&Motion::default()), other.seen(&Motion::shift(shift, 0.0)));
        for (x, y, pixel) in near.enumerate_pixels().filter(|(x, ..)| *x < end) {
            image.put_pixel(x, y, *pixel);
        }
        image
    };
    for (end, refused) in [(20, false), (80, true)] {
        let mut registration = Registration::new(MotionOptions::default()).expect("options");
        registration.register(&seen(end, 0.0)).expect("first");
        let result = registration.register(&seen(end, 3.0)).map(|registered| registered.motion);
        assert_eq!(matches!(result, Err(Error::PartsMove { .. })), refused, "{result:?}");
    }
}

#[test]
fn sizes_down_to_a_pixel_and_other_sizes() {
    for (width, height) in [(1, 1), (2, 1), (1, 9), (3, 3), (5, 200), (17, 4)] {
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 91 + y * 37) as u8, 3, (x * y) as u8]));
        for model in [MotionModel::Translation, MotionModel::Similarity] {
            let mut registration = Registration::new(options(model)).expect("options");
            let mut check = StillnessCheck::new();
            for _ in 0..2 {
                assert_eq!(registration.register(&image).expect("registered").image, image, "{width}x{height}");
                check.check(&image).expect("still");
            }
            let wider = RgbImage::new(width + 1, height);
            assert!(matches!(registration.register(&wider), Err(Error::FrameSize { frame: 2, .. })));
            assert!(matches!(check.check(&wider), Err(Error::FrameSize { frame: 2, .. })));
        }
    }
    let senseless = MotionOptions { max_shift: f64::NAN, ..MotionOptions::default() };
    assert!(matches!(Registration::new(senseless), Err(Error::InvalidOption { option: "max_shift", .. })));
}

#[test]
fn threads_do_not_change_the_result() {
    let scene = Scene::new(1);
    let motion = Motion { dx: 1.3, dy: -0.4, rotation: 0.004, scale: 1.0 };
    let register = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let mut registration = Registration::new(options(MotionModel::Similarity)).expect("options");
            registration.register(&rained_on(scene.seen(&Motion::default()), 1)).expect("first");
            let registered = registration.register(&rained_on(scene.seen(&motion), 2)).expect("registered");
            (registered.motion, registered.image)
        })
    };
    let alone = register(1);
    assert!(register(3) == alone);
}
