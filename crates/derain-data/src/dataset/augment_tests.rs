use super::*;

/// Every pixel tells its place; the clean picture holds the same with another blue.
fn pair(width: u32, height: u32) -> (RgbImage, RgbImage) {
    let picture = |blue| RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, blue]));
    (picture(10), picture(200))
}

fn place(sample: &Sample, row: usize, column: usize) -> (u8, u8) {
    let at = |channel: usize| sample.rainy[(channel * sample.height + row) * sample.width + column];
    ((at(0) * 255.0).round() as u8, (at(1) * 255.0).round() as u8)
}

#[test]
fn windows_are_cut_alike_and_cover_every_place() {
    let (rainy, clean) = pair(9, 7);
    let options = AugmentOptions { crop: Crop::Window { size: 4 }, ..AugmentOptions::none() };
    let mut seen = std::collections::HashSet::new();
    for index in 0..400 {
        let sample = options.apply(&rainy, &clean, [1, 2, index]).unwrap();
        let (x, y) = place(&sample, 0, 0);
        assert_eq!(place(&sample, 3, 3), (x + 3, y + 3));
        // Red and green of both pictures are equal, blue is not.
        assert_eq!(sample.rainy[..32], sample.clean[..32]);
        assert_eq!((sample.rainy[32], sample.clean[32]), (10.0 / 255.0, 200.0 / 255.0));
        seen.insert((x, y));
    }
    assert_eq!(seen.len(), 6 * 4);
    let all = AugmentOptions { crop: Crop::Window { size: 7 }, ..AugmentOptions::none() };
    assert_eq!(place(&all.apply(&rainy, &clean, [0; 3]).unwrap(), 6, 0).1, 6);
    let error = AugmentOptions { crop: Crop::Window { size: 8 }, ..all }.apply(&rainy, &clean, [0; 3]).unwrap_err();
    assert_eq!(error.to_string(), "9x7, the size of a picture, is smaller than the crop of 8x8: choose a smaller crop");
}

#[test]
fn flips_reverse_their_axis_as_often_as_asked() {
    let (rainy, clean) = pair(5, 3);
    let corner = |horizontal, vertical| {
        let options = AugmentOptions {
            crop: Crop::Whole {},
            flip_horizontal: horizontal,
            flip_vertical: vertical,
            ..AugmentOptions::none()
        };
        place(&options.apply(&rainy, &clean, [0; 3]).unwrap(), 0, 0)
    };
    assert_eq!(
        [corner(0.0, 0.0), corner(1.0, 0.0), corner(0.0, 1.0), corner(1.0, 1.0)],
        [(0, 0), (4, 0), (0, 2), (4, 2)]
    );
    let half = AugmentOptions { flip_horizontal: 0.5, ..AugmentOptions::none() };
    let flipped =
        (0..1000).filter(|&index| place(&half.apply(&rainy, &clean, [3, 0, index]).unwrap(), 0, 0).0 == 4).count();
    assert!((420..580).contains(&flipped), "{flipped} of 1000");
}

#[test]
fn keys_choose_the_crop_and_nothing_else_does() {
    let (rainy, clean) = pair(64, 48);
    let options = AugmentOptions {
        crop: Crop::Resized { size: 16, scale: [0.2, 0.5], ratio: [0.5, 2.0] },
        ..AugmentOptions::rranet()
    };
    let make = |key| options.apply(&rainy, &clean, key).unwrap();
    assert_eq!(make([1, 2, 3]), make([1, 2, 3]));
    assert!(
        make([1, 2, 3]) != make([1, 2, 4]) && make([1, 2, 3]) != make([1, 3, 3]) && make([1, 2, 3]) != make([2, 2, 3])
    );
}

#[test]
fn rounding_leaves_8_bit_values_and_narrows_differences() {
    // The pictures differ in one pixel, by one 8-bit step.
    let clean = RgbImage::from_pixel(60, 60, Rgb([100; 3]));
    let mut rainy = clean.clone();
    rainy.put_pixel(30, 30, Rgb([101; 3]));
    let differing = |round_to_8_bits| {
        let options = AugmentOptions {
            crop: Crop::Resized { size: 64, scale: [1.0, 1.0], ratio: [1.0, 1.0] },
            round_to_8_bits,
            ..AugmentOptions::none()
        };
        let sample = options.apply(&rainy, &clean, [0; 3]).unwrap();
        let whole = |&value: &f32| ((value * 255.0).round() - value * 255.0).abs() < 1e-4;
        assert_eq!(sample.rainy.iter().all(whole), round_to_8_bits);
        sample.rainy.iter().zip(&sample.clean).filter(|(rainy, clean)| rainy != clean).count()
    };
    let (rounded, spread) = (differing(true), differing(false));
    assert!((3..=12).contains(&rounded) && spread >= 3 * 16, "{rounded} {spread}");
}

#[test]
fn windows_have_the_area_and_ratio_asked_for() {
    let mut generator = generator("test", &[]);
    let (mut least, mut most) = (f64::MAX, 0.0f64);
    for _ in 0..2000 {
        let window = resized_window((400, 300), [0.8, 1.0], [3.0 / 4.0, 4.0 / 3.0], &mut generator);
        let share = f64::from(window.width * window.height) / 120_000.0;
        let ratio = f64::from(window.width) / f64::from(window.height);
        assert!((0.795..=1.0).contains(&share) && (0.745..=1.34).contains(&ratio), "{window:?}");
        assert!(window.x + window.width <= 400 && window.y + window.height <= 300);
        (least, most) = (least.min(share), most.max(share));
    }
    assert!(least < 0.81 && most > 0.95, "{least} {most}");
    // Nothing of the area asked for fits: the largest of an allowed shape, in the middle.
    let window = resized_window((100, 10), [1.0, 1.0], [3.0 / 4.0, 4.0 / 3.0], &mut generator);
    assert_eq!(window, Window { x: 43, y: 0, width: 13, height: 10 });
    let window = resized_window((1, 1), [0.5, 0.5], [1.0, 1.0], &mut generator);
    assert_eq!(window, Window { x: 0, y: 0, width: 1, height: 1 });
}

#[test]
fn scaling_is_bicubic() {
    // A ramp stays a ramp but for the borders; without change of size nothing is resampled.
    let ramp = RgbImage::from_fn(16, 16, |x, _| Rgb([(16 * x) as u8; 3]));
    let double = scale(&ramp, Window { x: 0, y: 0, width: 16, height: 16 }, (32, 16));
    for x in 4..28 {
        let expected = 16.0 * ((f64::from(x) + 0.5) / 2.0 - 0.5) / 255.0;
        assert!((f64::from(double.get_pixel(x, 3).0[0]) - expected).abs() < 1e-4, "{x}");
    }
    // A step at double size, by the kernel of a = -0.5 at distances 0.25, 0.75, 1.25, 1.75.
    let step = RgbImage::from_fn(16, 1, |x, _| Rgb([if x < 8 { 51 } else { 102 }; 3]));
    let double = scale(&step, Window { x: 0, y: 0, width: 16, height: 1 }, (32, 1));
    let kernel = |x: f64| match x {
        x if x < 1.0 => 1.5 * x * x * x - 2.5 * x * x + 1.0,
        x => -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0,
    };
    // Pixel 15 lies at 7.25: of its four neighbours 8 (0.75 away) and 9 (1.75 away) are bright.
    let expected = 0.2 + 0.2 * (kernel(0.75) + kernel(1.75));
    assert!((f64::from(double.get_pixel(15, 0).0[0]) - expected).abs() < 1e-5);
}

#[test]
fn options_are_checked_and_unknown_keys_refused() {
    for options in [
        AugmentOptions { flip_horizontal: 1.5, ..AugmentOptions::none() },
        AugmentOptions { flip_vertical: f64::NAN, ..AugmentOptions::none() },
        AugmentOptions { crop: Crop::Window { size: 0 }, ..AugmentOptions::none() },
        AugmentOptions {
            crop: Crop::Resized { size: 8, scale: [0.5, 1.1], ratio: [1.0, 1.0] },
            ..AugmentOptions::none()
        },
        AugmentOptions {
            crop: Crop::Resized { size: 8, scale: [0.5, 0.4], ratio: [1.0, 1.0] },
            ..AugmentOptions::none()
        },
        AugmentOptions {
            crop: Crop::Resized { size: 8, scale: [0.5, 1.0], ratio: [0.0, 1.0] },
            ..AugmentOptions::none()
        },
    ] {
        assert!(matches!(options.check(), Err(Error::InvalidOption { .. })), "{options:?}");
    }
    let text = r#"{"crop": {"kind": "window", "size": 64}, "flip_horizontal": 0.5}"#;
    let options: AugmentOptions = serde_json::from_str(text).unwrap();
    assert_eq!(options.crop, Crop::Window { size: 64 });
    for text in [
        r#"{"crops": 1}"#,
        r#"{"crop": {"kind": "window", "size": 64, "scale": 1}}"#,
        r#"{"crop": {"kind": "whole", "size": 1}}"#,
    ] {
        assert!(serde_json::from_str::<AugmentOptions>(text).is_err(), "{text}");
    }
}

#[test]
fn pictures_without_pixels_are_refused() {
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        let (rainy, clean) = pair(width, height);
        for options in [AugmentOptions::none(), AugmentOptions::spanet(), AugmentOptions::rranet()] {
            let error = options.apply(&rainy, &clean, [0; 3]).unwrap_err();
            assert!(matches!(error, Error::NoPixels { width: w, height: h } if (w, h) == (width, height)), "{error}");
        }
    }
}
