//! What operations' tests on GPUs share: results and gradients, the latter asked of the operations themselves, so that
//! none of candle's own kernels runs. The GPU may be a pretended one (`.ci/pretend-cuda`). Without any, tests say that
//! they are skipped; with `REQUIRE_GPU` set they fail.

use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Tensor, Var};

use crate::Result;
use crate::testing::{Noise, assert_close};

/// Relative to the largest value, forward and for gradients.
const TOLERANCES: [(DType, f64, f64); 2] = [(DType::F32, 1e-5, 1e-4), (DType::F64, 1e-12, 1e-11)];

/// The same of halves against the CPU in f32, from the same inputs: halves of a unit in the last place, and what
/// several roundings make of them.
const HALVES: [(DType, f64, f64); 2] = [(DType::F16, 4e-3, 8e-3), (DType::BF16, 3e-2, 6e-2)];

pub(crate) fn gpu() -> Option<Device> {
    // Without events, as the examples; the tests of whole networks (`tests/gpu`) run with them.
    // SAFETY: these tests open no other device and make no streams.
    match unsafe { crate::device::cuda_alone(0) } {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_GPU").is_none(), "REQUIRE_GPU is set: {error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// An operation, with as many inputs as it has.
pub(crate) enum Op {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
}

impl Op {
    pub(crate) fn one(op: impl CustomOp1 + Send + Sync + 'static) -> Self {
        Self::One(Arc::new(Box::new(op)))
    }

    pub(crate) fn two(op: impl CustomOp2 + Send + Sync + 'static) -> Self {
        Self::Two(Arc::new(Box::new(op)))
    }

    pub(crate) fn three(op: impl CustomOp3 + Send + Sync + 'static) -> Self {
        Self::Three(Arc::new(Box::new(op)))
    }

    /// Result and gradients, from the gradient that `gradient` gives to a result.
    fn run(&self, inputs: &[Tensor], gradient: impl FnOnce(&Tensor) -> Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        let (y, gradients) = match (self, inputs) {
            (Self::One(op), [x]) => {
                let y = x.apply_op1_arc(Arc::clone(op))?;
                let of_x = op.bwd(x, &y, &gradient(&y))?;
                (y, vec![of_x])
            }
            (Self::Two(op), [a, b]) => {
                let y = a.apply_op2_arc(b, Arc::clone(op))?;
                let (of_a, of_b) = op.bwd(a, b, &y, &gradient(&y))?;
                (y, vec![of_a, of_b])
            }
            (Self::Three(op), [a, b, c]) => {
                let y = a.apply_op3_arc(b, c, Arc::clone(op))?;
                let (of_a, of_b, of_c) = op.bwd(a, b, c, &y, &gradient(&y))?;
                (y, vec![of_a, of_b, of_c])
            }
            _ => panic!("as many inputs as the operation has"),
        };
        Ok((y, gradients.into_iter().map(|gradient| gradient.expect("a gradient")).collect()))
    }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_device(&Device::Cpu).and_then(|t| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).expect("values")
}

/// Inputs of these shapes, each the second half of a tensor twice as long, so that it does not begin where its memory
/// does.
pub(crate) fn inputs(shapes: &[Vec<usize>], (low, high): (f64, f64), dtype: DType, device: &Device) -> Vec<Tensor> {
    let mut noise = Noise::new(51);
    let make = |shape: &Vec<usize>| {
        let count: usize = shape.iter().product();
        let all = Tensor::from_vec(noise.uniform(2 * count, low, high), 2 * count, &Device::Cpu)?;
        // A variable, as some operations compute gradients for what is one alone.
        Var::from_tensor(&all.to_dtype(dtype)?.to_device(device)?)?.narrow(0, count, count)?.reshape(&shape[..])
    };
    shapes.iter().map(make).collect::<candle_core::Result<_>>().expect("inputs")
}

/// Compares a GPU's result and gradients, of the operation for given inputs, with the CPU's; a second run must give the
/// same bits.
pub(crate) fn compare(name: &str, op: impl Fn(&[Tensor]) -> Op, shapes: &[Vec<usize>], range: (f64, f64)) {
    let Some(gpu) = gpu() else { return };
    for (dtype, forward, backward) in TOLERANCES.into_iter().chain(HALVES) {
        let half = matches!(dtype, DType::F16 | DType::BF16);
        let drawn = |shapes: &[Vec<usize>], range, device: &Device| {
            let tensors = inputs(shapes, range, dtype, device).into_iter();
            let widened =
                tensors.map(|x| if half && device.is_cpu() { x.to_dtype(DType::F32).expect("f32") } else { x });
            widened.collect::<Vec<_>>()
        };
        let run = |device: &Device| {
            let gradient = |y: &Tensor| drawn(&[y.dims().to_vec()], (-1.0, 1.0), device)[0].clone();
            let inputs = drawn(shapes, range, device);
            let (y, gradients) = op(&inputs)
                .run(&inputs, gradient)
                .unwrap_or_else(|error| panic!("{name} {dtype:?} {shapes:?} on {:?}: {error:?}", device.location()));
            (values(&y), gradients.iter().map(values).collect::<Vec<_>>())
        };
        let ((expected, expected_gradients), (got, gradients)) = (run(&Device::Cpu), run(&gpu));
        let what = format!("{name} {dtype:?} {shapes:?}");
        assert_close(&got, &expected, forward, &what);
        assert_eq!(gradients.len(), expected_gradients.len(), "{what}");
        for (input, (got, expected)) in gradients.iter().zip(&expected_gradients).enumerate() {
            assert_close(got, expected, backward, &format!("{what}: gradient for input {input}"));
        }
        assert!(run(&gpu) == (got, gradients), "{what}: two runs differ");
    }
}
