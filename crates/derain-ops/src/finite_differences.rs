//! Gradients against central differences in f64: what every operation's tests share.

use candle_core::{DType, Device, Tensor, Var};

use crate::Result;

const STEP: f64 = 1e-6;

/// Elements of each input that are compared, spread over it.
const SAMPLES: usize = 40;

/// Asserts that the gradients of the scalar `loss` for every one of `inputs` equal its central differences.
///
/// An element with a kink of `loss` within the step is passed over; of all elements at most one in ten may be.
pub(crate) fn assert_gradients(
    inputs: &[Tensor],
    what: &str,
    loss: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let vars = inputs.iter().map(Var::from_tensor).collect::<candle_core::Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = loss(&tensors)?.backward()?;
    let (mut sampled, mut compared) = (0, 0);
    for (index, input) in inputs.iter().enumerate() {
        assert_eq!(input.dtype(), DType::F64, "differences need f64");
        let gradient = gradients.get(&vars[index]).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
        let values = input.flatten_all()?.to_vec1::<f64>()?;
        for at in (0..values.len()).step_by(values.len().div_ceil(SAMPLES)) {
            let moved = |step: f64| -> Result<f64> {
                let mut values = values.clone();
                values[at] += step;
                let mut inputs = inputs.to_vec();
                inputs[index] = Tensor::from_vec(values, input.shape(), &Device::Cpu)?;
                Ok(loss(&inputs)?.to_scalar::<f64>()?)
            };
            let [up, down, here] = [moved(STEP)?, moved(-STEP)?, moved(0.0)?];
            sampled += 1;
            if ((up - here) - (here - down)).abs() > 1e-8 {
                continue; // A kink lies within the step: the one-sided slopes differ.
            }
            compared += 1;
            let expected = (up - down) / (2.0 * STEP);
            let error = (gradient[at] - expected).abs();
            assert!(
                error <= 1e-6 + 1e-5 * expected.abs(),
                "{what}: input {index} element {at}: {} for {expected}",
                gradient[at],
            );
        }
    }
    assert!(compared * 10 >= sampled * 9, "{what}: only {compared} of {sampled} elements lie away from kinks");
    Ok(())
}
