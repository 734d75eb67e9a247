//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{cuda, reference};
use crate::Planes;
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder};
use crate::testing::Noise;

/// One window, one row and one column of them, several planes, more than a block in a plane.
const SHAPES: [(usize, usize, usize, usize); 6] =
    [(1, 1, 2, 2), (2, 3, 2, 10), (1, 2, 10, 2), (2, 2, 6, 14), (1, 1, 30, 34), (3, 1, 18, 66)];

/// A forward and a backward pass, over few different values: many windows have several largest pixels.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |count| -> Vec<f64> { noise.uniform(count, -4.0, 4.0).into_iter().map(f64::round).collect() };
    let (x, grad) = (values(planes.len()), values(planes.len() / 4));
    let expected = reference::forward(planes, &x);
    let expected_gradient = reference::backward(planes, &x, &grad);

    let recorder = Recorder::default();
    let (x, grad) = (recorder.upload(dtype, &x), recorder.upload(dtype, &grad));
    let (x, grad) = (Arg::Buffer(&x), Arg::Buffer(&grad));
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (out, d_x) = unsafe {
        (
            cuda::forward(&recorder, dtype, planes, &x).expect("recorded"),
            cuda::backward(&recorder, dtype, planes, &x, &grad).expect("recorded"),
        )
    };
    Check::new(format!("{dtype:?} {shape:?}"), recorder).expect("y", out, expected, forward).expect(
        "dx",
        d_x,
        expected_gradient,
        gradient,
    )
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(41);
        for shape in SHAPES {
            check(tolerances, shape, &mut noise).assert(&program);
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("value > largest", 0, "value >= largest"),
        ("2 * row * width", 0, "row * width"),
        ("place.plane * results", 0, "place.plane"),
        ("row % 2 * 2", 0, "row % 2"),
        ("column / 2 * 2", 0, "column"),
        ("(pixels / 4)", 0, "pixels"),
        ("element < (unsigned)elements", 0, "true"),
    ];
    let mut noise = Noise::new(42);
    let checks = [(2, 2, 6, 14)].map(|shape| check((DType::F32, 0.0, 0.0), shape, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}

#[test]
fn nan_wins_and_its_last_pixel_gets_the_gradient() {
    const NAN: f64 = f64::NAN;
    let planes = Planes::from((1, 1, 2, 6));
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        let recorder = Recorder::default();
        let x = recorder.upload(dtype, &[NAN, 9.0, NAN, NAN, 1.0, 2.0, 5.0, 5.0, 3.0, 4.0, 3.0, NAN]);
        let grad = recorder.upload(dtype, &[1.0, 2.0, 3.0]);
        let (x, grad) = (Arg::Buffer(&x), Arg::Buffer(&grad));
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        let (out, d_x) = unsafe {
            (
                cuda::forward(&recorder, dtype, planes, &x).expect("recorded"),
                cuda::backward(&recorder, dtype, planes, &x, &grad).expect("recorded"),
            )
        };
        let contents = program.run(&recorder, 0).expect("runs");
        assert!(contents.of(&out).iter().all(|y| y.is_nan()), "{dtype:?}: {:?}", contents.of(&out));
        assert_eq!(contents.of(&d_x), [1., 0., 0., 2., 0., 0., 0., 0., 0., 0., 0., 3.], "{dtype:?}");
    }
}
