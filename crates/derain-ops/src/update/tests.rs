use candle_core::{DType, Device, Tensor};

use super::{AdamStep, adam, approach, sums_of_squares};
use crate::{Error, Result};

const STEP: AdamStep = AdamStep { betas: [0.5, 0.75], scale: 2.0, step: 3.0, root: 0.5, epsilon: 1.0, kept: 0.5 };

fn tensor(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}

/// g = 4, m = 1/2·2 + 1/2·4 = 3, v = 3/4·16 + 1/4·16 = 16, w = 1/2·8 - 3·3 / (4/2 + 1) = 1.
#[test]
fn hand_computed_adam() -> Result<()> {
    let [w, g, m, v] = [8.0, 2.0, 2.0, 16.0].map(|value| tensor(&[value]));
    let (w, g, m, v) = (w?, g?, m?, v?);
    adam(&w, &g, [&m, &v], &STEP)?;
    assert_eq!([w, m, v].map(|tensor| tensor.to_vec1::<f32>().expect("f32")), [[1.0], [3.0], [16.0]]);
    Ok(())
}

#[test]
fn averages_approach() -> Result<()> {
    let average = tensor(&[1.0, 2.0])?;
    approach(&average, &tensor(&[5.0, -2.0])?, 0.25)?;
    assert_eq!(average.to_vec1::<f32>()?, [2.0, 1.0]);
    Ok(())
}

#[test]
fn squares_of_each_tensor() -> Result<()> {
    let strided = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?.narrow(1, 1, 1)?;
    assert_eq!(sums_of_squares(&[tensor(&[3.0, 4.0])?, strided])?, [25.0, 20.0]);
    assert_eq!(sums_of_squares(&[])?, [0.0; 0]);
    assert!(sums_of_squares(&[tensor(&[f32::NAN])?])?[0].is_nan());
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() -> Result<()> {
    let (one, two) = (tensor(&[1.0])?, tensor(&[1.0, 2.0])?);
    assert!(matches!(
        adam(&one, &two, [&one, &one], &STEP),
        Err(Error::Shape { op: "adam", argument: "gradient", .. })
    ));
    assert!(matches!(approach(&one, &two, 0.5), Err(Error::Shape { op: "approach", .. })));
    let doubles = one.to_dtype(DType::F64)?;
    assert!(matches!(approach(&doubles, &doubles, 0.5), Err(Error::DType { .. })));
    assert!(matches!(sums_of_squares(&[doubles]), Err(Error::DType { .. })));
    assert_eq!(one.to_vec1::<f32>()?, [1.0]);
    Ok(())
}
