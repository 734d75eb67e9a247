//! Pictures of the crate `image`: depths, grey, alpha, and the agreement of all with arrays.
#![cfg(feature = "image")]

mod common;

use common::{assert_close, pictures};
use derain_metrics::{Error, Protocol, Scores, Side};
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgb32FImage, RgbImage, Rgba};
use ndarray::{Array3, ArrayView3};

const SIZE: (usize, usize) = (13, 19);

fn rgb8(samples: &Array3<u16>) -> RgbImage {
    let (height, width, _) = samples.dim();
    ImageBuffer::from_fn(width as u32, height as u32, |x, y| {
        Rgb([0, 1, 2].map(|c| samples[[y as usize, x as usize, c]] as u8))
    })
}

fn assert_same(scores: Scores, expected: Scores) {
    assert_close(scores.psnr, expected.psnr, 1e-10);
    assert_close(scores.ssim, expected.ssim, 1e-12);
}

#[test]
fn buffers_dynamic_images_and_arrays_agree() {
    let (a, b) = pictures(SIZE.0, SIZE.1, 3, 8);
    let (a, b) = (rgb8(&a), rgb8(&b));
    let array = |image: &RgbImage| {
        let view = ArrayView3::from_shape((SIZE.0, SIZE.1, 3), image.as_raw()).unwrap();
        view.mapv(|sample| f64::from(sample) / 255.0)
    };
    for &protocol in Protocol::ALL {
        let expected = protocol.score(&a, &b).unwrap();
        assert_eq!(protocol.score(&DynamicImage::from(a.clone()), &DynamicImage::from(b.clone())).unwrap(), expected);
        assert_same(protocol.score(&array(&a), &array(&b)).unwrap(), expected);
        assert_same(protocol.score(&a, &array(&b)).unwrap(), expected);
    }
}

#[test]
fn alpha_is_ignored() {
    let (a, b) = pictures(SIZE.0, SIZE.1, 3, 8);
    let (a, b) = (rgb8(&a), rgb8(&b));
    let with_alpha = |image: &RgbImage, alpha: u8| {
        let pixel = |x, y| {
            let Rgb([r, g, b]) = *image.get_pixel(x, y);
            Rgba([r, g, b, alpha.wrapping_add(x as u8)])
        };
        DynamicImage::ImageRgba8(ImageBuffer::from_fn(image.width(), image.height(), pixel))
    };
    for &protocol in Protocol::ALL {
        let expected = protocol.score(&a, &b).unwrap();
        assert_eq!(protocol.score(&with_alpha(&a, 0), &with_alpha(&b, 77)).unwrap(), expected);
        assert_eq!(protocol.score(&with_alpha(&a, 0), &b).unwrap(), expected);
    }
}

#[test]
fn grey_is_three_equal_channels() {
    let (a, b) = pictures(SIZE.0, SIZE.1, 1, 8);
    let (width, height) = (SIZE.1 as u32, SIZE.0 as u32);
    let sample = |samples: &Array3<u16>, x: u32, y: u32| samples[[y as usize, x as usize, 0]] as u8;
    let grey = DynamicImage::ImageLuma8(ImageBuffer::from_fn(width, height, |x, y| Luma([sample(&a, x, y)])));
    let grey_alpha =
        DynamicImage::ImageLumaA8(ImageBuffer::from_fn(width, height, |x, y| LumaA([sample(&b, x, y), 9])));
    let colour = |samples: &Array3<u16>| RgbImage::from_fn(width, height, |x, y| Rgb([sample(samples, x, y); 3]));
    for &protocol in Protocol::ALL {
        let expected = protocol.score(&colour(&a), &colour(&b)).unwrap();
        assert_eq!(protocol.score(&grey, &grey_alpha).unwrap(), expected);
        assert_eq!(protocol.score(&grey, &colour(&b)).unwrap(), expected);
    }
}

#[test]
fn eight_bits_beside_sixteen_are_widened() {
    let (a, b) = pictures(SIZE.0, SIZE.1, 3, 8);
    let (a, b) = (rgb8(&a), rgb8(&b));
    let wide = |image: &RgbImage| -> ImageBuffer<Rgb<u16>, Vec<u16>> {
        ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
            Rgb(image.get_pixel(x, y).0.map(|v| 257 * u16::from(v)))
        })
    };
    for &protocol in Protocol::ALL {
        let expected = protocol.score(&wide(&a), &wide(&b)).unwrap();
        assert_eq!(protocol.score(&a, &wide(&b)).unwrap(), expected);
        assert_eq!(protocol.score(&DynamicImage::ImageRgb16(wide(&a)), &b).unwrap(), expected);
        if protocol != Protocol::Y {
            assert_same(expected, protocol.score(&a, &b).unwrap());
        }
    }
    let a16 = DynamicImage::ImageRgb16(wide(&a));
    let scores = Protocol::Y.score(&a16, &a).unwrap();
    assert_eq!((scores.psnr, scores.ssim), (f64::INFINITY, 1.0));
}

#[test]
fn floating_point_pictures_are_in_0_to_1() {
    let (a, b) = pictures(SIZE.0, SIZE.1, 3, 8);
    let (a, b) = (rgb8(&a), rgb8(&b));
    let float = |image: &RgbImage| -> Rgb32FImage {
        ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
            Rgb(image.get_pixel(x, y).0.map(|v| f32::from(v) / 255.0))
        })
    };
    let y = Protocol::Y.score(&a, &b).unwrap();
    assert_eq!(Protocol::Y.score(&float(&a), &float(&b)).unwrap(), y);
    assert_eq!(Protocol::Y.score(&DynamicImage::ImageRgb32F(float(&a)), &b).unwrap(), y);
    let rgb = Protocol::Rgb.score(&a, &float(&b)).unwrap();
    assert_close(rgb.psnr, Protocol::Rgb.score(&a, &b).unwrap().psnr, 1e-5);

    let mut bright = float(&a);
    bright.put_pixel(2, 1, Rgb([0.0, 1.5, 0.0]));
    let error = Protocol::Rgb.score(&a, &DynamicImage::ImageRgb32F(bright)).unwrap_err();
    assert!(
        matches!(error, Error::OutOfRange { side: Side::Second, row: 1, column: 2, channel: 1, value: 1.5 }),
        "{error:?}"
    );
}

#[test]
fn sizes_are_checked() {
    let (a, b) = (RgbImage::new(16, 12), RgbImage::new(12, 16));
    for &protocol in Protocol::ALL {
        assert!(matches!(protocol.score(&a, &b), Err(Error::ShapeMismatch { first: [12, 16, _], .. })));
        assert!(matches!(protocol.score(&RgbImage::new(0, 0), &RgbImage::new(0, 0)), Err(Error::Empty { .. })));
        assert!(matches!(protocol.score(&RgbImage::new(6, 90), &RgbImage::new(6, 90)), Err(Error::TooSmall { .. })));
    }
}
