//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{Upsampling, cuda, reference};
use crate::Planes;
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;

/// One pixel, one row, one column, several planes, more than a block in a plane.
const SHAPES: [(usize, usize, usize, usize); 6] =
    [(1, 1, 1, 1), (2, 3, 1, 5), (1, 2, 7, 1), (2, 2, 3, 4), (1, 1, 19, 17), (3, 1, 9, 65)];

const MODES: [Upsampling; 2] = [Upsampling::Nearest, Upsampling::Bilinear];

/// A forward and a backward pass over values that the type can store exactly.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    mode: Upsampling,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |count| rounded(dtype, &noise.uniform(count, -1.0, 1.0));
    let (x, grad) = (values(planes.len()), values(4 * planes.len()));
    let expected = reference::forward(planes, mode, &x);
    let expected_gradient = reference::backward(planes, mode, &grad);

    let recorder = Recorder::default();
    let (x, grad) = (recorder.upload(dtype, &x), recorder.upload(dtype, &grad));
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (out, d_x) = unsafe {
        (
            cuda::forward(&recorder, dtype, planes, mode, &Arg::Buffer(&x)).expect("recorded"),
            cuda::backward(&recorder, dtype, planes, mode, &Arg::Buffer(&grad)).expect("recorded"),
        )
    };
    Check::new(format!("{dtype:?} {shape:?} {mode:?}"), recorder).expect("y", out, expected, forward).expect(
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
        let mut noise = Noise::new(51);
        for (shape, mode) in SHAPES.into_iter().flat_map(|shape| MODES.map(|mode| (shape, mode))) {
            check(tolerances, shape, mode, &mut noise).assert(&program);
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("to.row / 2 * width + to.column / 2", 0, "to.row / 2 * width + to.column"),
        ("load(upper + 1)", 0, "load(upper)"),
        ("upper + 2 * width", 0, "upper + width"),
        ("to / 2 + 1", 0, "to / 2"),
        ("far < length", 0, "far <= length"),
        ("far < 0 ? 0", 0, "far < -1 ? 0"),
        ("Real(0.25) * far", 0, "Real(0.25) * near"),
        ("first > 0 ? first - 1 : 0", 0, "first"),
        ("first + 2 < last ? first + 2 : last", 0, "first + 2"),
        ("collected(columns.after)", 0, "collected(columns.before)"),
    ];
    let mut noise = Noise::new(52);
    let checks = MODES.map(|mode| check((DType::F32, 1e-6, 1e-6), (2, 2, 7, 5), mode, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}
