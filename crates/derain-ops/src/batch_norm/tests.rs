mod pytorch;

use candle_core::{DType, Device, Tensor, Var};

use super::reference::{self, Moments};
use super::{BatchNormOutput, Statistics, batch_norm_eval, batch_norm_train, cpu, instance_norm};
use crate::element::Element;
use crate::finite_differences::assert_gradients;
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Activation, Error, Isa, Planes, Result};

const EPSILON: f64 = 1e-5;

/// Two elements a channel, odd sizes, sizes around the vector lengths and the sums' lanes, batches, several pieces in a
/// plane.
const SHAPES: [(usize, usize, usize, usize); 14] = [
    (2, 1, 1, 1),
    (1, 1, 1, 2),
    (5, 3, 1, 1),
    (2, 3, 3, 5),
    (1, 2, 4, 4),
    (3, 2, 1, 15),
    (1, 1, 1, 17),
    (2, 1, 3, 31),
    (1, 3, 1, 32),
    (2, 2, 11, 3),
    (1, 1, 8, 8),
    (1, 1, 5, 13),
    (2, 2, 80, 75),
    (1, 1, 64, 128),
];

struct Case<E> {
    planes: Planes,
    x: Vec<E>,
    gamma: Vec<E>,
    beta: Vec<E>,
    grad: Vec<E>,
}

/// Channels whose means lie away from 0, as those of features after a ReLU.
fn case<E: Element>(shape: (usize, usize, usize, usize), noise: &mut Noise) -> Case<E> {
    let planes = Planes::from(shape);
    let mut values =
        |count, low, high| noise.uniform(count, low, high).into_iter().map(E::from_f64).collect::<Vec<E>>();
    Case {
        planes,
        x: values(planes.len(), -1.0, 3.0),
        gamma: values(planes.channels, -2.0, 2.0),
        beta: values(planes.channels, -1.0, 1.0),
        grad: values(planes.len(), -1.0, 1.0),
    }
}

fn moments<E: Element>(isa: Isa, planes: Planes, x: &[E]) -> Vec<Moments> {
    let moments = cpu::moments(isa, planes, x).into_iter();
    moments.map(|cpu::Moments { mean, variance }| Moments { mean, variance }).collect()
}

fn statistics(moments: &[Moments]) -> Vec<Statistics> {
    let of = |&Moments { mean, variance }: &Moments| Statistics { mean, inverse: 1.0 / (variance + EPSILON).sqrt() };
    moments.iter().map(of).collect()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).and_then(|x| x.flatten_all()).and_then(|x| x.to_vec1()).expect("values")
}

#[test]
fn hand_computed_three_by_three() -> Result<()> {
    // Mean 1, squared deviations 64 + 8: variance 8 of nine elements, 9 unbiased; with ε = 1 the deviation is 3.
    let x = Tensor::new(&[[[[0f32, 0., 0.], [0., 9., 0.], [0., 0., 0.]]]], &Device::Cpu)?;
    let (gamma, beta) = (Tensor::new(&[6f32], &Device::Cpu)?, Tensor::new(&[2f32], &Device::Cpu)?);
    let BatchNormOutput { y, mean, variance } = batch_norm_train(&x, &gamma, &beta, 1.0, Activation::None)?;
    assert_eq!(values(&y), [0., 0., 0., 0., 18., 0., 0., 0., 0.]);
    assert_eq!((values(&mean), values(&variance)), (vec![1.], vec![9.]));
    // (x - 3) / sqrt(3 + 1) · 6 + 2.
    let running = [3f32, 3.].map(|value| Tensor::new(&[value], &Device::Cpu).expect("a tensor"));
    let y = batch_norm_eval(&x, &gamma, &beta, &running[0], &running[1], 1.0)?;
    assert_eq!(values(&y), [-7., -7., -7., -7., 20., -7., -7., -7., -7.]);
    assert_close(
        &values(&instance_norm(&x, 1.0, Activation::None)?)[3..6],
        &[-1. / 3., 8. / 3., -1. / 3.],
        1e-6,
        "instance norm",
    );
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa, forward_tolerance: f64, gradient_tolerance: f64) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            let case = case::<E>(shape, &mut noise);
            let planes = case.planes;
            let [x, gamma, beta, grad] = [&case.x, &case.gamma, &case.beta, &case.grad].map(|v| to_f64(v));
            let what = format!("{isa:?} {:?} {shape:?}", E::DTYPE);

            let own = reference::moments(planes, &x);
            let got = moments(isa, planes, &case.x);
            let [got_means, means] = [&got, &own].map(|m| m.iter().map(|m| m.mean).collect::<Vec<_>>());
            let [got_variances, variances] = [&got, &own].map(|m| m.iter().map(|m| m.variance).collect::<Vec<_>>());
            // In f64 whatever the type.
            assert_close(&got_means, &means, 1e-13, &what);
            assert_close(&got_variances, &variances, 1e-13, &what);

            let constants: Vec<Moments> =
                own.iter().map(|m| Moments { mean: m.mean + 0.3, variance: 2.0 * m.variance + 0.1 }).collect();
            for (through, moments) in [(true, &own), (false, &constants)] {
                let statistics = statistics(moments);
                let mut out = vec![E::from_f64(f64::NAN); x.len()];
                let coefficients = [&case.gamma[..], &case.beta];
                cpu::forward(isa, planes, &case.x, coefficients, &statistics, Activation::None, &mut out);
                let expected = reference::forward(planes, &x, &gamma, &beta, moments, EPSILON);
                assert_close(&to_f64(&out), &expected, forward_tolerance, &what);

                let (got, expected) = if through {
                    let backward = cpu::backward_through_statistics;
                    let got = backward(isa, planes, &case.x, &case.gamma, &statistics, &case.grad);
                    (got, reference::backward_through_statistics(planes, &x, &gamma, moments, EPSILON, &grad))
                } else {
                    let backward = cpu::backward_with_constants;
                    let got = backward(isa, planes, &case.x, &case.gamma, &statistics, &case.grad);
                    (got, reference::backward_with_constants(planes, &x, &gamma, moments, EPSILON, &grad))
                };
                assert_close(&to_f64(&got.x), &expected.x, gradient_tolerance, &what);
                assert_close(&to_f64(&got.gamma), &expected.gamma, gradient_tolerance, &what);
                assert_close(&to_f64(&got.beta), &expected.beta, gradient_tolerance, &what);
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5, 1e-5);
    }
    // Through the statistics of two elements all but nothing is left of a gradient: what is, is a difference of near
    // equals.
    compare::<f64>(Isa::Portable, 1e-13, 1e-10);
}

/// Results and gradients of the operation with its ReLU and of the two one after the other.
#[test]
fn a_relu_in_the_same_pass_changes_no_bit() -> Result<()> {
    let mut noise = Noise::new(6);
    for shape in SHAPES {
        for dtype in [DType::F32, DType::F64] {
            let case = case::<f64>(shape, &mut noise);
            let var = |values: &[f64]| Var::from_tensor(&Tensor::new(values, &Device::Cpu)?.to_dtype(dtype)?);
            let (gamma, beta) = (var(&case.gamma)?, var(&case.beta)?);
            let x = Var::from_tensor(&var(&case.x)?.reshape(shape)?)?;
            let grad = Tensor::from_slice(&case.grad, shape, &Device::Cpu)?.to_dtype(dtype)?;
            let outcome = |y: Tensor, vars: &[&Var]| -> Result<Vec<Vec<f64>>> {
                let gradients = (&y * &grad)?.sum_all()?.backward()?;
                let gradients = vars.iter().map(|var| values(gradients.get(var).expect("a gradient")));
                Ok(std::iter::once(values(&y)).chain(gradients).collect())
            };
            let train = |activation| Ok::<_, Error>(batch_norm_train(&x, &gamma, &beta, EPSILON, activation)?.y);
            let vars = [&x, &gamma, &beta];
            let apart = outcome(train(Activation::None)?.relu()?, &vars)?;
            assert_eq!(outcome(train(Activation::Relu)?, &vars)?, apart, "{shape:?} {dtype:?}");
            if shape.2 * shape.3 > 1 {
                let apart = outcome(instance_norm(&x, EPSILON, Activation::None)?.relu()?, &vars[..1])?;
                assert_eq!(outcome(instance_norm(&x, EPSILON, Activation::Relu)?, &vars[..1])?, apart, "{shape:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_equal_finite_differences() -> Result<()> {
    let mut noise = Noise::new(2);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 200) {
        let (batch, channels, ..) = shape;
        let case = case::<f64>(shape, &mut noise);
        let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu);
        let x = tensor(&case.x)?.reshape(shape)?;
        let inputs = [x.clone(), tensor(&case.gamma)?, tensor(&case.beta)?];
        // With so large an ε the curvature is small enough for differences, even of two elements that lie close
        // together.
        const EPSILON: f64 = 0.1;
        assert_gradients(&inputs, &format!("{shape:?}, train"), |inputs| {
            sum_weighted(
                &batch_norm_train(&inputs[0], &inputs[1], &inputs[2], EPSILON, Activation::None)?.y,
                &case.grad,
            )
        })?;
        let running = [noise.uniform(channels, -1.0, 1.0), noise.uniform(channels, 0.1, 2.0)];
        let [mean, variance] = [tensor(&running[0])?, tensor(&running[1])?];
        assert_gradients(&inputs, &format!("{shape:?}, eval"), |inputs| {
            sum_weighted(&batch_norm_eval(&inputs[0], &inputs[1], &inputs[2], &mean, &variance, EPSILON)?, &case.grad)
        })?;
        if shape.2 * shape.3 > 1 {
            assert_gradients(&[x], &format!("{shape:?} ({batch} pictures), instance"), |inputs| {
                sum_weighted(&instance_norm(&inputs[0], EPSILON, Activation::None)?, &case.grad)
            })?;
        }
    }
    Ok(())
}

/// Sums of squares minus squared sums, or f32 anywhere before the difference, would leave nothing of this ripple.
#[test]
fn faint_ripple_on_a_bright_channel_survives_in_f32() {
    let planes = Planes::from((2, 1, 90, 70));
    let x: Vec<f32> = (0..planes.len()).map(|i| 1000.0 + (i % 7) as f32 / 1024.0).collect();
    let expected = reference::moments(planes, &to_f64(&x));
    for isa in Isa::available() {
        let got = moments(isa, planes, &x);
        assert!((got[0].variance / expected[0].variance - 1.0).abs() < 1e-9, "{isa:?}: {got:?}, expected {expected:?}");
        let mut out = vec![0f32; x.len()];
        cpu::forward(isa, planes, &x, [&[1.0], &[0.0]], &statistics(&got), Activation::None, &mut out);
        let expected = reference::forward(planes, &to_f64(&x), &[1.0], &[0.0], &expected, EPSILON);
        assert_close(&to_f64(&out), &expected, 1e-6, &format!("{isa:?}"));
    }
}

#[test]
fn constant_channels_become_exactly_beta() -> Result<()> {
    for value in [0.0f32, 1.0 / 3.0, 254.0 / 255.0, -7.7] {
        let x = Tensor::full(value, (2, 1, 75, 91), &Device::Cpu)?;
        let (gamma, beta) = (Tensor::new(&[3f32], &Device::Cpu)?, Tensor::new(&[0.7f32], &Device::Cpu)?);
        let BatchNormOutput { y, mean, variance } = batch_norm_train(&x, &gamma, &beta, EPSILON, Activation::None)?;
        assert!(values(&y).iter().all(|&y| y == f64::from(0.7f32)), "{value}");
        assert_eq!((values(&mean), values(&variance)), (vec![f64::from(value)], vec![0.0]));
    }
    Ok(())
}

#[test]
fn instance_norm_is_batch_norm_of_single_planes() -> Result<()> {
    let x = Tensor::from_vec(Noise::new(3).uniform(2 * 3 * 7 * 5, -1.0, 1.0), (2, 3, 7, 5), &Device::Cpu)?;
    let y = instance_norm(&x, EPSILON, Activation::None)?;
    let (gamma, beta) = (Tensor::ones(1, DType::F64, &Device::Cpu)?, Tensor::zeros(1, DType::F64, &Device::Cpu)?);
    for picture in 0..2 {
        for channel in 0..3 {
            let plane = |x: &Tensor| x.narrow(0, picture, 1)?.narrow(1, channel, 1);
            let expected = batch_norm_train(&plane(&x)?, &gamma, &beta, EPSILON, Activation::None)?.y;
            assert_eq!(values(&plane(&y)?), values(&expected));
        }
    }
    Ok(())
}

#[test]
fn statistics_carry_no_gradient() -> Result<()> {
    let x = Var::new(&[[[[1f64, 2., 4.]]]], &Device::Cpu)?;
    let one = Tensor::ones(1, DType::F64, &Device::Cpu)?;
    let output = batch_norm_train(&x, &one, &one, EPSILON, Activation::None)?;
    let gradients = (output.mean + output.variance)?.sum_all()?.backward()?;
    assert!(gradients.get(&x).is_none());
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let case = case::<f32>((2, 3, 150, 130), &mut Noise::new(4));
    let Case { planes, x, gamma, beta, grad } = &case;
    let run = |threads| {
        within_pool(threads, || {
            let moments = moments(Isa::current(), *planes, x);
            let statistics = statistics(&moments);
            let mut out = vec![0f32; x.len()];
            cpu::forward(Isa::current(), *planes, x, [gamma, beta], &statistics, Activation::Relu, &mut out);
            let through = cpu::backward_through_statistics(Isa::current(), *planes, x, gamma, &statistics, grad);
            let constants = cpu::backward_with_constants(Isa::current(), *planes, x, gamma, &statistics, grad);
            let moments: Vec<u64> = moments.iter().flat_map(|m| [m.mean.to_bits(), m.variance.to_bits()]).collect();
            let all = [out, through.x, through.gamma, through.beta, constants.x, constants.gamma, constants.beta];
            (moments, all.map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<u32>>()))
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_and_gradients_equal_contiguous_ones() -> Result<()> {
    let mut noise = Noise::new(5);
    let x = Var::from_vec(noise.uniform(2 * 3 * 3 * 5, -1.0, 1.0), (2, 3, 3, 5), &Device::Cpu)?;
    let pairs = Tensor::from_vec(noise.uniform(3 * 4, 0.5, 2.0), (3, 4), &Device::Cpu)?;
    let column = |index| pairs.narrow(1, index, 1)?.squeeze(1);
    let (gamma, beta, mean, variance) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let factor = Tensor::from_vec(noise.uniform(2 * 3 * 5 * 3, -1.0, 1.0), (2, 3, 5, 3), &Device::Cpu)?;
    type Op<'a> = Box<dyn Fn(&Tensor, &dyn Fn(&Tensor) -> Tensor) -> Result<Tensor> + 'a>;
    let ops: [Op<'_>; 3] = [
        Box::new(|x, of| Ok(batch_norm_train(x, &of(&gamma), &of(&beta), EPSILON, Activation::None)?.y)),
        Box::new(|x, of| batch_norm_eval(x, &of(&gamma), &of(&beta), &of(&mean), &of(&variance), EPSILON)),
        Box::new(|x, _| instance_norm(x, EPSILON, Activation::None)),
    ];
    let contiguous = |x: &Tensor| x.contiguous().expect("a tensor");
    for op in ops {
        let turned = x.transpose(2, 3)?;
        assert_eq!(values(&op(&turned, &Tensor::clone)?), values(&op(&contiguous(&turned), &contiguous)?));
        let y = op(&x, &Tensor::clone)?;
        let through_view = (y.transpose(2, 3)? * &factor)?.sum_all()?.backward()?;
        let direct = (y * contiguous(&factor.transpose(2, 3)?))?.sum_all()?.backward()?;
        let [a, b] = [through_view, direct].map(|gradients| values(gradients.get(&x).expect("a gradient")));
        assert_eq!(a, b);
    }
    Ok(())
}

#[test]
fn nan_stays_visible() -> Result<()> {
    let x = Tensor::new(&[[[[0.5f32, f32::NAN]], [[1., 2.]]]], &Device::Cpu)?;
    let (one, zero) = (Tensor::ones(2, DType::F32, &Device::Cpu)?, Tensor::zeros(2, DType::F32, &Device::Cpu)?);
    let nan = |y: Tensor| values(&y).iter().map(|y| y.is_nan()).collect::<Vec<_>>();
    let output = batch_norm_train(&x, &one, &zero, EPSILON, Activation::None)?;
    assert_eq!(nan(output.y), [true, true, false, false]);
    assert_eq!((nan(output.mean), nan(output.variance)), (vec![true, false], vec![true, false]));
    assert_eq!(nan(batch_norm_eval(&x, &one, &zero, &zero, &one, EPSILON)?), [false, true, false, false]);
    assert_eq!(nan(instance_norm(&x, EPSILON, Activation::None)?), [true, true, false, false]);
    assert_eq!(nan(batch_norm_train(&x, &one, &zero, EPSILON, Activation::Relu)?.y), [true, true, false, false]);
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let (x, ok, wrong) = (zeros(&[2, 3, 4, 5])?, zeros(&[3])?, zeros(&[4])?);
    let shape = |result: Result<Tensor>, name: &str| match result {
        Err(Error::Shape { argument, .. }) => assert_eq!(argument, name),
        other => panic!("{name}: {other:?}"),
    };
    let train =
        |x: &Tensor, gamma: &Tensor, beta: &Tensor| Ok(batch_norm_train(x, gamma, beta, EPSILON, Activation::None)?.y);
    shape(train(&zeros(&[3, 4, 5])?, &ok, &ok), "x");
    shape(train(&x, &wrong, &ok), "gamma");
    shape(train(&x, &ok, &wrong), "beta");
    shape(batch_norm_eval(&x, &ok, &ok, &wrong, &ok, EPSILON), "running_mean");
    shape(batch_norm_eval(&x, &ok, &ok, &ok, &wrong, EPSILON), "running_variance");
    // Statistics of one element.
    let single = zeros(&[1, 3, 1, 1])?;
    shape(train(&single, &ok, &ok), "x");
    shape(instance_norm(&zeros(&[2, 3, 1, 1])?, EPSILON, Activation::None), "x");
    assert_eq!(batch_norm_eval(&single, &ok, &ok, &ok, &ok, EPSILON)?.dims(), [1, 3, 1, 1]);

    let result = train(&x, &ok.to_dtype(DType::F64)?, &ok);
    assert!(matches!(result, Err(Error::DType { argument: "gamma", got: DType::F64, .. })), "{result:?}");
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let results = [
            batch_norm_train(&x, &ok, &ok, epsilon, Activation::None).map(|output| output.y),
            batch_norm_eval(&x, &ok, &ok, &ok, &ok, epsilon),
            instance_norm(&x, epsilon, Activation::None),
        ];
        for result in results {
            assert!(matches!(result, Err(Error::Option { option: "epsilon", .. })), "{epsilon}: {result:?}");
        }
    }
    Ok(())
}
