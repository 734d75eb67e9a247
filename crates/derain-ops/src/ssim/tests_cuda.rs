//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{SsimOptions, cuda, reference};
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;
use crate::{Error, Planes};

/// One pixel, one row, one column; around bands of 4 rows and strips of 246 columns; several planes.
const SHAPES: [(usize, usize, usize, usize); 7] =
    [(1, 1, 1, 1), (2, 3, 1, 5), (1, 2, 7, 1), (2, 2, 4, 6), (1, 1, 17, 13), (1, 1, 3, 247), (1, 1, 5, 493)];

/// The defaults, windows of one pixel, wide and narrow ones, and one that pictures cut more than a strip could hold.
fn all_options() -> [SsimOptions; 4] {
    let with = |window, sigma| SsimOptions { window, sigma, ..Default::default() };
    [with(11, 1.5), with(1, 1.5), with(3, 0.8), with(33, 20.0)]
}

/// A forward and a backward pass over values that the type can store exactly.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    options: &SsimOptions,
    noise: &mut Noise,
) -> Check {
    // A window of one pixel has a variance of 0, to which derivatives cancel: by thousands, the inverse of C2.
    let gradient = gradient.max(1e-10);
    let planes = Planes::from(shape);
    let mut values = || rounded(dtype, &noise.uniform(planes.len(), 0.0, 1.0));
    let (x, y) = (values(), values());
    // Gradients of a mean over many pixels are small: as many times more of them are not.
    let grad = rounded(dtype, &[-(planes.len() as f64)]);
    let expected = reference::forward(planes, &x, &y, options);
    let [expected_d_x, expected_d_y] = reference::backward(planes, &x, &y, grad[0], options);

    let recorder = Recorder::default();
    let [x, y, grad] = [x, y, grad].map(|values| recorder.upload(dtype, &values));
    let pictures = cuda::Pictures { dtype, planes, x: Arg::Buffer(&x), y: Arg::Buffer(&y) };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (alone, ssim, [d_x, d_y]) = unsafe {
        let alone = cuda::forward(&recorder, &pictures, options).expect("recorded");
        let cuda::Forward { ssim, partials } =
            cuda::forward_for_gradients(&recorder, &pictures, options).expect("recorded");
        let (partials, grad) = (Arg::Buffer(&partials), Arg::Buffer(&grad));
        (alone, ssim, cuda::backward(&recorder, &pictures, options, &partials, &grad).expect("recorded"))
    };
    Check::new(format!("{dtype:?} {shape:?} {options:?}"), recorder)
        .expect("SSIM alone", alone, vec![expected], forward)
        .expect("SSIM", ssim, vec![expected], forward)
        .expect("dx", d_x, expected_d_x, gradient)
        .expect("dy", d_y, expected_d_y, gradient)
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(71);
        for shape in SHAPES {
            for options in all_options() {
                check(tolerances, shape, &options, &mut noise).assert(&program);
            }
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        // Before and after the weights, before the windows' sums.
        ("__syncthreads();", 0, ";"),
        ("__syncthreads();", 1, ";"),
        ("__syncthreads();", 2, ";"),
        ("row < window.first_row + ROWS + radius", 0, "row < window.first_row + ROWS"),
        ("tap > 2 * radius", 0, "tap >= 2 * radius"),
        ("tap <= 2 * radius", 0, "tap < 2 * radius"),
        ("window.first_row + k < window.end_row", 0, "true"),
        ("t - radius + tap", 0, "t - radius + tap - 1"),
        ("if (!window.emits) continue;", 0, ""),
        ("t - side / 2", 0, "t - radius"),
        ("my * cross + mx * own", 0, "mx * cross + mx * own"),
        ("partial[3 * count] =", 0, "partial[2 * count] ="),
        ("block += THREADS", 0, "block += 2 * THREADS"),
        ("+ of_y * given.of[3]", 0, "+ of_x * given.of[3]"),
    ];
    let mut noise = Noise::new(72);
    let cases = [
        ((1, 2, 13, 9), 11, 3.0),
        ((1, 1, 6, 9), 31, 20.0), // Cut by the picture.
        ((1, 1, 3, 250), 11, 1.5),
        ((70, 5, 1, 1), 3, 1.5), // More blocks than threads of the one that adds them up.
    ];
    let checks = cases.map(|(shape, window, sigma)| {
        let options = SsimOptions { window, sigma, ..Default::default() };
        check((DType::F32, 1e-6, 1e-5), shape, &options, &mut noise)
    });
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}

/// Where pictures are equal, flat and bright, a variance is a difference of equal numbers.
#[test]
fn equal_pictures_give_one_and_no_gradient() {
    let planes = Planes::from((1, 1, 12, 9));
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        let noise = Noise::new(73).uniform(planes.len(), 0.0, 1.0);
        for values in [vec![1.0; planes.len()], vec![0.3; planes.len()], noise] {
            let recorder = Recorder::default();
            let (x, grad) = (recorder.upload(dtype, &values), recorder.upload(dtype, &[1.0]));
            let pictures = cuda::Pictures { dtype, planes, x: Arg::Buffer(&x), y: Arg::Buffer(&x) };
            let options = SsimOptions::default();
            // SAFETY: launches are only recorded; the process that runs them is apart from this one.
            let (ssim, [d_x, _]) = unsafe {
                let forward = cuda::forward_for_gradients(&recorder, &pictures, &options).expect("recorded");
                let (partials, grad) = (Arg::Buffer(&forward.partials), Arg::Buffer(&grad));
                (forward.ssim, cuda::backward(&recorder, &pictures, &options, &partials, &grad).expect("recorded"))
            };
            let contents = program.run(&recorder, 3).expect("runs");
            assert_eq!(contents.of(&ssim), [1.0], "{dtype:?}");
            let largest = contents.of(&d_x).iter().fold(0f64, |largest, d| largest.max(d.abs()));
            assert!(largest <= 1e-5, "{dtype:?}: a gradient of {largest}");
        }
    }
}

#[test]
fn windows_too_wide_for_a_strip_are_refused() {
    let recorder = Recorder::default();
    let x = recorder.upload(DType::F32, &[0.0]);
    let planes = Planes::from((1, 1, 200, 200));
    let pictures = cuda::Pictures { dtype: DType::F32, planes, x: Arg::Buffer(&x), y: Arg::Buffer(&x) };
    let options = SsimOptions { window: 131, ..Default::default() };
    // SAFETY: launches are only recorded, and never run.
    let refused = unsafe { cuda::forward(&recorder, &pictures, &options) }.expect_err("too wide");
    assert!(matches!(refused, Error::Option { option: "window", .. }), "{refused}");
}
