use candle_core::{DType, Device, Tensor, Var};

use super::cpu::{self, Weights};
use super::{Activation, Conv2dOptions, conv2d, reference};
use crate::element::Element;
use crate::testing::{Noise, assert_close, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// ([B, C, H, W], O): pictures around the vector lengths and smaller than the kernel, channels around the register blocks.
const SHAPES: [((usize, usize, usize, usize), usize); 14] = [
    ((1, 1, 1, 1), 1),
    ((1, 2, 1, 5), 3),
    ((1, 1, 5, 1), 4),
    ((2, 3, 3, 2), 8),
    ((1, 3, 4, 7), 9),
    ((1, 4, 8, 8), 5),
    ((2, 2, 7, 15), 16),
    ((1, 5, 9, 16), 7),
    ((1, 3, 6, 17), 12),
    ((1, 2, 40, 31), 2),
    ((1, 3, 5, 48), 8),
    ((1, 2, 4, 49), 9),
    ((3, 1, 3, 100), 1),
    ((1, 16, 33, 20), 24),
];

fn all_options() -> Vec<(usize, Conv2dOptions)> {
    let of = |size, dilation, activation| (size, Conv2dOptions { dilation, activation });
    vec![
        of(1, 1, Activation::None),
        of(1, 2, Activation::Relu),
        of(3, 1, Activation::None),
        of(3, 1, Activation::Relu),
        of(3, 2, Activation::Relu),
        of(3, 5, Activation::None),
    ]
}

#[test]
fn hand_computed_three_by_three() -> crate::Result<()> {
    let x = Tensor::new(&[[[[1f32, 2., 3.], [4., 5., 6.], [7., 8., 9.]]]], &Device::Cpu)?;
    let weight = Tensor::new(&[[[[0f32, 1., 0.], [0., 0., 0.], [0., 0., 10.]]]], &Device::Cpu)?;
    let y = conv2d(&x, &weight, None, &Conv2dOptions::default())?.flatten_all()?.to_vec1::<f32>()?;
    // The pixel above, plus ten times the pixel below to the right.
    assert_eq!(y, [50., 60., 0., 81., 92., 3., 4., 5., 6.]);
    let apart = conv2d(&x, &weight, None, &Conv2dOptions { dilation: 2, ..Default::default() })?;
    assert_eq!(apart.flatten_all()?.to_vec1::<f32>()?, [90., 0., 0., 0., 0., 0., 1., 2., 3.]);
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference() {
    fn compare<E: Element>(isa: Isa, tolerance: f64) {
        let mut noise = Noise::new(9);
        for (shape, outputs) in SHAPES {
            for (size, options) in all_options() {
                let planes = Planes::from(shape);
                let mut draw =
                    |count| -> Vec<E> { noise.uniform(count, -1.0, 1.0).into_iter().map(E::from_f64).collect() };
                let x = draw(planes.len());
                let values = draw(outputs * planes.channels * size * size);
                let bias = draw(outputs);
                for bias in [None, Some(&bias[..])] {
                    let weights = Weights { values: &values, bias, outputs, size };
                    let mut out = vec![E::from_f64(f64::NAN); planes.batch * outputs * planes.pixels()];
                    cpu::forward(isa, planes, &x, weights, options, &mut out);
                    let bias = bias.map_or(vec![0.0; outputs], to_f64);
                    let expected = reference::forward(planes, &to_f64(&x), &to_f64(&values), &bias, &options);
                    assert_close(
                        &to_f64(&out),
                        &expected,
                        tolerance,
                        &format!("{isa:?} {shape:?} {outputs} {size} {options:?}"),
                    );
                }
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5);
    }
    compare::<f64>(Isa::Portable, 1e-14);
}

#[test]
fn equals_candles_convolution() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    let x = Tensor::from_vec(noise.uniform(2 * 3 * 20 * 30, -1.0, 1.0), (2, 3, 20, 30), &Device::Cpu)?;
    let weight = Tensor::from_vec(noise.uniform(4 * 3 * 9, -1.0, 1.0), (4, 3, 3, 3), &Device::Cpu)?;
    for dilation in [1, 2] {
        let expected = x.conv2d(&weight, dilation, 1, dilation, 1)?;
        let got = conv2d(&x, &weight, None, &Conv2dOptions { dilation, ..Default::default() })?;
        let error = (got - expected)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
        assert!(error < 1e-12, "dilation {dilation}: {error}");
    }
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let planes = Planes::from((2, 5, 90, 70));
    let mut noise = Noise::new(3);
    let mut draw = |count| -> Vec<f32> { noise.uniform(count, -1.0, 1.0).into_iter().map(|x| x as f32).collect() };
    let (x, values) = (draw(planes.len()), draw(9 * 5 * 9));
    let options = Conv2dOptions { dilation: 2, ..Default::default() };
    let run = |threads| {
        within_pool(threads, || {
            let mut out = vec![0f32; 2 * 9 * planes.pixels()];
            let weights = Weights { values: &values, bias: None, outputs: 9, size: 3 };
            cpu::forward(Isa::current(), planes, &x, weights, options, &mut out);
            out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn nan_stays_visible() -> crate::Result<()> {
    let x = Tensor::new(&[[[[1f32, f32::NAN, 1., 1., 1.]]]], &Device::Cpu)?;
    let weight = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
    let y = conv2d(&x, &weight, None, &Conv2dOptions { activation: Activation::Relu, ..Default::default() })?;
    let y = y.flatten_all()?.to_vec1::<f32>()?;
    assert!(y[..3].iter().all(|y| y.is_nan()) && y[3..] == [3.0, 2.0], "{y:?}");
    Ok(())
}

#[test]
fn far_apart_taps_cost_nothing() -> crate::Result<()> {
    let x = Tensor::new(&[[[[1f32, 2.], [3., 4.]]]], &Device::Cpu)?;
    let weight = Tensor::full(3f32, (1, 1, 3, 3), &Device::Cpu)?;
    for dilation in [2, 100_000, usize::MAX] {
        let y = conv2d(&x, &weight, None, &Conv2dOptions { dilation, ..Default::default() })?;
        assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [3., 6., 9., 12.], "dilation {dilation}");
    }
    Ok(())
}

#[test]
fn a_gradient_is_refused_not_dropped() -> crate::Result<()> {
    let x = Var::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu)?;
    let weight = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
    let y = conv2d(&x, &weight, None, &Conv2dOptions::default())?;
    assert!(y.sum_all()?.backward().is_err());
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    let x = zeros(&[1, 3, 4, 4])?;
    for dims in [&[2, 3, 3][..], &[2, 4, 3, 3], &[2, 3, 3, 1], &[2, 3, 5, 5], &[0, 3, 3, 3]] {
        let result = conv2d(&x, &zeros(dims)?, None, &Conv2dOptions::default());
        assert!(matches!(result, Err(Error::Shape { argument: "weight", .. })), "{dims:?}: {result:?}");
    }
    let weight = zeros(&[2, 3, 3, 3])?;
    let result = conv2d(&x, &weight, Some(&zeros(&[3])?), &Conv2dOptions::default());
    assert!(matches!(result, Err(Error::Shape { argument: "bias", .. })), "{result:?}");
    let result = conv2d(&x, &weight.to_dtype(DType::F64)?, None, &Conv2dOptions::default());
    assert!(matches!(result, Err(Error::DType { argument: "weight", .. })), "{result:?}");
    let result = conv2d(&x, &weight, None, &Conv2dOptions { dilation: 0, ..Default::default() });
    assert!(matches!(result, Err(Error::Option { option: "dilation", .. })), "{result:?}");
    Ok(())
}
