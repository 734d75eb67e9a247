use candle_core::{DType, Device, Tensor, Var};

use super::{Coefficients, cpu, gradients, gradients_directional, irnn, irnn_directional, irnn_into, reference};
use crate::element::Element;
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// Sizes around the vector lengths, one pixel, one row, one column, several bands, batches.
const SHAPES: [(usize, usize, usize, usize); 24] = [
    (1, 1, 1, 1),
    (1, 1, 1, 5),
    (1, 1, 5, 1),
    (2, 1, 3, 3),
    (1, 2, 4, 7),
    (1, 1, 7, 4),
    (1, 3, 8, 8),
    (2, 2, 9, 8),
    (1, 1, 15, 16),
    (1, 1, 16, 15),
    (1, 2, 16, 16),
    (1, 1, 17, 16),
    (1, 1, 16, 17),
    (3, 1, 17, 17),
    (1, 1, 31, 33),
    (1, 1, 33, 31),
    (1, 2, 32, 32),
    (2, 1, 31, 32),
    (1, 1, 1, 33),
    (1, 1, 33, 1),
    (1, 1, 2, 65),
    (1, 1, 65, 2),
    (1, 1, 70, 40),
    (1, 1, 130, 20),
];

struct Case<E> {
    planes: Planes,
    x: Vec<E>,
    weights: Vec<E>,
    biases: Vec<E>,
    directions: Vec<E>,
    grad: Vec<E>,
}

/// Inputs that exercise both sides of the ReLU; weights that neither die out at once nor explode.
fn case<E: Element>(planes: Planes, noise: &mut Noise) -> Case<E> {
    let maps = 4 * planes.batch * planes.pixels();
    let of = |values: Vec<f64>| values.into_iter().map(E::from_f64).collect();
    Case {
        planes,
        x: of(noise.uniform(planes.len(), -1.0, 1.0)),
        weights: of(noise.uniform(4 * planes.channels, -0.9, 0.9)),
        biases: of(noise.uniform(4 * planes.channels, -0.3, 0.5)),
        directions: of(noise.uniform(maps, 0.0, 1.0)),
        grad: of(noise.uniform(4 * planes.len(), -1.0, 1.0)),
    }
}

#[test]
fn hand_computed_three_by_three() -> crate::Result<()> {
    #[rustfmt::skip]
    let x = [
        1., 2., -3.,
        4., -5., 6.,
        -7., 8., 9.0f32,
    ];
    let planes = Planes::from((1, 1, 3, 3));
    let mut out = [0f32; 36];
    // up, right, down, left: weight 1 and bias 0; 0.5 and 1; 2 and 0; 0 and 0.
    irnn_into(&x, planes, &[1., 0.5, 2., 0.], &[0., 1., 0., 0.], None, &mut out)?;
    #[rustfmt::skip]
    assert_eq!(out, [
        5., 5., 12.,    4., 3., 15.,     0., 8., 9.,
        1., 3.5, 0.,    4., 0., 7.,      0., 9., 14.5,
        1., 2., 0.,     6., 0., 6.,      5., 8., 21.,
        1., 2., 0.,     4., 0., 6.,      0., 8., 9.,
    ]);
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa, forward_tolerance: f64, gradient_tolerance: f64) {
        let mut noise = Noise::new(7);
        for shape in SHAPES {
            for weighted in [false, true] {
                let case = case::<E>(shape.into(), &mut noise);
                let (planes, coefficients) =
                    (case.planes, Coefficients { weights: &case.weights, biases: &case.biases });
                let maps = weighted.then_some(&case.directions[..]);
                let [x, weights, biases, grad] = [&case.x, &case.weights, &case.biases, &case.grad].map(|v| to_f64(v));
                let ones = vec![1.0; case.directions.len()];
                let directions = if weighted { to_f64(&case.directions) } else { ones };
                let what = format!("{isa:?} {:?} {shape:?} weighted {weighted}", E::DTYPE);

                let expected = reference::forward(planes, &x, &weights, &biases, &directions);
                let mut out = vec![E::from_f64(f64::NAN); 4 * planes.len()];
                cpu::forward(isa, planes, &case.x, coefficients, maps, &mut out);
                assert_close(&to_f64(&out), &expected, forward_tolerance, &what);

                let mut h = vec![E::ZERO; 4 * planes.len()];
                cpu::forward(isa, planes, &case.x, coefficients, None, &mut h);
                let got = cpu::backward(isa, planes, coefficients, maps, &h, &case.grad);
                let expected = reference::backward(planes, &x, &weights, &biases, &directions, &grad);
                assert_close(&to_f64(&got.x), &expected.x, gradient_tolerance, &what);
                assert_close(&to_f64(&got.weights), &expected.weights, gradient_tolerance, &what);
                assert_close(&to_f64(&got.biases), &expected.biases, gradient_tolerance, &what);
                let got = cpu::direction_gradient(planes, &h, &case.grad);
                assert_close(&to_f64(&got), &expected.directions, gradient_tolerance, &what);
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5, 1e-4);
    }
    compare::<f64>(Isa::Portable, 1e-14, 1e-13);
}

/// Central differences through the public functions, in f64, where no h lies so near a kink that the step crosses it.
#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    const STEP: f64 = 1e-6;
    let mut noise = Noise::new(11);
    let (mut shapes, mut sampled, mut compared) = (0, 0, 0);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 1100) {
        shapes += 1;
        for weighted in [false, true] {
            let case = case::<f64>(shape.into(), &mut noise);
            let (b, c, height, width) = shape;
            let vars = [
                Var::from_slice(&case.x, shape, &Device::Cpu)?,
                Var::from_slice(&case.weights, (4, c), &Device::Cpu)?,
                Var::from_slice(&case.biases, (4, c), &Device::Cpu)?,
                Var::from_slice(&case.directions, (b, 4, height, width), &Device::Cpu)?,
            ];
            let used = if weighted { 4 } else { 3 };
            let run = |inputs: [&Tensor; 4]| {
                let [x, weights, biases, directions] = inputs;
                if weighted { irnn_directional(x, weights, biases, directions) } else { irnn(x, weights, biases) }
            };
            let loss = sum_weighted(&run(vars.each_ref().map(|var| var.as_tensor()))?, &case.grad)?;
            let gradients = loss.backward()?;
            for index in 0..used {
                let gradient = gradients.get(&vars[index]).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
                let values = vars[index].flatten_all()?.to_vec1::<f64>()?;
                let every = values.len().div_ceil(40);
                for at in (0..values.len()).step_by(every) {
                    sampled += 1;
                    let moved = |step: f64| -> crate::Result<f64> {
                        let mut values = values.clone();
                        values[at] += step;
                        let moved = Tensor::from_vec(values, vars[index].shape(), &Device::Cpu)?;
                        let mut inputs = vars.each_ref().map(|var| var.as_tensor());
                        inputs[index] = &moved;
                        Ok(sum_weighted(&run(inputs)?, &case.grad)?.to_scalar::<f64>()?)
                    };
                    let [up, down, here] = [moved(STEP)?, moved(-STEP)?, moved(0.0)?];
                    if ((up - here) - (here - down)).abs() > 1e-9 {
                        continue; // A kink lies within the step: the one-sided slopes differ.
                    }
                    compared += 1;
                    let expected = (up - down) / (2.0 * STEP);
                    let error = (gradient[at] - expected).abs();
                    assert!(
                        error <= 1e-5 + 1e-3 * expected.abs(),
                        "{shape:?} input {index} element {at}: {} for {expected}",
                        gradient[at],
                    );
                }
            }
        }
    }
    assert!(shapes >= 20, "only {shapes} shapes");
    assert!(compared * 10 >= sampled * 9, "only {compared} of {sampled} elements lie away from kinks");
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let mut noise = Noise::new(3);
    let case = case::<f32>((2, 3, 150, 70).into(), &mut noise);
    let coefficients = Coefficients { weights: &case.weights, biases: &case.biases };
    let run = |threads| {
        within_pool(threads, || {
            let mut h = vec![0f32; 4 * case.planes.len()];
            cpu::forward(Isa::current(), case.planes, &case.x, coefficients, None, &mut h);
            let gradients =
                cpu::backward(Isa::current(), case.planes, coefficients, Some(&case.directions), &h, &case.grad);
            let maps = cpu::direction_gradient(case.planes, &h, &case.grad);
            [h, gradients.x, gradients.weights, gradients.biases, maps]
                .map(|v| v.into_iter().map(f32::to_bits).collect())
        })
    };
    let one: [Vec<u32>; 5] = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_equal_contiguous_ones() -> crate::Result<()> {
    let mut noise = Noise::new(5);
    let case = case::<f32>((2, 3, 6, 10).into(), &mut noise);
    let x = Tensor::from_vec(case.x, (2, 3, 6, 10), &Device::Cpu)?;
    let weights = Tensor::from_vec(case.weights, (3, 4), &Device::Cpu)?.t()?;
    let biases = Tensor::from_vec(case.biases, (4, 3), &Device::Cpu)?;
    let strided = x.transpose(2, 3)?;
    let expected = irnn(&strided.contiguous()?, &weights.contiguous()?, &biases)?;
    let got = irnn(&strided, &weights, &biases)?;
    assert_eq!(got.flatten_all()?.to_vec1::<f32>()?, expected.flatten_all()?.to_vec1::<f32>()?);

    // An incoming gradient that is a transposed view.
    let var = Var::from_tensor(&x)?;
    let factor = Tensor::from_vec(case.grad, (2, 12, 6, 10), &Device::Cpu)?.reshape((2, 12, 10, 6))?;
    let weigh = |h: &Tensor| -> crate::Result<Tensor> {
        let loss = (h.transpose(2, 3)?.contiguous()? * &factor)?.sum_all()?;
        Ok(loss.backward()?.get(&var).expect("a gradient").clone())
    };
    let through_view = weigh(&irnn(&var, &weights, &biases)?)?;
    let direct = (irnn(&var, &weights, &biases)? * factor.transpose(2, 3)?.contiguous()?)?.sum_all()?.backward()?;
    let direct = direct.get(&var).expect("a gradient").clone();
    assert_eq!(through_view.flatten_all()?.to_vec1::<f32>()?, direct.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}

/// What benches call gives what a backward pass does, and refuses what does not fit.
#[test]
fn gradients_alone_are_those_of_a_backward_pass() -> crate::Result<()> {
    let mut noise = Noise::new(40);
    let mut var =
        |shape: &[usize]| Var::from_vec(noise.uniform(shape.iter().product(), -0.9, 0.9), shape, &Device::Cpu);
    let (x, weights, biases, maps) = (var(&[2, 3, 5, 7])?, var(&[4, 3])?, var(&[4, 3])?, var(&[2, 4, 5, 7])?);
    let grad = var(&[2, 12, 5, 7])?;
    let values = |tensor: &Tensor| tensor.flatten_all().and_then(|list| list.to_vec1::<f64>()).expect("values");
    let (dy, h) = (values(&grad), irnn(&x, &weights, &biases)?);
    let same = |got: [Option<Tensor>; 3], expected: [&Tensor; 3]| {
        for (got, expected) in got.iter().zip(expected) {
            assert_eq!(values(got.as_ref().expect("a gradient")), values(expected));
        }
    };

    let all = sum_weighted(&h, &dy)?.backward()?;
    let of = |var: &Var| all.get(var).expect("a gradient");
    same(gradients(&x, &weights, &biases, &h, &grad)?, [of(&x), of(&weights), of(&biases)]);
    assert!(gradients(&x, &weights, &biases, &x, &grad).is_err());

    let coefficients = Tensor::stack(&[weights.as_tensor(), biases.as_tensor()], 0)?;
    let all = sum_weighted(&irnn_directional(&x, &weights, &biases, &maps)?, &dy)?.backward()?;
    let of = |var: &Var| all.get(var).expect("a gradient");
    let of_coefficients = Tensor::stack(&[of(&weights), of(&biases)], 0)?;
    same(gradients_directional(&x, &coefficients, &maps, &grad)?, [of(&x), &of_coefficients, of(&maps)]);
    assert!(gradients_directional(&x, &weights, &maps, &grad).is_err());
    Ok(())
}

#[test]
fn nan_stays_visible() -> crate::Result<()> {
    let x = [0.5, f32::NAN, 0.25];
    let mut out = [0f32; 12];
    irnn_into(&x, Planes::from((1, 1, 1, 3)), &[1.0; 4], &[0.0; 4], None, &mut out)?;
    assert!(out[5].is_nan(), "right, after the NaN: {out:?}");
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let device = &Device::Cpu;
    let x = Tensor::zeros((1, 2, 3, 4), DType::F32, device)?;
    let ok = Tensor::zeros((4, 2), DType::F32, device)?;
    let shape = |result: crate::Result<Tensor>, name: &str| match result {
        Err(Error::Shape { argument, .. }) => assert_eq!(argument, name),
        other => panic!("{name}: {other:?}"),
    };
    shape(irnn(&x.squeeze(0)?, &ok, &ok), "x");
    shape(irnn(&Tensor::zeros((1, 2, 0, 4), DType::F32, device)?, &ok, &ok), "x");
    shape(irnn(&x, &ok.t()?, &ok), "weights");
    shape(irnn(&x, &ok, &Tensor::zeros((4, 3), DType::F32, device)?), "biases");
    shape(irnn_directional(&x, &ok, &ok, &x), "directions");
    let wrong = irnn(&x, &ok.to_dtype(DType::F64)?, &ok);
    assert!(matches!(wrong, Err(Error::DType { argument: "weights", got: DType::F64, .. })), "{wrong:?}");
    let wrong = irnn(&x.to_dtype(DType::U8)?, &ok, &ok);
    assert!(matches!(wrong, Err(Error::DType { argument: "x", got: DType::U8, .. })), "{wrong:?}");
    for planes in [(1, 1, 1, 0), (0, 1, 1, 1), (usize::MAX, 1, 1, 2)].map(Planes::from) {
        let result = irnn_into(&[0.0], planes, &[0.0; 4], &[0.0; 4], None, &mut []);
        assert!(matches!(result, Err(Error::Option { option: "planes", .. })), "{planes:?}: {result:?}");
    }
    let short = irnn_into(&[0.0; 24], Planes::from((1, 2, 3, 4)), &[0.0; 8], &[0.0; 8], None, &mut [0.0; 95]);
    assert!(matches!(short, Err(Error::Length { argument: "out", expected: 96, got: 95, .. })), "{short:?}");
    Ok(())
}
