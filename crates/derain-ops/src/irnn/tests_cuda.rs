//! The text of `kernels/`, run on the CPU through the launches of `cuda.rs`, against the reference.

use candle_core::DType;

use super::{cuda, reference};
use crate::Planes;
use crate::cuda::Arg;
use crate::cuda::on_cpu::checks::{TOLERANCES, far};
use crate::cuda::on_cpu::{Contents, ORDERS, Program, Recorder, rounded};
use crate::testing::{Noise, assert_close};

/// One pixel, one row, one column; around a strip of 32 lines, a segment of 16 positions and a chunk of 128; around a
/// warp's step along rows, 64 columns of narrow pictures and 256 of others; more than waits in shared memory; several
/// planes.
const SHAPES: [(usize, usize, usize, usize); 17] = [
    (1, 1, 1, 1),
    (2, 3, 1, 5),
    (1, 2, 7, 1),
    (2, 2, 3, 4),
    (1, 1, 15, 17),
    (1, 1, 17, 31),
    (2, 1, 32, 33),
    (1, 3, 33, 16),
    (1, 1, 128, 5),
    (1, 1, 3, 129),
    (1, 1, 129, 127),
    (2, 1, 40, 300),
    (1, 2, 18, 64),
    (2, 1, 5, 128),
    (1, 1, 9, 257),
    (1, 1, 260, 3),
    (1, 1, 2, 2100),
];

struct Case {
    dtype: DType,
    planes: Planes,
    x: Vec<f64>,
    weights: Vec<f64>,
    biases: Vec<f64>,
    maps: Option<Vec<f64>>,
    grad: Vec<f64>,
}

/// What a case's launches gave, or the reference did.
struct Results {
    out: Vec<f64>,
    x: Vec<f64>,
    coefficients: Vec<f64>,
    maps: Vec<f64>,
}

impl Case {
    /// Values that the type can store exactly.
    fn new(dtype: DType, shape: (usize, usize, usize, usize), weighted: bool, noise: &mut Noise) -> Self {
        let planes = Planes::from(shape);
        let mut values = |count, low, high| rounded(dtype, &noise.uniform(count, low, high));
        Self {
            dtype,
            planes,
            x: values(planes.len(), -1.0, 1.0),
            weights: values(4 * planes.channels, -0.9, 1.01),
            biases: values(4 * planes.channels, -0.3, 0.5),
            maps: weighted.then(|| values(4 * planes.batch * planes.pixels(), 0.0, 1.0)),
            grad: values(4 * planes.len(), -1.0, 1.0),
        }
    }

    fn reference(&self) -> Results {
        let Self { planes, x, weights, biases, grad, .. } = self;
        let ones = vec![1.0; 4 * planes.batch * planes.pixels()];
        let maps = self.maps.as_ref().unwrap_or(&ones);
        let gradients = reference::backward(*planes, x, weights, biases, maps, grad);
        Results {
            out: reference::forward(*planes, x, weights, biases, maps),
            x: gradients.x,
            coefficients: [gradients.weights, gradients.biases].concat(),
            maps: gradients.directions,
        }
    }

    /// All launches of a forward and a backward pass. Weights and biases lie in one buffer, at an offset, as
    /// `irnn_directional` stacks them.
    fn record(&self) -> (Recorder, impl Fn(&Contents) -> Results + use<>) {
        let recorder = Recorder::default();
        let upload = |values: &[f64]| recorder.upload(self.dtype, values);
        let stacked = upload(&[&[f64::NAN; 3], &self.weights[..], &self.biases].concat());
        let (x, grad) = (upload(&self.x), upload(&self.grad));
        let maps = self.maps.as_deref().map(upload);
        let inputs = || cuda::Inputs {
            dtype: self.dtype,
            planes: self.planes,
            weights: Arg::At(&stacked, 3),
            biases: Arg::At(&stacked, 3 + self.weights.len()),
            maps: maps.as_ref().map_or(Arg::Null, Arg::Buffer),
        };
        // The reference's h, rounded: gradients are then compared for the same states.
        let ones = vec![1.0; 4 * self.planes.batch * self.planes.pixels()];
        let h = upload(&reference::forward(self.planes, &self.x, &self.weights, &self.biases, &ones));
        let (h, grad) = (Arg::Buffer(&h), Arg::Buffer(&grad));
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        let (out, gradients, of_maps) = unsafe {
            (
                cuda::forward(&recorder, &inputs(), &Arg::Buffer(&x)).expect("recorded"),
                cuda::backward(&recorder, &inputs(), &h, &grad).expect("recorded"),
                cuda::map_gradients(&recorder, self.dtype, self.planes, &h, &grad).expect("recorded"),
            )
        };
        let results = move |contents: &Contents| Results {
            out: contents.of(&out).to_vec(),
            x: contents.of(&gradients.x).to_vec(),
            coefficients: contents.of(&gradients.coefficients).to_vec(),
            maps: contents.of(&of_maps).to_vec(),
        };
        (recorder, results)
    }
}

#[test]
fn kernels_equal_the_reference_in_any_order_of_threads() {
    for (dtype, forward, gradient) in TOLERANCES {
        let Some(program) = Program::compile(&cuda::SOURCE, dtype) else { return };
        let mut noise = Noise::new(21);
        for (index, shape) in SHAPES.into_iter().enumerate() {
            let case = Case::new(dtype, shape, index % 2 == 0, &mut noise);
            let expected = case.reference();
            let (recorder, results) = case.record();
            let runs = ORDERS.map(|order| program.run(&recorder, order).unwrap_or_else(|e| panic!("{shape:?}: {e}")));
            assert!(
                runs.iter().all(|run| run.has_bits_of(&runs[0])),
                "{dtype:?} {shape:?}: the order of threads shows"
            );
            let got = results(&runs[0]);
            let what = |part| format!("{dtype:?} {shape:?} {part}");
            assert_close(&got.out, &expected.out, forward, &what("out"));
            assert_close(&got.x, &expected.x, gradient, &what("dx"));
            assert_close(&got.coefficients, &expected.coefficients, gradient, &what("da, db"));
            assert_close(&got.maps, &expected.maps, gradient, &what("d_maps"));
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
        ("__syncthreads();", 2, ";"),
        ("__syncthreads();", 3, ";"),
        ("__syncthreads();", 4, ";"),
        ("__syncthreads();", 5, ";"),
        ("__syncwarp();", 0, ";"),
        ("__syncwarp();", 2, ";"),
        ("__syncwarp();", 4, ";"),
        ("__syncwarp();", 5, ";"),
        ("__syncwarp();", 6, ";"),
        ("start + RUN;", 0, "start + RUN - 1;"),
        ("k == border ? Real(0) : b", 0, "b"),
        ("ASCENDING ? at < length - 1 : (unsigned)(at - 1) < (unsigned)(length - 1)", 0, "true"),
        ("i == COUNT - 1 ? beyond", 0, "i == COUNT - 1 ? h[k]"),
        ("kept[keeps ? chunk : 0]", 0, "kept[0]"),
        ("of[waits ? along : 0]", 0, "of[0]"),
        ("h_line[k] = d_x[at]", 0, "h_line[k] = 0"),
        ("sum[at] = sum_share[i] + g_own[i]", 0, "sum[at] = g_own[i]"),
        ("carry = state;", 0, "carry = 0;"),
        ("if (!DAMPED && a < 0) state", 0, "if (false) state"),
        ("recurrence.a >= 0 && ", 0, ""),
        ("slopes.edge[next][lane]", 0, "slopes.edge[segment][lane]"),
        ("column >= width", 0, "column > width"),
        ("first_row + row < height && ", 0, ""),
        ("lane >= apart", 0, "lane > apart"),
        ("through(factor, offset, carry)", 0, "offset"),
        ("threadIdx.x - lane + last", 0, "last"),
        ("lane == last ? h_after", 0, "lane == last ? Real(0)"),
        ("sum_share[i] = sum[at]", 0, "sum_share[i] = 0"),
        ("first_row + down < height && ", 0, ""),
        ("column + along < width", 0, "column + along <= width"),
    ];
    let mut noise = Noise::new(22);
    let cases = [(1, 1, 129, 33), (1, 1, 33, 300), (1, 2, 20, 100), (1, 2, 280, 3), (1, 2, 1, 2100)]
        .map(|shape| Case::new(DType::F32, shape, false, &mut noise));
    for (original, nth, changed) in mutants {
        let Some(program) = Program::compile_mutant(&cuda::SOURCE, DType::F32, original, nth, changed) else { return };
        let noticed = cases.iter().any(|case| {
            let expected = case.reference();
            let (recorder, results) = case.record();
            ORDERS.into_iter().any(|order| match program.run(&recorder, order).map(|contents| results(&contents)) {
                Ok(got) => {
                    far(&got.out, &expected.out, 1e-5)
                        || far(&got.x, &expected.x, 1e-4)
                        || far(&got.coefficients, &expected.coefficients, 1e-4)
                }
                Err(_) => true,
            })
        });
        assert!(noticed, "{changed:?} for number {nth} of {original:?} went unnoticed");
    }
}

/// Weights that grow over a segment, states at 0 and NaN behave as on the CPU.
#[test]
fn large_weights_and_nan_stay_what_they_are() {
    let Some(program) = Program::compile(&cuda::SOURCE, DType::F32) else { return };
    let planes = Planes::from((1, 1, 1, 200));
    let run = |x: &[f64], a: f64| {
        let recorder = Recorder::default();
        let (x, weights) = (recorder.upload(DType::F32, x), recorder.upload(DType::F32, &[a; 4]));
        let biases = recorder.upload(DType::F32, &[0.0; 4]);
        let [weights, biases] = [&weights, &biases].map(Arg::Buffer);
        let inputs = cuda::Inputs { dtype: DType::F32, planes, weights, biases, maps: Arg::Null };
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        let out = unsafe { cuda::forward(&recorder, &inputs, &Arg::Buffer(&x)) }.expect("recorded");
        program.run(&recorder, 2).expect("runs").of(&out)[200..400].to_vec()
    };
    // 1e3 to the sixteenth is beyond f32, and what it multiplies is 0.
    let x: Vec<f64> = (0..200).map(|i| if i % 50 == 49 { 0.5 } else { -2000.0 }).collect();
    let expected: Vec<f64> = x.iter().map(|&x| f64::max(x, 0.0)).collect();
    for a in [1e3, -1e3] {
        assert_eq!(run(&x, a), expected, "a = {a}");
    }
    let mut x = vec![0.25; 200];
    x[20] = f64::NAN;
    let got = run(&x, 0.5);
    assert!(got[..20].iter().all(|h| h.is_finite()) && got[20..].iter().all(|h| h.is_nan()), "{got:?}");
}

/// Right's h at the end of a row, and down's at the end of a column, are no factor of any gradient: infinite, they are
/// not to make 0 · ∞.
#[test]
fn what_lies_beyond_a_line_adds_nothing() {
    let Some(program) = Program::compile(&cuda::SOURCE, DType::F32) else { return };
    let planes = Planes::from((1, 1, 20, 20));
    let recorder = Recorder::default();
    let end = |i: usize| i % 20 == 19 || i / 20 == 19;
    let h: Vec<f64> = (0..1600).map(|i| if end(i % 400) { f64::INFINITY } else { 0.5 }).collect();
    let (h, grad) = (recorder.upload(DType::F32, &h), recorder.upload(DType::F32, &[1.0; 1600]));
    let (weights, biases) = (recorder.upload(DType::F32, &[0.5; 4]), recorder.upload(DType::F32, &[0.0; 4]));
    let [weights, biases] = [&weights, &biases].map(Arg::Buffer);
    let inputs = cuda::Inputs { dtype: DType::F32, planes, weights, biases, maps: Arg::Null };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let gradients = unsafe { cuda::backward(&recorder, &inputs, &Arg::Buffer(&h), &Arg::Buffer(&grad)) };
    let coefficients = gradients.expect("recorded").coefficients;
    let got = program.run(&recorder, 0).expect("runs").of(&coefficients).to_vec();
    // Sums may be infinite, but never NaN.
    assert!(got[..4].iter().all(|d| !d.is_nan()), "{got:?}");
}

/// Weights that grow along a line: the factor of a whole row passes the largest number where no gradient does.
#[test]
fn gradients_of_large_weights_are_those_of_steps() {
    let Some(program) = Program::compile(&cuda::SOURCE, DType::F32) else { return };
    let planes = Planes::from((1, 1, 1, 512));
    let recorder = Recorder::default();
    let weights = vec![1.5; 4];
    // Right's h is above 0 all along, its incoming gradient at the middle alone.
    let h: Vec<f64> = (0..4 * 512).map(|i| f64::from(u8::from(i / 512 == 1))).collect();
    let grad: Vec<f64> = (0..4 * 512).map(|i| if i == 512 + 256 { 1e-20f32.into() } else { 0.0 }).collect();
    let [weights, biases] = [&weights, &vec![0.0; 4]].map(|values| recorder.upload(DType::F32, values));
    let [weights, biases] = [&weights, &biases].map(Arg::Buffer);
    let (h, grad) = (recorder.upload(DType::F32, &h), recorder.upload(DType::F32, &grad));
    let inputs = cuda::Inputs { dtype: DType::F32, planes, weights, biases, maps: Arg::Null };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    let gradients = unsafe { cuda::backward(&recorder, &inputs, &Arg::Buffer(&h), &Arg::Buffer(&grad)) };
    let of_x = gradients.expect("recorded").x;
    let got = program.run(&recorder, 0).expect("runs").of(&of_x).to_vec();
    for (at, got) in got.into_iter().enumerate().take(257) {
        let expected = 1e-20 * 1.5f64.powi(256 - at as i32);
        assert!((got / expected - 1.0).abs() < 1e-4, "{at}: {got} instead of {expected}");
    }
}
