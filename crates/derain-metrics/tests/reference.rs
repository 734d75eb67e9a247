//! SSIM against the obvious version, and what must hold for any pictures.

mod common;

use common::{assert_close, float_pictures};
use derain_metrics::{Covariance, Protocol, Ssim, Window, psnr};
use ndarray::{Array3, Axis, Slice};

/// SSIM around one sample, straight from the formula, over all weights of the square.
fn reference(options: &Ssim, a: &Array3<f64>, b: &Array3<f64>, (row, column, channel): (usize, usize, usize)) -> f64 {
    let (height, width, _) = a.dim();
    let radius = options.window.size() as i64 / 2;
    let mirror = |i: i64, n: usize| if i < 0 { -1 - i } else { i.min(2 * n as i64 - 1 - i) } as usize;
    let weight = |i: i64, j: i64| match options.window {
        Window::Gaussian { sigma, .. } => (-((i * i + j * j) as f64) / (2.0 * sigma * sigma)).exp(),
        _ => 1.0,
    };
    let offsets = || (-radius..=radius).flat_map(|i| (-radius..=radius).map(move |j| (i, j)));
    let total: f64 = offsets().map(|(i, j)| weight(i, j)).sum();
    let mean = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        let weighted = |(i, j)| {
            let place = [mirror(row as i64 + i, height), mirror(column as i64 + j, width), channel];
            weight(i, j) * value(a[place], b[place])
        };
        offsets().map(weighted).sum::<f64>() / total
    };
    let n = (options.window.size() * options.window.size()) as f64;
    let scale = if options.covariance == Covariance::Sample { n / (n - 1.0) } else { 1.0 };
    let (mu_a, mu_b) = (mean(&|a, _| a), mean(&|_, b| b));
    let var_a = scale * mean(&|a, _| (a - mu_a) * (a - mu_a));
    let var_b = scale * mean(&|_, b| (b - mu_b) * (b - mu_b));
    let cov = scale * mean(&|a, b| (a - mu_a) * (b - mu_b));
    let (c1, c2) = ((options.k1 * options.data_range).powi(2), (options.k2 * options.data_range).powi(2));
    (2.0 * mu_a * mu_b + c1) * (2.0 * cov + c2) / ((mu_a * mu_a + mu_b * mu_b + c1) * (var_a + var_b + c2))
}

#[test]
fn maps_and_scores_are_the_references() {
    let uniform = Ssim { window: Window::Uniform { size: 5 }, covariance: Covariance::Sample, ..Ssim::default() };
    let wide = Ssim { window: Window::Gaussian { size: 9, sigma: 3.0 }, data_range: 0.5, ..Ssim::default() };
    // The least size, odd sizes, and one row longer than a block of the implementation.
    for (options, height, width, channels) in [
        (Ssim::default(), 11, 11, 1),
        (Ssim::default(), 13, 17, 3),
        (uniform, 5, 5, 2),
        (uniform, 6, 301, 1),
        (uniform, 7, 129, 4),
        (wide, 9, 23, 3),
        (wide, 31, 10, 1),
    ] {
        let (a, b) = float_pictures(height, width, channels);
        let expected = Array3::from_shape_fn(a.dim(), |place| reference(&options, &a, &b, place));
        let map = options.map(&a, &b).unwrap();
        map.iter().zip(&expected).for_each(|(&map, &expected)| assert_close(map, expected, 1e-12));
        let crop = options.window.size() as isize / 2;
        let inside = expected.slice_each_axis(|axis| match axis.axis {
            Axis(2) => Slice::from(..),
            _ => Slice::from(crop..axis.len as isize - crop),
        });
        assert_close(options.score(&a, &b).unwrap(), inside.mean().unwrap(), 1e-12);
    }
}

#[test]
fn equal_pictures_give_infinity_and_exactly_one() {
    let (a, _) = float_pictures(23, 29, 3);
    let flat = Array3::from_elem((16, 16, 3), 0.7);
    for picture in [&a, &flat, &Array3::zeros((16, 16, 3))] {
        assert_eq!(psnr(picture, picture, 1.0).unwrap(), f64::INFINITY);
        for &protocol in Protocol::ALL {
            let scores = protocol.score(picture, picture).unwrap();
            assert_eq!((scores.psnr, scores.ssim), (f64::INFINITY, 1.0), "{protocol}");
        }
    }
}

#[test]
fn order_layout_and_threads_change_no_bit() {
    let (a, b) = float_pictures(61, 47, 3);
    let score = |a: &Array3<f64>, b: &Array3<f64>| {
        let ssim = Ssim::default();
        (psnr(a, b, 1.0).unwrap(), ssim.score(a, b).unwrap(), ssim.map(a, b).unwrap())
    };
    let expected = score(&a, &b);
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| score(&a, &b)), expected, "{threads} threads");
    }
    assert_eq!(score(&b, &a), expected);

    // Planes in memory, seen as [H, W, C].
    let planes = |x: &Array3<f64>| x.view().permuted_axes([2, 0, 1]).as_standard_layout().into_owned();
    let (a_planes, b_planes) = (planes(&a), planes(&b));
    let (a_view, b_view) = (a_planes.view().permuted_axes([1, 2, 0]), b_planes.view().permuted_axes([1, 2, 0]));
    assert!(!a_view.is_standard_layout());
    assert_eq!(psnr(&a_view, &b, 1.0).unwrap(), expected.0);
    assert_eq!(Ssim::default().score(&a_view, &b_view).unwrap(), expected.1);
    assert_eq!(Ssim::default().map(&a, &b_view).unwrap(), expected.2);
}

#[test]
fn flat_pictures_show_the_mean_term_alone() {
    let (a, b) = (Array3::from_elem((11, 14, 3), 0.25_f32), Array3::from_elem((11, 14, 3), 0.75_f32));
    let expected = (2.0 * 0.25 * 0.75 + 1e-4) / (0.25 * 0.25 + 0.75 * 0.75 + 1e-4);
    assert_close(Ssim::default().score(&a, &b).unwrap(), expected, 1e-12);
    assert_close(psnr(&a, &b, 1.0).unwrap(), 20.0 * 2_f64.log10(), 1e-12);
    // Any unit will do, also where squares of the range leave f64.
    assert_close(psnr(&a, &b, 1e200).unwrap(), 20.0 * 2_f64.log10() + 4000.0, 1e-9);
}
