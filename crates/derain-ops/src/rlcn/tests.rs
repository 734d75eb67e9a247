use candle_core::{DType, Device, Tensor, Var};

use super::{RlcnOptions, cpu, reference, rlcn};
use crate::element::Element;
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

const SHAPES: [(usize, usize, usize, usize); 14] = [
    (1, 1, 1, 1),
    (1, 1, 1, 9),
    (1, 1, 9, 1),
    (1, 1, 2, 2),
    (2, 3, 5, 7),
    (1, 2, 8, 8),
    (1, 1, 9, 9),
    (1, 1, 16, 31),
    (1, 1, 31, 16),
    (1, 3, 33, 32),
    (2, 1, 12, 65),
    (1, 1, 140, 6),
    (1, 1, 300, 4),
    (1, 1, 3, 40),
];

/// The defaults, windows of one pixel, wider than the picture, and the clamp.
fn all_options() -> Vec<RlcnOptions> {
    let with = |window, clamp| RlcnOptions { window, clamp, ..Default::default() };
    let soft = RlcnOptions { window: 5, epsilon: 0.1, variance_epsilon: 0.01, clamp: false };
    vec![with(9, false), with(9, true), with(1, false), with(3, true), with(65, false), soft]
}

fn values<E: Element>(values: &[f64]) -> Vec<E> {
    values.iter().map(|&value| E::from_f64(value)).collect()
}

#[test]
fn hand_computed_three_by_three() -> crate::Result<()> {
    let x = Tensor::new(&[[[[0f64, 0., 0.], [0., 9., 0.], [0., 0., 0.]]]], &Device::Cpu)?;
    let options = RlcnOptions { window: 3, epsilon: 1.0, variance_epsilon: 1e-300, clamp: false };
    let l = rlcn(&x, &options)?.flatten_all()?.to_vec1::<f64>()?;
    // In the middle: mean 1, variance (81 - 9) / 8 = 9, so 8 / (3 + 1). Elsewhere the pixel is below its mean.
    assert_eq!(l, [0., 0., 0., 0., 2., 0., 0., 0., 0.]);
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa, tolerance: f64, gradient_tolerance: f64) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            for options in all_options() {
                let planes = Planes::from(shape);
                let x: Vec<E> = values(&noise.uniform(planes.len(), 0.0, 1.0));
                let grad: Vec<E> = values(&noise.uniform(planes.len(), -1.0, 1.0));
                let what = format!("{isa:?} {:?} {shape:?} {options:?}", E::DTYPE);
                let mut out = vec![E::from_f64(f64::NAN); x.len()];
                cpu::forward(isa, planes, &x, &options, &mut out);
                assert_close(&to_f64(&out), &reference::forward(planes, &to_f64(&x), &options), tolerance, &what);
                let got = cpu::backward(isa, planes, &x, &grad, &options);
                let expected = reference::backward(planes, &to_f64(&x), &to_f64(&grad), &options);
                assert_close(&to_f64(&got), &expected, gradient_tolerance, &what);
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5, 1e-4);
    }
    // Prefix sums keep about 1e-14 of a row; what remains is divided by at least the root of 1e-5.
    compare::<f64>(Isa::Portable, 1e-8, 1e-8);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    const STEP: f64 = 1e-6;
    let mut noise = Noise::new(2);
    let (mut sampled, mut compared) = (0, 0);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 300) {
        let (b, c, h, w) = shape;
        for options in all_options() {
            let var = Var::from_vec(noise.uniform(b * c * h * w, 0.0, 1.0), shape, &Device::Cpu)?;
            let weights = noise.uniform(b * c * h * w, -1.0, 1.0);
            let loss = |x: &Tensor| sum_weighted(&rlcn(x, &options)?, &weights);
            let gradients = loss(&var)?.backward()?;
            let gradient = gradients.get(&var).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
            let values = var.flatten_all()?.to_vec1::<f64>()?;
            for at in (0..values.len()).step_by(values.len().div_ceil(30)) {
                sampled += 1;
                let moved = |step: f64| -> crate::Result<f64> {
                    let mut values = values.clone();
                    values[at] += step;
                    Ok(loss(&Tensor::from_vec(values, shape, &Device::Cpu)?)?.to_scalar::<f64>()?)
                };
                let [up, down, here] = [moved(STEP)?, moved(-STEP)?, moved(0.0)?];
                if ((up - here) - (here - down)).abs() > 1e-8 {
                    continue; // A kink of max or of the clamp lies within the step.
                }
                compared += 1;
                let expected = (up - down) / (2.0 * STEP);
                let error = (gradient[at] - expected).abs();
                assert!(
                    error <= 1e-4 + 1e-3 * expected.abs(),
                    "{shape:?} {options:?} element {at}: {} for {expected}",
                    gradient[at]
                );
            }
        }
    }
    assert!(compared * 10 >= sampled * 9, "only {compared} of {sampled} elements lie away from kinks");
    Ok(())
}

#[test]
fn flat_bright_pictures_are_zero() {
    let planes = Planes::from((1, 1, 200, 90));
    for value in [0.0, 1.0, 0.3, 254.0 / 255.0, 1e-3] {
        for window in [9, 65] {
            let options = RlcnOptions { window, ..Default::default() };
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; planes.len()];
                cpu::forward(isa, planes, &vec![value as f32; planes.len()], &options, &mut out);
                assert!(out.iter().all(|&l| l == 0.0), "{isa:?} value {value} window {window}");
            }
        }
    }
}

/// A ripple far below the picture's brightness: single-pass sums in f32 would drown it in rounding.
#[test]
fn faint_ripple_on_a_bright_picture_survives_in_f32() {
    let planes = Planes::from((1, 1, 40, 50));
    let x: Vec<f32> = (0..planes.len()).map(|i| 0.5 + if (i % 50 + i / 50) % 2 == 0 { 1e-4 } else { -1e-4 }).collect();
    let options = RlcnOptions::default();
    let mut out = vec![0f32; x.len()];
    cpu::forward(Isa::current(), planes, &x, &options, &mut out);
    assert_close(&to_f64(&out), &reference::forward(planes, &to_f64(&x), &options), 1e-5, "ripple");
    assert!(out.iter().any(|&l| l > 0.02), "the ripple is gone");
}

#[test]
fn thread_counts_give_the_same_bits() {
    let planes = Planes::from((2, 3, 300, 40));
    let mut noise = Noise::new(4);
    let x: Vec<f32> = values(&noise.uniform(planes.len(), 0.0, 1.0));
    let grad: Vec<f32> = values(&noise.uniform(planes.len(), -1.0, 1.0));
    let options = RlcnOptions::default();
    let run = |threads| {
        within_pool(threads, || {
            let mut out = vec![0f32; x.len()];
            cpu::forward(Isa::current(), planes, &x, &options, &mut out);
            let gradient = cpu::backward(Isa::current(), planes, &x, &grad, &options);
            [out, gradient].map(|v| v.into_iter().map(f32::to_bits).collect())
        })
    };
    let one: [Vec<u32>; 2] = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_equal_contiguous_ones() -> crate::Result<()> {
    let x = Tensor::from_vec(Noise::new(6).uniform(2 * 3 * 6 * 10, 0.0, 1.0), (2, 3, 6, 10), &Device::Cpu)?;
    let strided = x.transpose(2, 3)?;
    let [got, expected] =
        [rlcn(&strided, &RlcnOptions::default())?, rlcn(&strided.contiguous()?, &RlcnOptions::default())?];
    assert_eq!(got.flatten_all()?.to_vec1::<f64>()?, expected.flatten_all()?.to_vec1::<f64>()?);
    Ok(())
}

#[test]
fn nan_stays_visible() -> crate::Result<()> {
    let x = Tensor::new(&[[[[0.5f32, f32::NAN, 0.25]]]], &Device::Cpu)?;
    let l = rlcn(&x, &RlcnOptions { clamp: true, ..Default::default() })?.flatten_all()?.to_vec1::<f32>()?;
    assert!(l.iter().all(|l| l.is_nan()), "{l:?}");
    Ok(())
}

#[test]
fn a_strided_gradient_equals_a_contiguous_one() -> crate::Result<()> {
    let mut noise = Noise::new(8);
    let var = Var::from_vec(noise.uniform(2 * 3 * 6 * 10, 0.0, 1.0), (2, 3, 6, 10), &Device::Cpu)?;
    let factor = Tensor::from_vec(noise.uniform(2 * 3 * 6 * 10, -1.0, 1.0), (2, 3, 10, 6), &Device::Cpu)?;
    let l = rlcn(&var, &RlcnOptions::default())?;
    let through_view = (l.transpose(2, 3)? * &factor)?.sum_all()?.backward()?;
    let direct = (l * factor.transpose(2, 3)?.contiguous()?)?.sum_all()?.backward()?;
    let [a, b] = [through_view, direct].map(|gradients| gradients.get(&var).expect("a gradient").clone());
    assert_eq!(a.flatten_all()?.to_vec1::<f64>()?, b.flatten_all()?.to_vec1::<f64>()?);
    Ok(())
}

#[test]
fn windows_of_any_size_are_taken() -> crate::Result<()> {
    let x = Tensor::from_vec(Noise::new(9).uniform(12, 0.0, 1.0), (1, 1, 3, 4), &Device::Cpu)?;
    let of = |window| rlcn(&x, &RlcnOptions { window, ..Default::default() })?.flatten_all()?.to_vec1::<f64>();
    let whole = of(9)?;
    for window in [65, 1 << 40 | 1, usize::MAX] {
        assert_eq!(of(window)?, whole, "{window}");
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let x = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
    for window in [0, 8] {
        let result = rlcn(&x, &RlcnOptions { window, ..Default::default() });
        assert!(matches!(result, Err(Error::Option { option: "window", .. })), "{result:?}");
    }
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let result = rlcn(&x, &RlcnOptions { epsilon, ..Default::default() });
        assert!(matches!(result, Err(Error::Option { option: "epsilon", .. })), "{result:?}");
        let result = rlcn(&x, &RlcnOptions { variance_epsilon: epsilon, ..Default::default() });
        assert!(matches!(result, Err(Error::Option { option: "variance_epsilon", .. })), "{result:?}");
    }
    let result = rlcn(&x.squeeze(0)?, &RlcnOptions::default());
    assert!(matches!(result, Err(Error::Shape { argument: "x", .. })), "{result:?}");
    Ok(())
}
