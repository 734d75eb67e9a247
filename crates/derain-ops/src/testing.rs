//! What the operations' tests share.

use candle_core::{Device, Tensor};
use rand::RngExt;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::element::Element;

/// A seeded source of test values.
pub(crate) struct Noise(Pcg64Mcg);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    pub(crate) fn uniform(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.0.random_range(low..high)).collect()
    }
}

pub(crate) fn to_f64<E: Element>(values: &[E]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

/// Asserts that the largest error is at most `tolerance` times the largest expected magnitude.
///
/// The floor of 1e-3 keeps a result that should be all but zero from asking for more than the type's precision.
pub(crate) fn assert_close(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let largest = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs();
        assert!(error <= tolerance * largest, "{what}: element {at} is {got}, expected {expected} (largest {largest})");
    }
}

/// A scalar to differentiate: the sum of all elements, each times its weight.
pub(crate) fn sum_weighted(x: &Tensor, weights: &[f64]) -> crate::Result<Tensor> {
    let weights = Tensor::from_slice(weights, x.shape(), &Device::Cpu)?;
    Ok((x * weights)?.sum_all()?)
}

/// Runs `f` on a pool of `threads` threads.
pub(crate) fn within_pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool").install(f)
}
