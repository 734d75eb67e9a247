use candle_core::{DType, Device, Tensor, Var};

use super::cpu::{self, Call, Convolution, Epilogue, Extras, Wanted, Weights};
use super::reference::{self, Arguments};
use super::{Activation, Conv2dOptions, Form, conv2d, conv2d_residual, gradients};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::finite_differences::assert_gradients;
use crate::rect::{Patch, Rect, padded};
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// ([B, C, H, W], O): pictures around the vector lengths and smaller than the kernel, channels around blocks and
/// groups, rectangles around their largest size.
const SHAPES: [((usize, usize, usize, usize), usize); 18] = [
    ((1, 1, 1, 1), 1),
    ((1, 2, 1, 5), 3),
    ((1, 1, 5, 1), 4),
    ((2, 3, 3, 2), 8),
    ((1, 3, 4, 7), 9),
    ((1, 4, 8, 8), 5),
    ((2, 2, 7, 15), 16),
    ((1, 5, 9, 16), 7),
    ((1, 16, 6, 17), 17),
    ((1, 17, 13, 31), 16),
    ((1, 3, 5, 48), 8),
    ((1, 2, 4, 97), 9),
    ((3, 1, 3, 100), 1),
    ((2, 16, 33, 20), 24),
    ((1, 33, 9, 12), 32),
    ((1, 40, 10, 11), 48),
    // More outputs than are in work at a time, in fewer tiles than that and in more.
    ((1, 16, 7, 9), 144),
    ((1, 16, 13, 30), 144),
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

/// Random arguments of one call.
struct Case<E> {
    planes: Planes,
    x: Vec<E>,
    values: Vec<E>,
    bias: Vec<E>,
    extras: Vec<E>,
    outputs: usize,
    size: usize,
    options: Conv2dOptions,
}

impl<E: Element> Case<E> {
    fn new(noise: &mut Noise, planes: Planes, outputs: usize, (size, options): (usize, Conv2dOptions)) -> Self {
        let mut draw = |count| -> Vec<E> { noise.uniform(count, -1.0, 1.0).into_iter().map(E::from_f64).collect() };
        let x = draw(planes.len());
        let values = draw(outputs * planes.channels * size * size);
        let extras = draw(planes.batch * (outputs + 1) * planes.pixels());
        Self { planes, x, values, bias: draw(outputs), extras, outputs, size, options }
    }

    /// With bias, residual and scale, or with none of them.
    fn call(&self, isa: Isa, all: bool) -> Call<'_, E> {
        let bias = all.then_some(&self.bias[..]);
        let weights = Weights { values: &self.values, bias, outputs: self.outputs, size: self.size };
        let extras = match all {
            true => Extras { values: &self.extras, residuals: self.outputs, scales: 1 },
            false => Extras::default(),
        };
        Call { isa, planes: self.planes, x: &self.x, weights, extras, options: self.options }
    }

    /// Calls `f` with the same call for the reference.
    fn reference<R>(&self, all: bool, f: impl FnOnce(&Arguments<'_>) -> R) -> R {
        let (mut residual, mut scale) = (Vec::new(), Vec::new());
        for picture in self.extras.chunks((self.outputs + 1) * self.planes.pixels()) {
            let (first, last) = picture.split_at(self.outputs * self.planes.pixels());
            residual.extend(to_f64(first));
            scale.extend(to_f64(last));
        }
        let bias = if all { to_f64(&self.bias) } else { vec![0.0; self.outputs] };
        f(&Arguments {
            planes: self.planes,
            x: &to_f64(&self.x),
            weight: &to_f64(&self.values),
            bias: &bias,
            scale: all.then_some(&scale),
            residual: all.then_some(&residual),
            options: self.options,
        })
    }

    fn name(&self, isa: Isa) -> String {
        format!("{isa:?} {:?} -> {} {}x{} {:?}", self.planes, self.outputs, self.size, self.size, self.options)
    }
}

/// Calls `f` with every shape and option.
fn all_cases<E: Element>(mut f: impl FnMut(Case<E>)) {
    let mut noise = Noise::new(9);
    for (shape, outputs) in SHAPES {
        for options in all_options() {
            f(Case::new(&mut noise, shape.into(), outputs, options));
        }
    }
}

fn forward<E: Element>(call: Call<'_, E>) -> Vec<E> {
    let mut out = vec![E::from_f64(f64::NAN); call.planes.batch * call.weights.outputs * call.planes.pixels()];
    cpu::forward(call.isa, call.planes, call.x, call.weights, call.extras, call.options, &mut out).expect("a call");
    out
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
fn hand_computed_residual() -> crate::Result<()> {
    let row = |values: [f32; 3]| Tensor::new(&[[[values]]], &Device::Cpu);
    let (x, scale, residual) = (row([1., 2., 3.])?, row([0., 1., -1.])?, row([5., -30., 7.])?);
    let ten = Tensor::new(&[[[[10f32]]]], &Device::Cpu)?;
    let bias = Tensor::new(&[1f32], &Device::Cpu)?;
    let options = Conv2dOptions { activation: Activation::Relu, ..Default::default() };
    let y = conv2d_residual(&x, &ten, Some(&bias), Some(&scale), &residual, &options)?;
    // (10 + 1)·0 + 5, (20 + 1)·1 - 30 and (30 + 1)·(-1) + 7, the negative ones cut off.
    assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5., 0., 0.]);
    let y = conv2d_residual(&x, &ten, None, None, &residual, &Conv2dOptions::default())?;
    assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [15., -10., 37.]);
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference() {
    fn compare<E: Element>(isa: Isa, tolerance: f64) {
        all_cases::<E>(|case| {
            for all in [false, true] {
                let expected = case.reference(all, reference::forward);
                assert_close(&to_f64(&forward(case.call(isa, all))), &expected, tolerance, &case.name(isa));
            }
        });
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5);
    }
    compare::<f64>(Isa::Portable, 1e-14);
}

#[test]
fn gradients_of_every_instruction_set_equal_the_reference() {
    fn compare<E: Element>(isa: Isa, tolerance: f64) {
        let mut noise = Noise::new(10);
        all_cases::<E>(|case| {
            let dy = noise.uniform(case.planes.batch * case.outputs * case.planes.pixels(), -1.0, 1.0);
            let dy: Vec<E> = dy.into_iter().map(E::from_f64).collect();
            for all in [false, true] {
                let call = case.call(isa, all);
                let y = case.reference(all, reference::forward);
                let y: Vec<E> = y.into_iter().map(E::from_f64).collect();
                let expected = case.reference(all, |arguments| reference::backward(arguments, &to_f64(&dy)));
                let got = cpu::backward(call, &y, &dy, Wanted::ALL).expect("gradients");
                let close = |got: &[E], expected: &[f64], what: &str| {
                    assert_close(&to_f64(got), expected, tolerance, &format!("{what} of {}", case.name(isa)));
                };
                close(&got.x.expect("wanted"), &expected.x, "x");
                let (weights, bias) = got.parameters.expect("wanted");
                close(&weights, &expected.weight, "weight");
                close(&bias, &expected.bias, "bias");
                if all {
                    let (results, pixels) = (case.outputs * case.planes.pixels(), case.planes.pixels());
                    let mut extras = Vec::new();
                    for (residual, scale) in expected.residual.chunks(results).zip(expected.scale.chunks(pixels)) {
                        extras.extend([residual, scale].concat());
                    }
                    close(&got.extras.expect("wanted"), &extras, "residual and scale");
                }
            }
        });
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 2e-5);
    }
    compare::<f64>(Isa::Portable, 1e-13);
}

#[test]
fn both_forms_equal_the_reference_from_several_sources() {
    fn compare<E: Element>(isa: Isa, form: Form, tolerance: f64) {
        let mut noise = Noise::new(4);
        for (sources, outputs, rows, columns) in
            [(vec![16], 16, 4, 4), (vec![3, 40], 20, 9, 17), (vec![32; 4], 32, 21, 30)]
        {
            for dilation in [1, 2, 3] {
                let planes = Planes { batch: 1, channels: sources.iter().sum(), height: rows, width: columns };
                let options = Conv2dOptions { dilation, activation: Activation::None };
                let case = Case::<E>::new(&mut noise, planes, outputs, (3, options));
                let weights = case.call(isa, true).weights;
                let convolution = Convolution::with_form(isa, form, weights, &sources, dilation).expect("fits");
                let mut before = 0;
                let patches: Vec<Patch<E>> = sources
                    .iter()
                    .map(|&channels| {
                        let mut patch = Patch::default();
                        let (height, width) = (convolution.source_extent(rows), convolution.source_extent(columns));
                        let mut target = patch.shaped(height, width, padded(channels));
                        for (row, column) in (0..rows * columns).map(|pixel| (pixel / columns, pixel % columns)) {
                            let pixel = &mut target.row_mut(row + dilation)[(column + dilation) * padded(channels)..];
                            for (channel, value) in pixel[..channels].iter_mut().enumerate() {
                                *value = case.x[((before + channel) * rows + row) * columns + column];
                            }
                        }
                        before += channels;
                        patch
                    })
                    .collect();
                let mut result = Patch::default();
                let rects: Vec<Rect<'_, E>> = patches.iter().map(Patch::rect).collect();
                let out = result.shaped(rows, columns, padded(outputs));
                convolution.run(&rects, &Epilogue::activation(Activation::None), out, &mut Aligned::default());
                let mut got = Vec::new();
                for output in 0..outputs {
                    for row in 0..rows {
                        got.extend(
                            (0..columns)
                                .map(|column| result.rect().row(row)[column * padded(outputs) + output].to_f64()),
                        );
                    }
                }
                let expected = case.reference(true, |arguments| {
                    reference::forward(&Arguments { scale: None, residual: None, ..*arguments })
                });
                assert_close(&got, &expected, tolerance, &format!("{form:?} {sources:?} {}", case.name(isa)));

                // The last source left out, and full of zeros.
                let (last, kept) = (sources.len() - 1, &rects[..sources.len() - 1]);
                if !kept.is_empty() {
                    let mut zeros = Patch::default();
                    let like = rects[last];
                    zeros.shaped(like.rows(), like.columns(), like.channels()).fill(E::ZERO);
                    let all: Vec<Rect<'_, E>> = kept.iter().copied().chain([zeros.rect()]).collect();
                    let [got, expected] = [kept, &all].map(|sources| {
                        let mut result = Patch::default();
                        let out = result.shaped(rows, columns, padded(outputs));
                        convolution.run(sources, &Epilogue::activation(Activation::None), out, &mut Aligned::default());
                        (0..rows).flat_map(|row| result.rect().row(row).to_vec()).collect::<Vec<E>>()
                    });
                    assert!(got == expected, "{form:?} {sources:?} without its last source");
                }
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, Form::Direct, 1e-5);
        compare::<f32>(isa, Form::Winograd, 1e-5);
    }
    compare::<f64>(Isa::Portable, Form::Winograd, 1e-13);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    let mut noise = Noise::new(12);
    for (size, dilation) in [(1, 1), (3, 1), (3, 2)] {
        let mut draw =
            |dims: &[usize]| Tensor::from_vec(noise.uniform(dims.iter().product(), -1.0, 1.0), dims, &Device::Cpu);
        let inputs =
            [draw(&[2, 3, 4, 5])?, draw(&[4, 3, size, size])?, draw(&[4])?, draw(&[2, 1, 4, 5])?, draw(&[2, 4, 4, 5])?];
        let weights = noise.uniform(2 * 4 * 4 * 5, -1.0, 1.0);
        let options = Conv2dOptions { dilation, activation: Activation::Relu };
        assert_gradients(&inputs, &format!("{size} {dilation}"), |inputs| {
            let [x, weight, bias, scale, residual] = std::array::from_fn(|i| &inputs[i]);
            sum_weighted(&conv2d_residual(x, weight, Some(bias), Some(scale), residual, &options)?, &weights)
        })?;
    }
    Ok(())
}

/// The operation against its parts, in which candle takes the gradients: without bias and scale, on strided tensors,
/// with a strided gradient.
#[test]
fn residual_alone_equals_its_parts() -> crate::Result<()> {
    let mut noise = Noise::new(30);
    let mut draw = |dims: &[usize]| {
        Var::from_tensor(&Tensor::from_vec(noise.uniform(dims.iter().product(), -1.0, 1.0), dims, &Device::Cpu)?)
    };
    let (x, weight, residual) = (draw(&[2, 3, 6, 5])?, draw(&[4, 3, 3, 3])?, draw(&[2, 4, 6, 5])?);
    let options = Conv2dOptions { activation: Activation::Relu, dilation: 2 };
    let weights = noise.uniform(2 * 4 * 6 * 5, -1.0, 1.0);
    let (x_t, residual_t) = (x.t()?, residual.t()?);
    let fused = conv2d_residual(&x_t, &weight, None, None, &residual_t, &options)?;
    let parts = (conv2d(&x_t, &weight, None, &Conv2dOptions { activation: Activation::None, ..options })?
        + &residual_t)?
        .relu()?;
    let gradients = |y: &Tensor| -> crate::Result<_> { Ok(sum_weighted(&y.t()?, &weights)?.backward()?) };
    let (fused, parts) = (gradients(&fused)?, gradients(&parts)?);
    for variable in [&x, &weight, &residual] {
        let of = |gradients: &candle_core::backprop::GradStore| gradients.get(variable).expect("a gradient").clone();
        let difference = (of(&fused) - of(&parts))?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
        assert!(difference < 1e-13, "{difference}");
    }
    Ok(())
}

#[test]
fn gradients_reach_each_argument_that_is_a_variable() -> crate::Result<()> {
    let x = Tensor::ones((1, 2, 3, 3), DType::F32, &Device::Cpu)?;
    let weight = Var::ones((1, 2, 3, 3), DType::F32, &Device::Cpu)?;
    let y = conv2d(&x, &weight, None, &Conv2dOptions::default())?;
    let gradients = y.sum_all()?.backward()?;
    // Each tap of the 3x3 kernel meets as many pixels as it reaches.
    let expected = [4f32, 6., 4., 6., 9., 6., 4., 6., 4.].repeat(2);
    assert_eq!(gradients.get(&weight).expect("a gradient").flatten_all()?.to_vec1::<f32>()?, expected);
    assert!(gradients.get(&x).is_none());
    Ok(())
}

/// What benches call gives what a backward pass does, and refuses what does not fit.
#[test]
fn gradients_alone_are_those_of_a_backward_pass() -> crate::Result<()> {
    let mut noise = Noise::new(41);
    let mut var =
        |shape: &[usize]| Var::from_vec(noise.uniform(shape.iter().product(), -1.0, 1.0), shape, &Device::Cpu);
    let (x, weight, grad) = (var(&[2, 3, 5, 7])?, var(&[4, 3, 3, 3])?, var(&[2, 4, 5, 7])?);
    let options = Conv2dOptions { dilation: 2, activation: Activation::Relu };
    let values = |tensor: &Tensor| tensor.flatten_all().and_then(|list| list.to_vec1::<f64>()).expect("values");
    let y = conv2d(&x, &weight, None, &options)?;
    let all = sum_weighted(&y, &values(&grad))?.backward()?;
    for (got, var) in gradients(&x, &weight, &y, &grad, &options)?.iter().zip([&x, &weight]) {
        assert_eq!(values(got.as_ref().expect("a gradient")), values(all.get(var).expect("a gradient")));
    }
    assert!(gradients(&x, &weight, &x, &grad, &options).is_err());
    Ok(())
}

#[test]
fn gradients_that_are_not_wanted_are_not_computed() {
    let mut noise = Noise::new(11);
    let options = Conv2dOptions { dilation: 1, activation: Activation::Relu };
    let case = Case::<f32>::new(&mut noise, Planes::from((2, 3, 7, 9)), 5, (3, options));
    let call = case.call(Isa::current(), true);
    let y = forward(call);
    let gradients = |wanted| cpu::backward(call, &y, &y, wanted).expect("gradients");
    let all = gradients(Wanted::ALL);
    for wanted in [[true, false, false], [false, true, false], [false, false, true]] {
        let [x, parameters, extras] = wanted;
        let some = gradients(Wanted { x, parameters, extras });
        assert!(some.x == all.x.clone().filter(|_| x), "{wanted:?}");
        assert!(some.parameters == all.parameters.clone().filter(|_| parameters), "{wanted:?}");
        assert!(some.extras == all.extras.clone().filter(|_| extras), "{wanted:?}");
    }
}

#[test]
fn equals_candles_convolution() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    let x = Tensor::from_vec(noise.uniform(2 * 3 * 20 * 30, -1.0, 1.0), (2, 3, 30, 20), &Device::Cpu)?.t()?;
    let weight = Tensor::from_vec(noise.uniform(4 * 3 * 9, -1.0, 1.0), (4, 3, 3, 3), &Device::Cpu)?.t()?;
    for dilation in [1, 2] {
        let expected = x.contiguous()?.conv2d(&weight.contiguous()?, dilation, 1, dilation, 1)?;
        // Transposed, that is strided, arguments.
        let got = conv2d(&x, &weight, None, &Conv2dOptions { dilation, ..Default::default() })?;
        let error = (got - expected)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
        assert!(error < 1e-12, "dilation {dilation}: {error}");
    }
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let mut noise = Noise::new(3);
    for (channels, outputs) in [(5, 9), (16, 32)] {
        let options = Conv2dOptions { dilation: 2, activation: Activation::Relu };
        let case = Case::<f32>::new(&mut noise, Planes::from((2, channels, 90, 130)), outputs, (3, options));
        let dy: Vec<f32> = noise.uniform(2 * outputs * 90 * 130, -1.0, 1.0).into_iter().map(|x| x as f32).collect();
        let run = |threads| {
            within_pool(threads, || {
                let call = case.call(Isa::current(), true);
                let y = forward(call);
                let gradients = cpu::backward(call, &y, &dy, Wanted::ALL).expect("gradients");
                let (weights, bias) = gradients.parameters.expect("wanted");
                let all = [y, gradients.x.expect("wanted"), weights, bias, gradients.extras.expect("wanted")];
                all.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(one == run(threads), "{threads} threads differ from 1");
        }
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
    for dilation in [0, 65, usize::MAX] {
        let result = conv2d(&x, &weight, None, &Conv2dOptions { dilation, ..Default::default() });
        assert!(matches!(result, Err(Error::Option { option: "dilation", .. })), "{result:?}");
    }
    let residual = |scale: &[usize], residual: &[usize]| {
        conv2d_residual(&x, &weight, None, Some(&zeros(scale)?), &zeros(residual)?, &Conv2dOptions::default())
    };
    let result = residual(&[1, 2, 4, 4], &[1, 2, 4, 4]);
    assert!(matches!(result, Err(Error::Shape { argument: "scale", .. })), "{result:?}");
    let result = residual(&[1, 1, 4, 4], &[1, 3, 4, 4]);
    assert!(matches!(result, Err(Error::Shape { argument: "residual", .. })), "{result:?}");
    Ok(())
}
