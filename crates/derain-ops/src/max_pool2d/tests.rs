use candle_core::{DType, Device, Tensor, Var};

use super::{cpu, max_pool2d, reference};
use crate::element::Element;
use crate::finite_differences::assert_gradients;
use crate::testing::{Noise, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// One window, one row and one column of them, sizes around the vector lengths, batches, several tasks in a plane.
const SHAPES: [(usize, usize, usize, usize); 14] = [
    (1, 1, 2, 2),
    (1, 1, 2, 10),
    (1, 1, 10, 2),
    (2, 3, 4, 6),
    (1, 2, 6, 14),
    (1, 1, 8, 16),
    (3, 1, 10, 18),
    (1, 2, 4, 30),
    (1, 1, 6, 32),
    (2, 2, 2, 34),
    (1, 1, 4, 62),
    (1, 1, 2, 66),
    (1, 1, 600, 70),
    (1, 3, 130, 258),
];

/// Pictures of few values, so that many windows hold their largest more than once.
fn coarse<E: Element>(noise: &mut Noise, count: usize) -> Vec<E> {
    noise.uniform(count, -2.0, 2.0).into_iter().map(|value| E::from_f64(value.round())).collect()
}

fn fine<E: Element>(noise: &mut Noise, count: usize) -> Vec<E> {
    noise.uniform(count, -1.0, 1.0).into_iter().map(E::from_f64).collect()
}

#[test]
fn hand_computed_two_windows_by_two() -> crate::Result<()> {
    #[rustfmt::skip]
    let x = Var::new(&[[[
        [1f32, 2.,   -4., -3.],
        [0.,   -1.,  -2., -5.],

        [7.,   7.,   0.,  3.],
        [7.,   7.,   3.,  0.],
    ]]], &Device::Cpu)?;
    let y = max_pool2d(&x)?;
    assert_eq!(y.dims(), [1, 1, 2, 2]);
    assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2., -2., 7., 3.]);
    let weights = Tensor::new(&[[[[10f32, 20.], [30., 40.]]]], &Device::Cpu)?;
    let gradients = (y * weights)?.sum_all()?.backward()?;
    #[rustfmt::skip]
    let expected = [
        0., 10.,   0.,  0.,
        0., 0.,    20., 0.,

        30., 0.,   0.,  40.,
        0.,  0.,   0.,  0.,
    ];
    assert_eq!(gradients.get(&x).expect("a gradient").flatten_all()?.to_vec1::<f32>()?, expected);
    Ok(())
}

/// ```python
/// x = torch.tensor([[[[1., 1., -2., nan], [1., 0., 3., nan], [4., 4., -1., -1.], [5., 5., -1., -1.]]]], requires_grad=True)
/// y = F.max_pool2d(x, 2)
/// y.backward(torch.tensor([[[[10., 20.], [30., 40.]]]]))
/// print(y, x.grad)
/// ```
#[test]
fn ties_and_nan_are_pytorchs() {
    const NAN: f32 = f32::NAN;
    let planes = Planes::from((1, 1, 4, 4));
    let x = [1., 1., -2., NAN, 1., 0., 3., NAN, 4., 4., -1., -1., 5., 5., -1., -1.];
    let gradient = [10., 0., 0., 0., 0., 0., 0., 20., 0., 0., 40., 0., 30., 0., 0., 0.];
    for isa in Isa::available() {
        let mut out = [0f32; 4];
        cpu::forward(isa, planes, &x, &mut out);
        assert!(out[1].is_nan() && [out[0], out[2], out[3]] == [1., 5., -1.], "{isa:?}: {out:?}");
        assert_eq!(cpu::backward(isa, planes, &x, &[10., 20., 30., 40.]), gradient, "{isa:?}");
    }
}

#[test]
fn nan_anywhere_in_a_window_gives_nan() {
    let planes = Planes::from((1, 1, 2, 34));
    for at in 0..planes.len() {
        let mut x = vec![1f32; planes.len()];
        x[at] = f32::NAN;
        for isa in Isa::available() {
            let mut out = [0f32; 17];
            cpu::forward(isa, planes, &x, &mut out);
            let nan: Vec<usize> = (0..17).filter(|&window| out[window].is_nan()).collect();
            assert_eq!(nan, [at % 34 / 2], "{isa:?}, NaN at {at}");
        }
    }
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            let planes = Planes::from(shape);
            for x in [coarse::<E>(&mut noise, planes.len()), fine(&mut noise, planes.len())] {
                let grad: Vec<E> = fine(&mut noise, planes.len() / 4);
                let mut out = vec![E::from_f64(f64::NAN); grad.len()];
                cpu::forward(isa, planes, &x, &mut out);
                // Nothing is computed, only moved: no tolerance.
                assert_eq!(to_f64(&out), reference::forward(planes, &to_f64(&x)), "{isa:?} {shape:?}");
                let got = to_f64(&cpu::backward(isa, planes, &x, &grad));
                assert_eq!(got, reference::backward(planes, &to_f64(&x), &to_f64(&grad)), "{isa:?} {shape:?}");
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa);
    }
    compare::<f64>(Isa::Portable);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 600) {
        let count = Planes::from(shape).len();
        let x = Tensor::from_vec(noise.uniform(count, -1.0, 1.0), shape, &Device::Cpu)?;
        let weights = noise.uniform(count / 4, -1.0, 1.0);
        assert_gradients(&[x], &format!("{shape:?}"), |x| sum_weighted(&max_pool2d(&x[0])?, &weights))?;
    }
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let planes = Planes::from((2, 3, 400, 130));
    let mut noise = Noise::new(3);
    let x: Vec<f32> = coarse(&mut noise, planes.len());
    let grad: Vec<f32> = fine(&mut noise, planes.len() / 4);
    let run = |threads| {
        within_pool(threads, || {
            let mut out = vec![0f32; grad.len()];
            cpu::forward(Isa::current(), planes, &x, &mut out);
            let gradient = cpu::backward(Isa::current(), planes, &x, &grad);
            [out, gradient].map(|v| v.into_iter().map(f32::to_bits).collect())
        })
    };
    let one: [Vec<u32>; 2] = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_and_gradients_equal_contiguous_ones() -> crate::Result<()> {
    let mut noise = Noise::new(4);
    let x = Var::from_vec(noise.uniform(2 * 3 * 6 * 10, -1.0, 1.0), (2, 3, 6, 10), &Device::Cpu)?;
    let strided = x.transpose(2, 3)?;
    let [got, expected] = [max_pool2d(&strided)?, max_pool2d(&strided.contiguous()?)?];
    assert_eq!(got.flatten_all()?.to_vec1::<f64>()?, expected.flatten_all()?.to_vec1::<f64>()?);

    let factor = Tensor::from_vec(noise.uniform(2 * 3 * 5 * 3, -1.0, 1.0), (2, 3, 5, 3), &Device::Cpu)?;
    let y = max_pool2d(&x)?;
    let through_view = (y.transpose(2, 3)? * &factor)?.sum_all()?.backward()?;
    let direct = (y * factor.transpose(2, 3)?.contiguous()?)?.sum_all()?.backward()?;
    let [a, b] = [through_view, direct].map(|gradients| gradients.get(&x).expect("a gradient").clone());
    assert_eq!(a.flatten_all()?.to_vec1::<f64>()?, b.flatten_all()?.to_vec1::<f64>()?);
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    for shape in [(1, 2, 3, 4), (1, 2, 4, 3), (1, 1, 1, 1), (1, 1, 0, 2)] {
        let result = max_pool2d(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        assert!(matches!(result, Err(Error::Shape { argument: "x", .. })), "{shape:?}: {result:?}");
    }
    let odd = max_pool2d(&Tensor::zeros((1, 2, 3, 4), DType::F32, &Device::Cpu)?);
    assert!(odd.expect_err("an odd height").to_string().contains("pad"), "the message says what to do");
    let flat = max_pool2d(&Tensor::zeros((4, 4), DType::F32, &Device::Cpu)?);
    assert!(matches!(flat, Err(Error::Shape { argument: "x", .. })), "{flat:?}");
    let whole = max_pool2d(&Tensor::zeros((1, 1, 2, 2), DType::U8, &Device::Cpu)?);
    assert!(matches!(whole, Err(Error::DType { argument: "x", got: DType::U8, .. })), "{whole:?}");
    Ok(())
}
