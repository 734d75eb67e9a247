//! On a GPU as on the CPU.

use candle_core::{DType, Device, Tensor};

use crate::cuda::tests_gpu::{gpu, inputs, values};
use crate::testing::assert_close;
use crate::update::{AdamStep, adam, approach, sums_of_squares};

const STEP: AdamStep = AdamStep { betas: [0.9, 0.999], scale: 0.5, step: 1e-3, root: 1.5, epsilon: 1e-8, kept: 0.999 };

#[test]
fn updates() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let run = |device: &Device, count: usize| {
        let tensors = inputs(&vec![vec![count]; 4], (0.1, 1.0), DType::F32, device);
        let [w, g, m, v] = &tensors[..] else { panic!("four tensors") };
        let [w, m, v, average] = [w, m, v, g].map(|tensor| tensor.detach().copy());
        let (w, m, v, average) = (w?, m?, v?, average?);
        let g = g.detach();
        adam(&w, &g, [&m, &v], &STEP)?;
        approach(&average, &w, 0.25)?;
        let squares = sums_of_squares(&[w.clone(), g.narrow(0, 0, 1)?, m.clone()])?;
        let results = [&w, &m, &v, &average].map(values);
        crate::Result::Ok((results, squares))
    };
    for count in [1, 257, 4097] {
        let ((expected, expected_squares), (got, squares)) = (run(&Device::Cpu, count)?, run(&gpu, count)?);
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_close(got, expected, 1e-6, &format!("{count} elements: {at}"));
        }
        assert_close(&squares, &expected_squares, 1e-6, &format!("{count} elements: squares"));
    }
    Ok(())
}

/// A lock of one memory would be waited for without end.
#[test]
fn shared_memory_is_refused() -> crate::Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let [w, g, both] = [1, 1, 2].map(|count| Tensor::from_vec(vec![1f32; count], count, &gpu));
    let (w, g, both) = (w?, g?, both?);
    let (m, v) = (both.narrow(0, 0, 1)?, both.narrow(0, 1, 1)?);
    assert!(adam(&w, &g, [&m, &v], &STEP).is_err());
    assert!(approach(&m, &v, 0.5).is_err());
    Ok(())
}
