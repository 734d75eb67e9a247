//! The harness itself: what it must notice, it does.

use super::*;

const DTYPES: [DType; 4] = [DType::F64, DType::F32, DType::F16, DType::BF16];

/// Reverses pieces of 64 through shared memory, and makes every mistake that the engine looks for when asked to.
const PIECES: Source = Source {
    name: "pieces",
    text: r#"
extern "C" __global__ void reverse(const Stored* x, Stored* out, int mistake) {
  __shared__ Real piece[64];
  const int t = threadIdx.x, first = blockIdx.x * 64;
  if (mistake == 1 && t == 63) return;
  if (mistake != 2) piece[t] = load(x + first + t);
  if (mistake == 3 && t < 32) __syncthreads(); else
  __syncthreads();
  if (mistake == 4 && t < 31) __syncwarp();
  store(out + first + t + (mistake == 5) - (mistake == 6), piece[63 - t] + (mistake == 7 ? (Real)x[64 * gridDim.x] : Real(0)));
}
extern "C" __global__ void __launch_bounds__(64)
    sum_of_lanes(const Stored* x, double* out) {
  double sum = load(x + threadIdx.x);
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  out[threadIdx.x] = sum;
}
"#,
};

fn reversed(program: &Program, order: u32, mistake: i32) -> std::result::Result<Vec<f64>, String> {
    let recorder = Recorder::default();
    let values: Vec<f64> = (0..4096).map(f64::from).collect();
    let (x, out) = (recorder.upload(DType::F32, &values), recorder.allocate(DType::F32, 4096).expect("a buffer"));
    let arguments = [Arg::Buffer(&x), Arg::Buffer(&out), Arg::Int(mistake)];
    let grid = Grid { blocks: 64, threads: (64, 1) };
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    unsafe { recorder.launch(&PIECES, DType::F32, "reverse", grid, &arguments).expect("recorded") };
    program.run(&recorder, order).map(|contents| contents.of(&out).to_vec())
}

#[test]
fn mistakes_are_noticed() {
    let Some(program) = Program::compile(&PIECES, DType::F32) else { return };
    let expected: Vec<f64> = (0..4096).map(|i| f64::from(i / 64 * 64 + 63 - i % 64)).collect();
    for order in ORDERS {
        assert_eq!(reversed(&program, order, 0).expect("no mistake"), expected, "order {order}");
    }
    let message = |order, mistake| reversed(&program, order, mistake).expect_err("a mistake");
    assert!(message(0, 1).contains("after some threads have returned"), "{}", message(0, 1));
    assert!(reversed(&program, 0, 2).expect("runs").iter().all(|value| value.is_nan()), "shared memory starts as NaN");
    assert!(message(0, 3).contains("__syncthreads at lines"), "{}", message(0, 3));
    assert!(message(0, 4).contains("a lane of the mask does not come"), "{}", message(0, 4));
    // One element past the end shows where buffers touch the page after them, one before the start where they touch the
    // page before.
    assert!(message(0, 5).contains("signal") && message(1, 6).contains("signal"), "{}", message(0, 5));
    assert!(message(0, 7).contains("signal"), "reads count, too");

    let mutant = Program::compile_mutant(&PIECES, DType::F32, "__syncthreads();", 1, ";").expect("a compiler");
    let noticed = ORDERS.map(|order| reversed(&mutant, order, 0).is_ok_and(|got| got != expected));
    assert_eq!(noticed, [true; 4], "without its barrier");
}

#[test]
fn arguments_must_be_the_kernels() {
    let Some(program) = Program::compile(&PIECES, DType::F32) else { return };
    let recorder = || {
        let recorder = Recorder::default();
        let x = recorder.upload(DType::F32, &[1.0; 64]);
        let wide = recorder.upload(DType::F64, &[1.0; 64]);
        (recorder, x, wide)
    };
    let refused = |recorder: Recorder, kernel, arguments: &[Arg<'_, Id>], expected: &str| {
        let grid = Grid { blocks: 1, threads: (64, 1) };
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        unsafe { recorder.launch(&PIECES, DType::F32, kernel, grid, arguments).expect("recorded") };
        let message = program.run(&recorder, 0).expect_err("wrong arguments");
        assert!(message.contains(expected), "{message}");
    };
    let (r, x, _) = recorder();
    refused(r, "reverse", &[Arg::Buffer(&x), Arg::Buffer(&x)], "has 3 parameters");
    let (r, x, _) = recorder();
    refused(r, "reverse", &[Arg::Buffer(&x), Arg::Int(1), Arg::Int(0)], "a pointer is passed as 'i'");
    let (r, x, wide) = recorder();
    refused(r, "reverse", &[Arg::Buffer(&x), Arg::Buffer(&wide), Arg::Int(0)], "elements of 4 bytes is passed others");
    let (r, x, _) = recorder();
    refused(r, "reverse", &[Arg::Buffer(&x), Arg::Buffer(&x), Arg::Long(0)], "kind 'i' is passed as 'l'");
    let (r, x, _) = recorder();
    refused(r, "reverse", &[Arg::Buffer(&x), Arg::Buffer(&x), Arg::Double(0.0)], "kind 'i' is passed as 'd'");
    let (r, x, _) = recorder();
    refused(r, "other", &[Arg::Buffer(&x)], "there is no kernel other");
}

/// Every kind of value, through the kernels' conversions and `half`'s.
#[test]
fn sixteen_bit_types_convert_as_half_does() {
    let mut values = vec![0.0, -0.0, 1.0, -1.5, 65504.0, 65519.9, 65520.0, 1e30, -1e30, f64::INFINITY, f64::NAN];
    values.extend([6e-8, 2.9e-8, 3.1e-8, 6.1e-5, 6.09e-5, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 1.0 + 1.0 / 256.0]);
    values.extend((0..41).map(|i| 0.37f64.powi(i - 20) * if i % 2 == 0 { 1.0 } else { -1.0 }));
    values.resize(64, 0.1);
    for dtype in DTYPES {
        let Some(program) = Program::compile(&PIECES, dtype) else { return };
        let recorder = Recorder::default();
        let stored = recorder.upload(dtype, &values);
        let sums = recorder.allocate(DType::F64, 64).expect("a buffer");
        let out = recorder.allocate(dtype, 64).expect("a buffer");
        let grid = Grid { blocks: 1, threads: (64, 1) };
        let reverse = [Arg::Buffer(&stored), Arg::Buffer(&out), Arg::Int(0)];
        // SAFETY: launches are only recorded; the process that runs them is apart from this one.
        unsafe {
            recorder.launch(&PIECES, dtype, "reverse", grid, &reverse).expect("recorded");
            let arguments = [Arg::Buffer(&stored), Arg::Buffer(&sums)];
            recorder.launch(&PIECES, dtype, "sum_of_lanes", grid, &arguments).expect("recorded");
        }
        let contents = program.run(&recorder, 2).expect("runs");
        let expected: Vec<f64> = rounded(dtype, &values).into_iter().rev().collect();
        let same = |(got, expected): (&f64, &f64)| got == expected || (got.is_nan() && expected.is_nan());
        assert!(contents.of(&out).iter().zip(&expected).all(same), "{dtype:?}: {:?}", contents.of(&out));
        let expected: f64 = rounded(dtype, &values)[32..].iter().sum();
        assert!((contents.of(&sums)[40] - expected).abs() <= 1e-9 * expected.abs(), "{dtype:?}: shuffles of doubles");
    }
}
