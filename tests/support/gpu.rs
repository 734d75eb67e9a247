//! The GPU that tests and benches run on, and what they compare.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is how a test reports, and one that is skipped says so

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};
use derain::ops::conv2d;
use derain::ops::device::cuda;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

thread_local! {
    /// Held by the test that runs in this thread, until the thread ends: tests change which convolutions all take.
    static TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Waits for this test's turn.
fn take_turn() {
    static ONE_TEST: Mutex<()> = Mutex::new(());
    TURN.with_borrow_mut(|turn| {
        turn.get_or_insert_with(|| ONE_TEST.lock().unwrap_or_else(PoisonError::into_inner));
    });
}

/// The first GPU, for one test at a time. None where there is none, unless `REQUIRE_GPU` says that there must be one.
pub(crate) fn gpu() -> Option<Device> {
    take_turn();
    match cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_GPU").is_none(), "REQUIRE_GPU is set: {error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// Runs a test by each way that the build has to convolve: kernels of ours, and with the feature `cudnn` cuDNN.
pub(crate) fn each_way_to_convolve(test: impl Fn(&str)) {
    take_turn();
    struct AsBuilt;
    impl Drop for AsBuilt {
        fn drop(&mut self) {
            conv2d::set_direct(!cfg!(feature = "cudnn"));
        }
    }
    let _as_built = AsBuilt;
    if cfg!(feature = "cudnn") {
        conv2d::set_direct(false);
        test("cuDNN's convolutions");
    }
    conv2d::set_direct(true);
    test("our convolutions");
}

/// A seeded source of values.
pub(crate) struct Noise(Pcg64Mcg);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// Values on the CPU, of this type.
    pub(crate) fn tensor(&mut self, shape: &[usize], (low, high): (f64, f64), dtype: DType) -> Tensor {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.0.random_range(low..high)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }
}

/// The largest error, relative to the largest expected magnitude.
pub(crate) fn error(got: &Tensor, expected: &Tensor) -> f64 {
    let values = |tensor: &Tensor| -> Vec<f64> {
        let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(got.shape(), expected.shape());
    let (got, expected) = (values(got), values(expected));
    let largest = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| {
        let error = (got - expected).abs() / largest;
        // A comparison would pass NaN by.
        if error.is_nan() { f64::INFINITY } else { error.max(worst) }
    })
}
