//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{cuda, reference};
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;
use crate::{Activation, Planes};

const EPSILON: f64 = 1e-5;

/// Two elements, one row, several pictures and channels, around a block of 256 and a piece of 4096 elements, many
/// pieces.
const SHAPES: [(usize, usize, usize, usize); 7] =
    [(2, 1, 1, 1), (2, 3, 1, 5), (3, 2, 7, 3), (1, 2, 16, 16), (2, 2, 257, 1), (2, 2, 63, 67), (150, 1, 1, 4097)];

/// A step of training, with its activation, and one by other moments, without, as running statistics are, over values
/// around `mean` that the type can store exactly.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    mean: f64,
    activation: Activation,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |count, low, high| rounded(dtype, &noise.uniform(count, low, high));
    let (x, grad) = (values(planes.len(), mean - 1.0, mean + 2.0), values(planes.len(), -1.0, 1.0));
    let (gamma, beta) = (values(planes.channels, 0.5, 2.0), values(planes.channels, -1.0, 1.0));
    let (means, variances) = (values(planes.channels, mean - 1.0, mean + 1.0), values(planes.channels, 0.5, 2.0));
    let own = reference::moments(planes, &x);
    let other = means.into_iter().zip(variances).map(|(mean, variance)| reference::Moments { mean, variance });
    let other: Vec<_> = other.collect();
    let flat = |moments: &[reference::Moments]| -> Vec<f64> {
        let means = moments.iter().map(|moments| moments.mean);
        means.chain(moments.iter().map(|moments| moments.variance)).collect()
    };
    let mut trained = reference::forward(planes, &x, &gamma, &beta, &own, EPSILON);
    let mut arriving = grad.clone();
    if activation == Activation::Relu {
        arriving.iter_mut().zip(&trained).for_each(|(grad, &y)| *grad = if y > 0.0 { *grad } else { 0.0 });
        trained.iter_mut().for_each(|y| *y = y.max(0.0));
    }
    let through = reference::backward_through_statistics(planes, &x, &gamma, &own, EPSILON, &arriving);
    let evaluated = reference::forward(planes, &x, &gamma, &beta, &other, EPSILON);
    let constant = reference::backward_with_constants(planes, &x, &gamma, &other, EPSILON, &grad);

    let recorder = Recorder::default();
    let [x, grad, gamma, beta] = [x, grad, gamma, beta].map(|values| recorder.upload(dtype, &values));
    let running = recorder.upload(DType::F64, &flat(&other));
    let (x, grad, beta) = (Arg::Buffer(&x), Arg::Buffer(&grad), Arg::Buffer(&beta));
    let count = (planes.batch * planes.pixels()) as f64;
    let unbiased: Vec<_> = flat(&own)
        .into_iter()
        .enumerate()
        .map(|(at, value)| if at < planes.channels { value } else { value * count / (count - 1.0) })
        .collect();
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (moments, y, gradients, y_by_others, gradients_by_others) = unsafe {
        let moments = cuda::moments(&recorder, dtype, planes, &x).expect("recorded");
        let by = |moments, activation| cuda::Normalization {
            dtype,
            planes,
            gamma: Arg::Buffer(&gamma),
            moments: Arg::Buffer(moments),
            epsilon: EPSILON,
            activation,
        };
        let (own, others) = (by(&moments.biased, activation), by(&running, Activation::None));
        let y = cuda::normalize(&recorder, &own, &beta, &x).expect("recorded");
        let result = Arg::Buffer(&y);
        let gradients = cuda::backward_through_statistics(&recorder, &own, &x, &result, &grad).expect("recorded");
        let y_by_others = cuda::normalize(&recorder, &others, &beta, &x).expect("recorded");
        let by_others = cuda::backward_with_constants(&recorder, &others, &x, &grad).expect("recorded");
        (moments, y, gradients, y_by_others, by_others)
    };
    // The reference sums element after element, which is less exact than pieces are.
    let exact = 1e-10;
    let (forward, gradient) = (forward.max(exact), gradient.max(exact));
    Check::new(format!("{dtype:?} {shape:?} around {mean}, {activation:?}"), recorder)
        .expect("moments", moments.biased, flat(&own), exact)
        .expect("statistics", moments.statistics, unbiased, if dtype == DType::F64 { exact } else { 1e-6 })
        .expect("y", y, trained, forward)
        .expect("dx", gradients.x, through.x, gradient)
        .expect("dγ", gradients.gamma, through.gamma, gradient)
        .expect("dβ", gradients.beta, through.beta, gradient)
        .expect("y by constants", y_by_others, evaluated, forward)
        .expect("dx by constants", gradients_by_others.x, constant.x, gradient)
        .expect("dγ by constants", gradients_by_others.gamma, constant.gamma, gradient)
        .expect("dβ by constants", gradients_by_others.beta, constant.beta, gradient)
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(91);
        for shape in SHAPES {
            for activation in [Activation::None, Activation::Relu] {
                check(tolerances, shape, 0.0, activation, &mut noise).assert(&program);
            }
        }
        // Of a mean far from 0, f32 arithmetic would lose the fifth digit of what it leaves.
        if matches!(tolerances.0, DType::F64 | DType::F32) {
            check(tolerances, (2, 2, 63, 67), 1000.0, Activation::None, &mut noise).assert(&program);
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("__syncthreads();", 0, ";"),
        ("warps[1]);\n  if", 0, "warps[0]);\n  if"),
        ("element < piece.count", 0, "true"),
        ("left < PIECE ? left : PIECE);", 0, "PIECE);"),
        ("squares / (count - 1)", 0, "squares / count"),
        ("i < batch * pieces", 0, "i < pieces"),
        ("* channels + blockIdx.x)", 0, "* channels)"),
        ("length(piece) * off * off", 0, "off * off"),
        ("piece.plane % channels", 0, "piece.plane / channels"),
        ("/ piece.count", 0, "/ PIECE"),
        ("moments[channels + channel] + epsilon", 0, "moments[channels + channel]"),
        ("if (d_x) store_elements(piece, pixels, g, d_x);", 0, ""),
        ("d_gamma * statistics.inverse", 0, "d_gamma"),
        ("- shift", 0, ""),
        ("totals[channel] / count", 0, "totals[channel]"),
        ("relu && value < 0", 0, "relu && value < -0.1"),
        ("!(results[k] > 0)", 0, "!(results[k] > 0.1)"),
        ("load_elements(piece, pixels, y, results);", 0, "load_elements(piece, pixels, grad, results);"),
    ];
    let mut noise = Noise::new(92);
    let checks = [((2, 2, 5, 7), Activation::Relu), ((2, 2, 63, 67), Activation::None)];
    let checks = checks.map(|(shape, activation)| check((DType::F32, 1e-6, 1e-5), shape, 0.0, activation, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}

#[test]
fn one_value_becomes_the_offset_and_nan_spoils_its_channel_alone() {
    let planes = Planes::from((1, 3, 1, 2));
    for dtype in [DType::F32, DType::BF16] {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        let recorder = Recorder::default();
        let x = recorder.upload(dtype, &[0.3, 0.3, f64::NAN, 1.0, 2.0, 4.0]);
        let [gamma, beta] = [[2.0; 3], [0.5; 3]].map(|values| recorder.upload(dtype, &values));
        let x = Arg::Buffer(&x);
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        let y = unsafe {
            let moments = cuda::moments(&recorder, dtype, planes, &x).expect("recorded");
            let (gamma, moments) = (Arg::Buffer(&gamma), Arg::Buffer(&moments.biased));
            let (epsilon, activation) = (EPSILON, Activation::None);
            let normalization = cuda::Normalization { dtype, planes, gamma, moments, epsilon, activation };
            cuda::normalize(&recorder, &normalization, &Arg::Buffer(&beta), &x).expect("recorded")
        };
        let contents = program.run(&recorder, 1).expect("runs");
        let y = contents.of(&y);
        assert_eq!(y[..2], [0.5; 2], "{dtype:?}");
        assert!(y[2..4].iter().all(|y| y.is_nan()) && y[4..].iter().all(|y| y.is_finite()), "{dtype:?}: {y:?}");
    }
}
