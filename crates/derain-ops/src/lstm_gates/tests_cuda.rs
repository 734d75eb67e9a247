//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{cuda, reference};
use crate::Planes;
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;

/// One element, several pictures and channels, more than a block in a picture.
const SHAPES: [(usize, usize, usize, usize); 5] =
    [(1, 1, 1, 1), (2, 3, 1, 5), (3, 2, 7, 1), (2, 3, 9, 11), (1, 1, 19, 27)];

/// A forward and a backward pass over values that the type can store exactly; `reach` bounds the pre-activations.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    reach: f64,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |count, reach: f64| rounded(dtype, &noise.uniform(count, -reach, reach));
    let (gates, cell) = (values(4 * planes.len(), reach), values(planes.len(), 2.0));
    let grad = reference::State { hidden: values(planes.len(), 1.0), cell: values(planes.len(), 1.0) };
    let state = reference::forward(planes, &gates, &cell);
    let gradients = reference::backward(planes, &gates, &cell, &grad);

    let recorder = Recorder::default();
    let [gates, cell] = [gates, cell].map(|values| recorder.upload(dtype, &values));
    // The gradient as candle has it, of h and c' packed.
    let grad = recorder.upload(dtype, &[grad.hidden, grad.cell].concat());
    let (gates, cell) = (Arg::Buffer(&gates), Arg::Buffer(&cell));
    let grad = [&Arg::Buffer(&grad), &Arg::At(&grad, planes.len())];
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (out, got) = unsafe {
        (
            cuda::forward(&recorder, dtype, planes, &gates, &cell).expect("recorded"),
            cuda::backward(&recorder, dtype, planes, &gates, &cell, grad).expect("recorded"),
        )
    };
    Check::new(format!("{dtype:?} {shape:?} within {reach}"), recorder)
        .expect("h, c'", out, [state.hidden, state.cell].concat(), forward)
        .expect("da", got.gates, gradients.gates, gradient)
        .expect("dc", got.cell, gradients.cell, gradient)
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(61);
        for shape in SHAPES {
            // Exponentials of 1000 are infinite.
            for reach in [3.0, 1000.0] {
                check(tolerances, shape, reach, &mut noise).assert(&program);
            }
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("a + 3 * elements", 0, "a + 2 * elements"),
        ("place.plane * 4 * elements", 0, "place.plane * elements"),
        ("place.plane * 4 * elements", 1, "place.plane * elements"),
        ("gates.f * load(c + at)", 0, "gates.f * load(c)"),
        ("store(h + at", 0, "store(h + at + 1"),
        ("(1 - t * t)", 0, "(1 - t)"),
        ("d * before", 0, "d * g"),
        ("of_gates + 2 * gate", 0, "of_gates + 3 * gate"),
        ("load(d_c_next + at)", 0, "load(d_h + at)"),
    ];
    let mut noise = Noise::new(62);
    let checks = [check((DType::F32, 1e-6, 1e-6), (2, 2, 5, 7), 3.0, &mut noise)];
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}

#[test]
fn nan_stays_nan() {
    let planes = Planes::from((1, 1, 1, 5));
    for dtype in [DType::F32, DType::BF16] {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        let recorder = Recorder::default();
        // NaN in i, f, g and o of the first four elements, and in the cell of the fifth.
        let gates: Vec<f64> = (0..20).map(|at| if at % 6 == 0 && at < 19 { f64::NAN } else { 0.5 }).collect();
        let (gates, cell) = (recorder.upload(dtype, &gates), recorder.upload(dtype, &[0.0, 0.0, 0.0, 0.0, f64::NAN]));
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        let out = unsafe { cuda::forward(&recorder, dtype, planes, &Arg::Buffer(&gates), &Arg::Buffer(&cell)) }
            .expect("recorded");
        let contents = program.run(&recorder, 0).expect("runs");
        assert!(contents.of(&out)[..5].iter().all(|h| h.is_nan()), "{dtype:?}: {:?}", contents.of(&out));
    }
}
