//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{RlcnOptions, cuda, reference};
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;
use crate::{Error, Planes};

/// One pixel, one row, one column; around bands of 24 rows and strips of 248 columns; several planes.
const SHAPES: [(usize, usize, usize, usize); 9] = [
    (1, 1, 1, 1),
    (2, 3, 1, 9),
    (1, 2, 9, 1),
    (2, 2, 7, 5),
    (1, 3, 24, 31),
    (2, 1, 25, 12),
    (1, 1, 50, 3),
    (1, 2, 5, 248),
    (1, 1, 3, 500),
];

/// A forward and a backward pass over values that the type can store exactly.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    options: &RlcnOptions,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |low, high| rounded(dtype, &noise.uniform(planes.len(), low, high));
    let (x, grad) = (values(0.0, 1.0), values(-1.0, 1.0));
    let expected = reference::forward(planes, &x, options);
    let expected_gradient = reference::backward(planes, &x, &grad, options);

    let recorder = Recorder::default();
    let (x, grad) = (recorder.upload(dtype, &x), recorder.upload(dtype, &grad));
    let (x, grad) = (Arg::Buffer(&x), Arg::Buffer(&grad));
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (out, d_x) = unsafe {
        (
            cuda::forward(&recorder, dtype, planes, options, &x).expect("recorded"),
            cuda::backward(&recorder, dtype, planes, options, &x, &grad).expect("recorded"),
        )
    };
    Check::new(format!("{dtype:?} {shape:?} {options:?}"), recorder).expect("L", out, expected, forward).expect(
        "dI",
        d_x,
        expected_gradient,
        gradient,
    )
}

/// The defaults, windows of one pixel, wider than most pictures, and the clamp.
fn all_options() -> [RlcnOptions; 5] {
    let with = |window, clamp| RlcnOptions { window, clamp, ..Default::default() };
    let soft = RlcnOptions { window: 5, epsilon: 0.1, variance_epsilon: 0.01, clamp: false };
    [with(9, false), with(3, true), with(1, false), with(65, false), soft]
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(31);
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
        ("__syncthreads();", 0, ";"),
        ("__syncthreads();", 1, ";"),
        ("first + k + radius)", 0, "first + k + radius - 1)"),
        ("first + k - radius)", 0, "first + k - radius - 1)"),
        ("i <= t + radius", 0, "i < t + radius"),
        ("t < radius + own && ", 0, ""),
        ("&& window.column < width;", 1, ";"),
        ("first + k < window.end_row", 0, "true"),
        ("* (n - 1))", 0, "* n)"),
        ("passes ? ", 0, "true ? "),
        ("- tilt * (value - deviation)", 0, "- tilt * value"),
        ("window.first_row - radius", 0, "window.first_row - radius + 1"),
    ];
    let mut noise = Noise::new(32);
    let options = RlcnOptions::default();
    let checks =
        [(1, 2, 27, 20), (1, 1, 6, 300)].map(|shape| check((DType::F32, 1e-5, 1e-4), shape, &options, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}

/// Exactly 0, however bright, and no noise beside an edge: flat regions of a picture that is not flat.
#[test]
fn flat_regions_are_zero() {
    let planes = Planes::from((1, 1, 40, 30));
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        for value in [1.0, 0.3, 254.0 / 255.0, 1e-3] {
            let x: Vec<f64> = (0..planes.len()).map(|at| if at < 600 { 0.71 } else { value }).collect();
            let recorder = Recorder::default();
            let x = recorder.upload(dtype, &x);
            // SAFETY: launches are only recorded; the process that runs them is apart from this one.
            let out = unsafe { cuda::forward(&recorder, dtype, planes, &RlcnOptions::default(), &Arg::Buffer(&x)) }
                .expect("recorded");
            let out = program.run(&recorder, 2).expect("runs").of(&out).to_vec();
            // The edge lies between rows 19 and 20, and windows reach four rows.
            assert_eq!(out[..16 * 30], [0.0; 16 * 30], "{dtype:?} {value}");
            assert_eq!(out[24 * 30..], [0.0; 16 * 30], "{dtype:?} {value}");
        }
    }
}

#[test]
fn windows_too_wide_for_a_strip_are_refused() {
    let recorder = Recorder::default();
    let x = recorder.upload(DType::F32, &[0.0]);
    let run = |window, shape: (usize, usize, usize, usize)| {
        let options = RlcnOptions { window, ..Default::default() };
        // SAFETY: launches are only recorded, and never run.
        unsafe { cuda::forward(&recorder, DType::F32, shape.into(), &options, &Arg::Buffer(&x)) }
    };
    let refused = run(131, (1, 1, 200, 200)).expect_err("too wide");
    assert!(matches!(refused, Error::Option { option: "window", .. }), "{refused}");
    assert!(run(129, (1, 1, 200, 200)).is_ok());
    assert!(run(1001, (1, 1, 64, 40)).is_ok(), "no wider than the picture");
}
