use candle_core::{DType, Device, Tensor, Var};

use super::residual_block;
use crate::testing::{Noise, sum_weighted, within_pool};
use crate::{Activation, Conv2dOptions, Error, conv2d, conv2d_residual};

/// The block from its parts, each of which has a reference of its own.
fn parts(x: &Tensor, weights: [&Tensor; 3], map: Option<&Tensor>, dilation: usize) -> crate::Result<Tensor> {
    let relu = Conv2dOptions { activation: Activation::Relu, dilation: 1 };
    let t = conv2d(x, weights[0], None, &relu)?;
    let u = conv2d(&t, weights[1], None, &Conv2dOptions { dilation, ..relu })?;
    conv2d_residual(&u, weights[2], None, map, x, &relu)
}

/// x, the weights and the map.
fn variables(noise: &mut Noise, (b, c, h, w): (usize, usize, usize, usize), dtype: DType) -> crate::Result<[Var; 5]> {
    let mut draw = |dims: &[usize], scale: f64| {
        let values = noise.uniform(dims.iter().product(), -scale, scale);
        Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(dtype)?)
    };
    let scale = (c as f64).sqrt().recip();
    Ok([
        draw(&[b, c, h, w], 1.0)?,
        draw(&[c, c, 1, 1], scale)?,
        draw(&[c, c, 3, 3], scale)?,
        draw(&[c, c, 1, 1], scale)?,
        draw(&[b, 1, h, w], 1.0)?,
    ])
}

/// Result and gradients of whichever implementation, as f64.
fn run(
    block: impl Fn(&Tensor, [&Tensor; 3], Option<&Tensor>, usize) -> crate::Result<Tensor>,
    [x, first, second, third, map]: &[Var; 5],
    with_map: bool,
    dilation: usize,
) -> crate::Result<Vec<Vec<f64>>> {
    let y = block(x, [first, second, third], with_map.then_some(map.as_tensor()), dilation)?;
    let weights = Noise::new(5).uniform(y.elem_count(), -1.0, 1.0);
    // Strided on its way back.
    let loss = sum_weighted(&y.to_dtype(DType::F64)?.t()?, &weights)?;
    let gradients = loss.backward()?;
    let of =
        |tensor: &Tensor| -> crate::Result<Vec<f64>> { Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?) };
    let mut all = vec![of(&y)?];
    for variable in [x, first, second, third, map] {
        match gradients.get(variable) {
            Some(gradient) => all.push(of(gradient)?),
            None => assert!(!with_map, "a gradient is missing"),
        }
    }
    Ok(all)
}

#[test]
fn equals_its_parts_with_gradients() -> crate::Result<()> {
    let mut noise = Noise::new(40);
    for shape in [(1, 1, 1, 1), (2, 3, 5, 4), (1, 16, 33, 9), (2, 20, 7, 100), (1, 32, 40, 20)] {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
            let variables = variables(&mut noise, shape, dtype)?;
            for (with_map, dilation) in [(false, 1), (true, 2), (false, 2), (true, 3)] {
                let got = run(residual_block, &variables, with_map, dilation)?;
                let expected = run(parts, &variables, with_map, dilation)?;
                assert_eq!(got.len(), if with_map { 6 } else { 5 });
                for (what, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    let largest = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
                    for (got, expected) in got.iter().zip(expected) {
                        let error = (got - expected).abs() / largest;
                        assert!(error <= tolerance, "{what} of {shape:?} {dtype:?} {with_map} {dilation}: {error}");
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() -> crate::Result<()> {
    let variables = variables(&mut Noise::new(41), (2, 16, 70, 110), DType::F32)?;
    let of = |threads| {
        within_pool(threads, || run(residual_block, &variables, true, 2))
            .map(|all| all.concat().into_iter().map(f64::to_bits).collect::<Vec<_>>())
    };
    let one = of(1)?;
    for threads in [2, 3, 5] {
        assert!(one == of(threads)?, "{threads} threads differ from 1");
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    let (x, one, nine) = (zeros(&[1, 2, 4, 4])?, zeros(&[2, 2, 1, 1])?, zeros(&[2, 2, 3, 3])?);
    let result = residual_block(&x, [&one, &one, &one], None, 1);
    assert!(matches!(result, Err(Error::Shape { argument: "weights[1]", .. })), "{result:?}");
    let result = residual_block(&x, [&one, &nine, &one], Some(&zeros(&[1, 2, 4, 4])?), 1);
    assert!(matches!(result, Err(Error::Shape { argument: "map", .. })), "{result:?}");
    let result = residual_block(&x, [&one, &nine, &one], None, 0);
    assert!(matches!(result, Err(Error::Option { option: "dilation", .. })), "{result:?}");
    Ok(())
}
