//! The texts, run on the CPU through the launches of `direct.rs`, against the reference.

use candle_core::DType;

use super::{Convolution, OF_32, Packing, SOURCE, TILES, Taps, Tile, by_tile, forward, pack, serves};
use crate::Planes;
use crate::conv2d::cuda::Epilogue;
use crate::conv2d::reference::{self, Arguments};
use crate::conv2d::{Activation, Conv2dOptions};
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{Check, TOLERANCES, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::testing::Noise;

/// ([B, C, H, W], O, K, dilation).
type Case = ((usize, usize, usize, usize), usize, usize, usize);

/// Tiles of all widths, cut by the picture's edges or not, around chunks of 2, 4 and 16 channels and a tile's outputs,
/// rows of whole words or not.
const CASES: [Case; 7] = [
    ((1, 1, 1, 1), 1, 3, 1),
    ((2, 3, 5, 4), 2, 3, 1),
    ((1, 9, 9, 37), 33, 3, 2),
    ((2, 17, 3, 16), 20, 1, 1),
    ((1, 2, 70, 7), 17, 3, 4),
    ((1, 16, 18, 34), 16, 3, 1),
    ((1, 5, 35, 14), 65, 1, 3),
];

/// A convolution with all that may follow it, or with a bias alone, and the gradient of x without, over values that the
/// type can store exactly.
fn check(
    (dtype, tolerance, gradient): (DType, f64, f64),
    tile: Option<&Tile>,
    (shape, outputs, size, dilation): Case,
    all: bool,
    noise: &mut Noise,
) -> Check {
    let planes = Planes::from(shape);
    let of_result = Planes { channels: outputs, ..planes };
    let mut values = |count| rounded(dtype, &noise.uniform(count, -1.0, 1.0));
    let (x, weight, bias) = (values(planes.len()), values(outputs * planes.channels * size * size), values(outputs));
    let (scale, residual) = (values(planes.batch * planes.pixels()), values(of_result.len()));
    let dy = values(of_result.len());
    let activation = if all { Activation::Relu } else { Activation::None };
    let arguments = Arguments {
        planes,
        x: &x,
        weight: &weight,
        bias: &bias,
        scale: all.then_some(&scale),
        residual: all.then_some(&residual),
        options: Conv2dOptions { dilation, activation },
    };
    let y = reference::forward(&arguments);
    let plain = Arguments {
        scale: None,
        residual: None,
        options: Conv2dOptions { dilation, ..Default::default() },
        ..arguments
    };
    let of_x = reference::backward(&plain, &dy).x;

    let recorder = Recorder::default();
    let [x, weight, bias, scale, dy] = [&x, &weight, &bias, &scale, &dy].map(|values| recorder.upload(dtype, values));
    // Of an odd number of planes from the second element on: words of two halves are not whole there.
    let start = outputs % 2;
    let residual = recorder.upload(dtype, &[&[0.0][..start], &residual].concat());
    let convolution = |x, planes, taps| Convolution { planes, x, weight: Arg::Buffer(&weight), taps, size, dilation };
    let epilogue = || Epilogue {
        dtype,
        planes: of_result,
        bias: Arg::Buffer(&bias),
        scale: if all { Arg::Buffer(&scale) } else { Arg::Null },
        residual: if all { Arg::At(&residual, start) } else { Arg::Null },
        activation,
    };
    let nothing = Epilogue {
        dtype,
        planes,
        bias: Arg::Null,
        scale: Arg::Null,
        residual: Arg::Null,
        activation: Activation::None,
    };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let [result, of_packed, d_x] = unsafe {
        let whole = convolution(Arg::Buffer(&x), planes, Taps::AsTheyAre);
        let packing = Packing::of(dtype, planes.channels, outputs, size);
        let packed = pack(&recorder, &whole.weight, whole.taps, &packing).expect("recorded");
        let of_packed =
            Convolution { weight: Arg::Buffer(&packed), ..convolution(Arg::Buffer(&x), planes, Taps::Packed) };
        let back = convolution(Arg::Buffer(&dy), of_result, Taps::Turned);
        [(whole, epilogue()), (of_packed, epilogue()), (back, nothing)].map(|(convolution, epilogue)| {
            let recorded = match tile {
                Some(tile) => by_tile(&recorder, tile, &convolution, &epilogue),
                None => forward(&recorder, &convolution, &epilogue),
            };
            recorded.expect("recorded")
        })
    };
    let what = format!(
        "{dtype:?} {shape:?} -> {outputs}, {size}x{size}, {dilation} apart, {:?}",
        tile.map(|tile| tile.kernels)
    );
    let check = Check::new(what, recorder).expect("y", result, y.clone(), tolerance);
    check.expect("y of packed weights", of_packed, y, tolerance).expect("dx", d_x, of_x, gradient)
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for tolerances in TOLERANCES {
        let Some(program) = Program::compile(&SOURCE, tolerances.0) else { return };
        let mut noise = Noise::new(83);
        for (at, case) in CASES.into_iter().enumerate() {
            // Every tile with every kind of case, but not with each.
            for all in [false, true] {
                check(tolerances, Some(TILES[(at + 2 * usize::from(all)) % 3]), case, all, &mut noise).assert(&program);
            }
        }
        for tile in TILES.map(Some).into_iter().chain([None]) {
            for size in [1, 3] {
                check(tolerances, tile, ((2, 5, 6, 10), 18, size, 2), true, &mut noise).assert(&program);
            }
        }
    }
}

#[test]
fn tiles_are_as_large_as_keeps_a_gpu_at_work() {
    let kernel = |width, outputs| Tile::of(Planes::from((1, 16, width, width)), outputs).kernels[1];
    assert_eq!(kernel(2048, 3), "conv2d_3x3_16");
    assert_eq!(kernel(2048, 32), "conv2d_3x3_32");
    assert_eq!(kernel(2048, 128), "conv2d_3x3_64");
    assert_eq!(kernel(64, 128), "conv2d_3x3_32");
    let planes = Planes::from((1, 16, 512, 512));
    assert!(serves(planes, 32, 3, 4) && serves(planes, 32, 1, 64) && !serves(planes, 32, 3, 5));
    let large = |channels| Planes::from((1, channels, 1 << 15, 1 << 13));
    assert!(serves(large(8), 8, 1, 1));
    assert!(!serves(large(1), 16, 1, 1) && !serves(large(16), 1, 1, 1), "more values than 32 bits count");
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let of_all = [
        ("number % groups * OUTPUTS", 0, "0"),
        ("tile % columns * width", 0, "0"),
        ("(unsigned)y < (unsigned)call.height", 0, "true"),
        ("taps - 1 - place.tap", 0, "place.tap"),
        ("place.input < inputs && ", 0, ""),
    ];
    let of_floats = [
        ("    __syncthreads();\n    if (first + CHUNK", 0, "    if (first + CHUNK"),
        (
            "    __syncthreads();\n    if (first + CHUNK < call.inputs) start_chunk(first + CHUNK, 1 - stage);",
            0,
            "    if (first + CHUNK < call.inputs) start_chunk(first + CHUNK, 1 - stage);\n    __syncthreads();",
        ),
        ("    wait_for_copies();\n", 0, ""),
        ("first + c < call.inputs", 0, "true"),
        ("x >= call.width) continue", 0, "false) continue"),
        ("sums[o] *= scale", 0, "sums[o] *= 1"),
        ("sums[o] < least", 0, "sums[o] > least"),
        ("if (o <= last) store", 0, "store"),
    ];
    let of_halves = [
        ("    __syncthreads();\n#pragma unroll\n    for (int tap", 0, "#pragma unroll\n    for (int tap"),
        ("    wait_for_copies();\n", 1, ""),
        ("    // The next chunk goes where this one was.\n    __syncthreads();", 0, ""),
        ("  // A thread asks for those that others have found.\n  __syncthreads();", 0, ""),
        ("ask(left)", 0, "ask(8)"),
        ("found[k] < 0 ? 0 : bits[k][2 * c]", 0, "bits[k][2 * c]"),
        ("if (pixel + at < block.pixels) to_values", 0, "to_values"),
        ("first_copied + tap < TAPS", 0, "true"),
        ("b[2], b[3]", 0, "b[0], b[1]"),
        ("call.width % 2 == 0 && ", 0, ""),
        ("if (pair.second) to[1]", 0, "to[1]"),
        ("sums[0][o] *= low(scale)", 0, "sums[0][o] *= high(scale)"),
        ("+= high(residual)", 0, "+= low(residual)"),
        ("const Real first = sums[0][o] < least", 0, "const Real first = sums[0][o] < -1"),
    ];
    let cases = [((2, 5, 9, 34), 33, 3, 2), ((1, 17, 6, 5), 4, 3, 1)];
    for (dtype, mutants) in [(DType::F32, [&of_all[..], &of_floats].concat()), (DType::BF16, of_halves.to_vec())] {
        let mut noise = Noise::new(84);
        let tolerances = TOLERANCES.into_iter().find(|tolerances| tolerances.0 == dtype).expect("its tolerances");
        let checks = cases.map(|case| check(tolerances, Some(&OF_32), case, true, &mut noise));
        assert_noticed(&SOURCE, dtype, &mutants, &checks);
    }
}
