use candle_core::{DType, Device, Tensor};

use super::{AdamStep, AdamTensors, adam, approach, sums_of_squares};
use crate::Result;

const STEP: AdamStep = AdamStep { betas: [0.75, 0.25], scale: 2.0, step: 15.0, root: 2.0, epsilon: 1.0, kept: 0.5 };

fn tensor(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}

fn step([parameter, gradient, first, second]: [&Tensor; 4]) -> Result<()> {
    adam(&[AdamTensors { parameter, gradient, first, second }], &STEP)
}

/// s·g = 4, m = 3/4·2 + 1/4·4 = 2.5, v = 1/4·148 + 3/4·16 = 49, w = 1/2·8 - 15·2.5 / (2·7 + 1) = 1.5.
#[test]
fn hand_computed_adam() -> Result<()> {
    let [w, g, m, v] = [8.0, 2.0, 2.0, 148.0].map(|value| tensor(&[value]));
    let (w, g, m, v) = (w?, g?, m?, v?);
    step([&w, &g, &m, &v])?;
    assert_eq!([w, m, v].map(|tensor| tensor.to_vec1::<f32>().expect("f32")), [[1.5], [2.5], [49.0]]);
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
fn what_does_not_fit_is_refused_before_anything_changes() -> Result<()> {
    let [w, g, m, v, two] = [&[1.0][..], &[1.0], &[1.0], &[1.0], &[1.0, 2.0]].map(tensor);
    let (w, g, m, v, two) = (w?, g?, m?, v?, two?);
    let doubles = w.to_dtype(DType::F64)?;
    let says = |result: Result<()>, words: &str| {
        let error = result.expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
    };
    says(step([&w, &two, &m, &v]), "`gradient` must have shape [1], that of the parameter");
    says(step([&w, &g, &m, &doubles]), "`second moment` is F64; training changes f32 alone");
    says(approach(&w, &two, 0.5), "`to` must have shape [1], that of the average");
    says(approach(&two.narrow(0, 0, 1)?, &two.narrow(0, 1, 1)?, 0.5), "share memory");
    says(step([&w, &g, &m, &m]), "share memory");
    says(step([&w, &w, &m, &v]), "share memory");
    says(sums_of_squares(&[doubles]).map(drop), "`tensors` is F64");
    // The last parameter of several is as good as the first one.
    let good = AdamTensors { parameter: &w, gradient: &g, first: &m, second: &v };
    says(adam(&[good, AdamTensors { gradient: &two, ..good }], &STEP), "that of the parameter");
    let rows = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?;
    says(approach(&rows.t()?, &rows.copy()?, 0.5), "contiguous");
    assert_eq!([w, m, v].map(|tensor| tensor.to_vec1::<f32>().expect("f32")), [[1.0]; 3]);
    Ok(())
}
