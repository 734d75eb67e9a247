//! The text, run on the CPU through the launches of `weight_gradient.rs`, against the reference.

use candle_core::DType;

use super::{Convolution, SOURCE, by_splits, weight_gradient};
use crate::Planes;
use crate::conv2d::Conv2dOptions;
use crate::conv2d::reference::{self, Arguments};
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;

/// ([B, C, H, W], O, K, dilation).
type Case = ((usize, usize, usize, usize), usize, usize, usize);

/// Tiles of all widths, cut by the picture's edges or not, several pictures, around a block's outputs and channels.
const CASES: [Case; 7] = [
    ((1, 1, 1, 1), 1, 3, 1),
    ((2, 3, 5, 4), 2, 3, 1),
    ((1, 5, 9, 37), 17, 3, 2),
    ((2, 4, 19, 13), 8, 3, 4),
    ((3, 33, 3, 16), 20, 1, 1),
    ((1, 2, 70, 7), 3, 1, 3),
    ((1, 1, 18, 64), 9, 3, 1),
];

fn check(
    (dtype, _, tolerance): (DType, f64, f64),
    (shape, outputs, size, dilation): Case,
    splits: Option<usize>,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let mut values = |count| rounded(dtype, &noise.uniform(count, -1.0, 1.0));
    let weights = outputs * planes.channels * size * size;
    let (x, grad) = (values(planes.len()), values(planes.batch * outputs * planes.pixels()));
    let (weight, bias) = (vec![0.0; weights], vec![0.0; outputs]);
    let options = Conv2dOptions { dilation, ..Default::default() };
    let arguments = Arguments { planes, x: &x, weight: &weight, bias: &bias, scale: None, residual: None, options };
    let expected = reference::backward(&arguments, &grad).weight;

    let recorder = Recorder::default();
    let [x, grad] = [x, grad].map(|values| recorder.upload(dtype, &values));
    let convolution = Convolution { dtype, planes, outputs, size, dilation };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let d_weight = unsafe {
        match splits {
            Some(splits) => by_splits(&recorder, &convolution, splits, &Arg::Buffer(&x), &Arg::Buffer(&grad)),
            None => weight_gradient(&recorder, &convolution, &Arg::Buffer(&x), &Arg::Buffer(&grad)),
        }
    };
    let what = format!("{dtype:?} {shape:?} -> {outputs}, {size}x{size}, {dilation} apart, {splits:?}");
    Check::new(what, recorder).expect("dW", d_weight.expect("recorded"), expected, tolerance)
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(85);
        for case in CASES {
            for splits in [None, Some(2), Some(11)] {
                check(tolerances, case, splits, &mut noise).assert(&program);
            }
        }
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("    __syncthreads();\n    for (int i", 0, "    for (int i"),
        ("    __syncthreads();\n    for (int pixel", 0, "    for (int pixel"),
        ("    wait_for_copies();\n", 0, ""),
        ("tile += splits", 0, "tile += splits + 1"),
        ("inside && output + o < outputs", 0, "output + o < outputs"),
        ("channel + c < call.inputs", 0, "true"),
        ("block.batch * outputs + output", 0, "output"),
        ("% groups * CHANNELS", 0, "% groups * 0"),
        ("/ 32 % 2 * OF_WARP", 0, "/ 32 % 2"),
        ("lane == 0 && to_output < outputs", 0, "lane == 0"),
        ("apart > 0; apart /= 2", 1, "apart > 1; apart /= 2"),
        ("split += SHARES", 0, "split += splits"),
        ("int i = 1; i < SHARES", 0, "int i = 2; i < SHARES"),
        ("__syncthreads();\n  if (share", 0, "if (share"),
        ("tap % SIZE) * call.dilation", 0, "tap % SIZE)"),
    ];
    let mut noise = Noise::new(86);
    // Blocks with several tiles each, and more shares than the totals' threads.
    let checks = [(((2, 5, 9, 37), 17, 3, 2), 2), (((1, 2, 34, 34), 3, 3, 1), 9)]
        .map(|(case, splits)| check((DType::F32, 1e-5, 1e-4), case, Some(splits), &mut noise));
    assert_noticed(&SOURCE, DType::F32, &mutants, &checks);
}
