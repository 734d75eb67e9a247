//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the reference: its convolution
//! of 1x1 by the identity, which leaves what follows the sum.

use candle_core::DType;

use super::{Activation, Conv2dOptions, cuda, reference};
use crate::Planes;
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;

/// One element, one row, several pictures and channels, around a block of 256 and a piece of 4096 elements.
const SHAPES: [(usize, usize, usize, usize); 6] =
    [(1, 1, 1, 1), (2, 3, 1, 5), (3, 2, 7, 3), (1, 2, 16, 16), (2, 2, 17, 16), (2, 2, 63, 67)];

/// Which parts there are besides the sum.
#[derive(Clone, Copy, Debug)]
struct Parts {
    bias: bool,
    scale: bool,
    residual: bool,
    activation: Activation,
}

const ALL: Parts = Parts { bias: true, scale: true, residual: true, activation: Activation::Relu };

const PARTS: [Parts; 5] = [
    ALL,
    Parts { activation: Activation::None, ..ALL },
    Parts { scale: false, ..ALL },
    Parts { bias: false, residual: false, ..ALL },
    Parts { bias: false, scale: false, residual: false, activation: Activation::None },
];

/// A forward and a backward pass over values that the type can store exactly.
fn check(
    (dtype, forward, gradient): (DType, f64, f64),
    shape: (usize, usize, usize, usize),
    parts: Parts,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let (outputs, scales) = (planes.channels, planes.batch * planes.pixels());
    let mut values = |count| rounded(dtype, &noise.uniform(count, -1.0, 1.0));
    let (x, dy) = (values(planes.len()), values(planes.len()));
    let mut bias = values(outputs);
    if !parts.bias {
        bias.fill(0.0);
    }
    let scale = parts.scale.then(|| values(scales));
    let residual = parts.residual.then(|| values(planes.len()));
    let identity: Vec<f64> = (0..outputs * outputs).map(|at| if at % (outputs + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let options = Conv2dOptions { activation: parts.activation, ..Default::default() };
    let arguments = reference::Arguments {
        planes,
        x: &x,
        weight: &identity,
        bias: &bias,
        scale: scale.as_deref(),
        residual: residual.as_deref(),
        options,
    };
    let y = reference::forward(&arguments);
    let expected = reference::backward(&arguments, &dy);

    let recorder = Recorder::default();
    let upload = |values: &[f64]| recorder.upload(dtype, values);
    // The sums once more: the first become results.
    let [in_place, sums, dy, y_stored, bias] =
        [&x, &x, &dy, &rounded_up(dtype, &y), &bias].map(|values| upload(values));
    let (scale, residual) = (scale.as_deref().map(upload), residual.as_deref().map(upload));
    let or_null = |buffer: Option<_>| buffer.map_or(Arg::Null, Arg::Buffer);
    let epilogue = cuda::Epilogue {
        dtype,
        planes,
        bias: or_null(Some(&bias).filter(|_| parts.bias)),
        scale: or_null(scale.as_ref()),
        residual: or_null(residual.as_ref()),
        activation: parts.activation,
    };
    let dy = Arg::Buffer(&dy);
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let (gradients, d_scale) = unsafe {
        cuda::forward(&recorder, &epilogue, &Arg::Buffer(&in_place)).expect("recorded");
        let gradients = cuda::backward(&recorder, &epilogue, &Arg::Buffer(&y_stored), &dy).expect("recorded");
        let d_scale = {
            let g = gradients.residual.as_ref().map_or(dy, Arg::Buffer);
            cuda::scale_gradient(&recorder, &epilogue, &Arg::Buffer(&sums), &g).expect("recorded")
        };
        (gradients, d_scale)
    };
    let made = (gradients.residual.is_some(), gradients.sums.is_some(), gradients.bias.is_some());
    let wanted = (parts.activation == Activation::Relu, parts.scale, parts.bias);
    assert_eq!(made, wanted, "g is made for a ReLU, the gradient of the sums for a scale, that of the bias for a bias");
    let mut check = Check::new(format!("{dtype:?} {shape:?} {parts:?}"), recorder)
        .expect("y", in_place, y, forward)
        .expect("d scale", d_scale, expected.scale, gradient);
    if let Some(bias) = gradients.bias {
        check = check.expect("d bias", bias, expected.bias, gradient);
    }
    if let Some(residual) = gradients.residual {
        check = check.expect("d residual", residual, expected.residual, gradient);
    }
    if let Some(sums) = gradients.sums {
        check = check.expect("d s", sums, expected.x, gradient);
    }
    check
}

/// Results as a type stores them, but none above 0 as 0: the reference's mask is that of the unrounded ones.
fn rounded_up(dtype: DType, y: &[f64]) -> Vec<f64> {
    y.iter().zip(rounded(dtype, y)).map(|(&y, stored)| if y > 0.0 && stored == 0.0 { 1.0 } else { stored }).collect()
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(81);
        for (shape, parts) in SHAPES.into_iter().flat_map(|shape| PARTS.map(|parts| (shape, parts))) {
            check(tolerances, shape, parts, &mut noise).assert(&program);
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("__syncthreads();", 0, ";"),
        ("if (bias) values[k] +=", 0, "if (bias) values[k] -="),
        ("plane % outputs", 0, "plane / outputs"),
        ("(bias + plane % outputs)", 0, "(bias)"),
        ("((long long)(plane / outputs) - plane)", 0, "(0ll - plane)"),
        ("scale + to_scale(plane, outputs, pixels)", 0, "scale"),
        ("scale + to_scale(piece.plane, outputs, pixels)", 0, "scale"),
        ("results[k] <= 0", 0, "results[k] < 0"),
        ("relu && values[k] < 0", 0, "relu && values[k] > 0"),
        ("if (ds) store_elements(piece, pixels, values, ds);", 0, ""),
        ("* channels + blockIdx.x)", 0, "* channels)"),
        ("i < batch * pieces", 0, "i < pieces"),
        ("element < piece.count", 0, "true"),
        ("(bias ? load(bias + output)", 0, "(bias ? load(bias)"),
        ("(long long)output * pixels", 0, "output"),
    ];
    let mut noise = Noise::new(82);
    let checks = [(2, 2, 5, 7), (1, 2, 63, 67)].map(|shape| check((DType::F32, 1e-6, 1e-5), shape, ALL, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}
