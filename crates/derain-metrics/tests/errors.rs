//! What is refused, and in which words.

use derain_metrics::{Covariance, Error, Protocol, Scores, Side, Ssim, Window, psnr};
use ndarray::{Array3, s};

fn grey(height: usize, width: usize) -> Array3<f64> {
    Array3::from_elem((height, width, 3), 0.5)
}

#[test]
fn sizes() {
    let (a, b) = (grey(20, 20), grey(20, 21));
    let error = psnr(&a, &b, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "the pictures differ in size: 20 x 20 x 3 and 20 x 21 x 3");
    assert!(matches!(Ssim::default().score(&a, &b), Err(Error::ShapeMismatch { .. })));
    assert!(matches!(Ssim::default().map(&a, &a.slice(s![.., .., ..1])), Err(Error::ShapeMismatch { .. })));
    for &protocol in Protocol::ALL {
        assert!(matches!(protocol.score(&a, &b), Err(Error::ShapeMismatch { .. })));
    }
    for shape in [(0, 20, 3), (20, 0, 3), (20, 20, 0)] {
        let empty = Array3::<f32>::zeros(shape);
        assert!(matches!(psnr(&empty, &empty, 1.0), Err(Error::Empty { .. })));
        assert!(matches!(Ssim::default().map(&empty, &empty), Err(Error::Empty { .. })));
    }
}

#[test]
fn small_pictures_have_a_psnr_but_no_ssim() {
    let (a, b) = (grey(1, 1), Array3::from_elem((1, 1, 3), 0.6));
    assert!((psnr(&a, &b, 1.0).unwrap() - 20.0).abs() < 1e-12);
    let error = Protocol::Rgb.score(&a, &b).unwrap_err();
    assert_eq!(error.to_string(), "a picture of 1 x 1 is too small for SSIM with a window of 11 x 11");
    for (height, width) in [(10, 11), (11, 10)] {
        let small = grey(height, width);
        assert!(matches!(Ssim::default().score(&small, &small), Err(Error::TooSmall { window: 11, .. })));
        assert!(matches!(Ssim::default().map(&small, &small), Err(Error::TooSmall { window: 11, .. })));
        assert!(matches!(Protocol::Y.score(&small, &small), Err(Error::TooSmall { .. })));
        assert!(Protocol::SpaNet.score(&small, &small).is_ok());
    }
    let huge = Ssim { window: Window::Uniform { size: usize::MAX }, ..Ssim::default() };
    assert!(matches!(huge.score(&grey(20, 20), &grey(20, 20)), Err(Error::TooSmall { .. })));
}

#[test]
fn samples_that_are_not_finite() {
    let a = grey(16, 16);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        // In a corner, which a cropped score sees only through windows, and in both pictures alike.
        let mut b = a.clone();
        b[[15, 0, 2]] = value;
        let expect = |error: Error, expected| match error {
            Error::NotFinite { side, row: 15, column: 0, channel: 2, value: found } => {
                assert_eq!((side, found.to_bits()), (expected, value.to_bits()));
            }
            other => panic!("{other:?}"),
        };
        expect(psnr(&a, &b, 1.0).unwrap_err(), Side::Second);
        expect(psnr(&b, &b, 1.0).unwrap_err(), Side::First);
        expect(Ssim::default().score(&b, &a).unwrap_err(), Side::First);
        expect(Ssim::default().score(&b, &b).unwrap_err(), Side::First);
        expect(Ssim::default().map(&a, &b).unwrap_err(), Side::Second);
        expect(Protocol::Y.score(&a, &b).unwrap_err(), Side::Second);
    }
}

#[test]
fn samples_whose_squares_are_not_finite() {
    let (a, b) = (Array3::from_elem((16, 16, 1), 1e200), Array3::from_elem((16, 16, 1), -1e200));
    assert!(matches!(psnr(&a, &b, 1.0), Err(Error::Overflow)));
    assert!(matches!(Ssim::default().score(&a, &b), Err(Error::Overflow)));
    assert!(matches!(Ssim::default().map(&a, &b), Err(Error::Overflow)));
    let tiny = Ssim { data_range: 1e-200, ..Ssim::default() };
    let black = Array3::<f64>::zeros((16, 16, 1));
    assert!(matches!(tiny.score(&black, &black), Err(Error::Overflow)));
}

#[test]
fn options() {
    let a = grey(16, 16);
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(psnr(&a, &a, value), Err(Error::NotPositive { name: "the data range", .. })));
        for options in [
            Ssim { data_range: value, ..Ssim::default() },
            Ssim { k1: value, ..Ssim::default() },
            Ssim { k2: value, ..Ssim::default() },
            Ssim { window: Window::Gaussian { size: 11, sigma: value }, ..Ssim::default() },
        ] {
            assert!(matches!(options.score(&a, &a), Err(Error::NotPositive { .. })), "{options:?}");
            assert!(matches!(options.map(&a, &a), Err(Error::NotPositive { .. })), "{options:?}");
        }
    }
    for size in [0, 1, 2, 8] {
        for window in [Window::Uniform { size }, Window::Gaussian { size, sigma: 1.5 }] {
            let options = Ssim { window, covariance: Covariance::Sample, ..Ssim::default() };
            assert!(matches!(options.score(&a, &a), Err(Error::WindowSize { size: found }) if found == size));
        }
    }
    // A vanishing sigma is a window of one pixel, not a division by zero.
    let point = Ssim { window: Window::Gaussian { size: 3, sigma: 1e-200 }, ..Ssim::default() };
    assert_eq!(point.score(&a, &a).unwrap(), 1.0);
}

#[test]
fn protocols_take_pictures_in_0_to_1() {
    let a = grey(16, 16);
    let mut b = a.clone();
    b[[3, 4, 1]] = 128.0;
    let error = Protocol::Rgb.score(&a, &b).unwrap_err();
    assert!(error.to_string().starts_with("the second picture holds 128 at row 3, column 4, channel 1: "), "{error}");
    b[[3, 4, 1]] = -1e-9;
    assert!(matches!(Protocol::Y.score(&b, &a), Err(Error::OutOfRange { side: Side::First, .. })));

    let four = Array3::from_elem((16, 16, 4), 0.5);
    assert!(matches!(Protocol::Rgb.score(&four, &four), Err(Error::Channels { channels: 4 })));
    // One channel is grey: as three equal ones, also beside colour.
    let one = Array3::from_elem((16, 16, 1), 0.6);
    let three = Array3::from_elem((16, 16, 3), 0.6);
    for &protocol in Protocol::ALL {
        assert_eq!(protocol.score(&one, &a).unwrap(), protocol.score(&three, &a).unwrap());
    }
}

#[test]
fn names_of_protocols() {
    for &protocol in Protocol::ALL {
        assert_eq!(protocol.to_string().parse::<Protocol>().unwrap(), protocol);
    }
    assert!(Protocol::ALL.iter().map(|protocol| protocol.name()).eq(["rgb", "y", "spanet"]));
    let error = "ycbcr".parse::<Protocol>().unwrap_err();
    assert_eq!(error.to_string(), "there is no protocol `ycbcr`: choose rgb, y or spanet");
}

#[test]
fn means() {
    let scores = [Scores { psnr: 30.0, ssim: 0.75 }, Scores { psnr: 20.0, ssim: 0.25 }];
    assert_eq!(Scores::mean(&scores), Some(Scores { psnr: 25.0, ssim: 0.5 }));
    let perfect = Scores { psnr: f64::INFINITY, ssim: 1.0 };
    assert_eq!(Scores::mean(&[perfect, scores[0]]), Some(Scores { psnr: f64::INFINITY, ssim: 0.875 }));
    assert_eq!(Scores::mean(&[]), None);
}
