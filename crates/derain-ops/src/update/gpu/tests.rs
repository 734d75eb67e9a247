//! On a GPU as on the CPU.

use candle_core::{DType, Device};

use crate::cuda::tests_gpu::{gpu, inputs, values};
use crate::testing::assert_close;
use crate::update::{AdamStep, AdamTensors, adam, approach, sums_of_squares};

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
        adam(&[AdamTensors { parameter: &w, gradient: &g, first: &m, second: &v }], &STEP)?;
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
