use candle_core::{DType, Device, Tensor, Var};

use super::{Upsampling, cpu, reference, upsample2x};
use crate::element::Element;
use crate::finite_differences::assert_gradients;
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

const MODES: [Upsampling; 2] = [Upsampling::Nearest, Upsampling::Bilinear];

/// One pixel, one row, one column, odd sizes, sizes around the vector lengths, batches, several bands in a plane.
const SHAPES: [(usize, usize, usize, usize); 14] = [
    (1, 1, 1, 1),
    (1, 1, 1, 7),
    (1, 1, 7, 1),
    (1, 1, 2, 2),
    (2, 3, 3, 5),
    (1, 2, 4, 8),
    (1, 1, 9, 9),
    (2, 1, 3, 15),
    (1, 1, 5, 16),
    (1, 2, 2, 17),
    (1, 1, 3, 31),
    (1, 1, 2, 33),
    (1, 1, 130, 140),
    (1, 2, 90, 257),
];

fn values<E: Element>(noise: &mut Noise, count: usize) -> Vec<E> {
    noise.uniform(count, -1.0, 1.0).into_iter().map(E::from_f64).collect()
}

/// In units of 1/16 the bilinear weights are whole: 9 and 3 by 3 and 1.
#[test]
fn hand_computed_two_by_two() -> crate::Result<()> {
    let x = Var::new(&[[[[16f32, 0.], [0., 32.]]]], &Device::Cpu)?;
    let of = |mode| upsample2x(&x, mode)?.flatten_all()?.to_vec1::<f32>();
    #[rustfmt::skip]
    assert_eq!(of(Upsampling::Nearest)?, [
        16., 16.,   0.,  0.,
        16., 16.,   0.,  0.,
        0.,  0.,    32., 32.,
        0.,  0.,    32., 32.,
    ]);
    #[rustfmt::skip]
    assert_eq!(of(Upsampling::Bilinear)?, [
        16., 12.,   4.,  0.,
        12., 11.,   9.,  8.,
        4.,  9.,    19., 24.,
        0.,  8.,    24., 32.,
    ]);
    // Only the second pixel of the first row of the result is asked for: 3/4 of the first pixel, 1/4 of the second.
    let y = upsample2x(&x, Upsampling::Bilinear)?.flatten_all()?.narrow(0, 1, 1)?;
    let gradients = y.sum_all()?.backward()?;
    let gradient = gradients.get(&x).expect("a gradient").flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(gradient, [0.75, 0.25, 0., 0.]);
    Ok(())
}

/// ```python
/// x = torch.tensor([[[[1., 2., 4.], [8., 16., 32.]]]], requires_grad=True, dtype=torch.float64)
/// y = F.interpolate(x, scale_factor=2, mode=mode)        # "nearest", "bilinear"
/// y.backward(torch.arange(24., dtype=torch.float64).reshape(1, 1, 4, 6))
/// print(y.flatten().tolist(), x.grad.flatten().tolist())
/// ```
#[test]
fn results_and_gradients_are_pytorchs() -> crate::Result<()> {
    let x = Var::new(&[[[[1f64, 2., 4.], [8., 16., 32.]]]], &Device::Cpu)?;
    let weights: Vec<f64> = (0..24).map(f64::from).collect();
    #[rustfmt::skip]
    let nearest = [
        1., 1., 2., 2., 4., 4.,         1., 1., 2., 2., 4., 4.,
        8., 8., 16., 16., 32., 32.,     8., 8., 16., 16., 32., 32.,
    ];
    #[rustfmt::skip]
    let bilinear = [
        1., 1.25, 1.75, 2.5, 3.5, 4.,                       2.75, 3.4375, 4.8125, 6.875, 9.625, 11.,
        6.25, 7.8125, 10.9375, 15.625, 21.875, 25.,         8., 10., 14., 20., 28., 32.,
    ];
    let cases = [
        (Upsampling::Nearest, nearest, [14., 22., 30., 62., 70., 78.]),
        (Upsampling::Bilinear, bilinear, [17.5, 25., 32.5, 59.5, 67., 74.5]),
    ];
    for (mode, expected, gradient) in cases {
        let y = upsample2x(&x, mode)?;
        assert_eq!(y.dims(), [1, 1, 4, 6]);
        assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, expected, "{mode:?}");
        let gradients = sum_weighted(&y, &weights)?.backward()?;
        let got = gradients.get(&x).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
        assert_eq!(got, gradient, "{mode:?}");
    }
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa, tolerance: f64) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            for mode in MODES {
                let planes = Planes::from(shape);
                let x: Vec<E> = values(&mut noise, planes.len());
                let grad: Vec<E> = values(&mut noise, 4 * planes.len());
                let what = format!("{isa:?} {:?} {shape:?} {mode:?}", E::DTYPE);
                let mut out = vec![E::from_f64(f64::NAN); grad.len()];
                cpu::forward(isa, planes, mode, &x, &mut out);
                assert_close(&to_f64(&out), &reference::forward(planes, mode, &to_f64(&x)), tolerance, &what);
                let got = cpu::backward(isa, planes, mode, &grad);
                assert_close(&to_f64(&got), &reference::backward(planes, mode, &to_f64(&grad)), tolerance, &what);
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-6);
    }
    compare::<f64>(Isa::Portable, 1e-14);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 200) {
        for mode in MODES {
            let count = Planes::from(shape).len();
            let x = Tensor::from_vec(noise.uniform(count, -1.0, 1.0), shape, &Device::Cpu)?;
            let weights = noise.uniform(4 * count, -1.0, 1.0);
            let what = format!("{shape:?} {mode:?}");
            assert_gradients(&[x], &what, |x| sum_weighted(&upsample2x(&x[0], mode)?, &weights))?;
        }
    }
    Ok(())
}

/// candle's own nearest upsampling loses what a tensor's other uses have added to its gradient.
#[test]
fn gradients_of_a_tensor_used_twice_add_up() -> crate::Result<()> {
    for mode in MODES {
        let x = Var::new(&[[[[1f64, 2.]]]], &Device::Cpu)?;
        let loss = (upsample2x(&x, mode)?.sum_all()? + upsample2x(&x, mode)?.sum_all()? + x.sum_all()?)?;
        let gradients = loss.backward()?;
        let gradient = gradients.get(&x).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
        assert_eq!(gradient, [9., 9.], "{mode:?}");
    }
    Ok(())
}

#[test]
fn constant_pictures_stay_exactly_constant() {
    let planes = Planes::from((1, 1, 5, 19));
    for value in [1.0f32 / 3.0, 254.0 / 255.0, 0.1, 1.0 + f32::EPSILON, 1e-40, 3e38] {
        for isa in Isa::available() {
            let mut out = vec![0f32; 4 * planes.len()];
            cpu::forward(isa, planes, Upsampling::Bilinear, &vec![value; planes.len()], &mut out);
            assert!(out.iter().all(|&y| y == value), "{isa:?} {value}: {out:?}");
        }
    }
}

#[test]
fn nan_stays_visible() -> crate::Result<()> {
    let x = Tensor::new(&[[[[0.5f32, f32::NAN, 0.25, 1.0]]]], &Device::Cpu)?;
    let nan = |mode| -> crate::Result<Vec<bool>> {
        let y = upsample2x(&x, mode)?.get(0)?.get(0)?.get(0)?.to_vec1::<f32>()?;
        Ok(y.iter().map(|y| y.is_nan()).collect())
    };
    assert_eq!(nan(Upsampling::Nearest)?, [false, false, true, true, false, false, false, false]);
    assert_eq!(nan(Upsampling::Bilinear)?, [false, true, true, true, true, false, false, false]);
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let planes = Planes::from((2, 3, 150, 130));
    let mut noise = Noise::new(3);
    let x: Vec<f32> = values(&mut noise, planes.len());
    let grad: Vec<f32> = values(&mut noise, 4 * planes.len());
    for mode in MODES {
        let run = |threads| {
            within_pool(threads, || {
                let mut out = vec![0f32; grad.len()];
                cpu::forward(Isa::current(), planes, mode, &x, &mut out);
                let gradient = cpu::backward(Isa::current(), planes, mode, &grad);
                [out, gradient].map(|v| v.into_iter().map(f32::to_bits).collect())
            })
        };
        let one: [Vec<u32>; 2] = run(1);
        for threads in [2, 3, 5] {
            assert!(one == run(threads), "{mode:?}: {threads} threads differ from 1");
        }
    }
}

#[test]
fn strided_tensors_and_gradients_equal_contiguous_ones() -> crate::Result<()> {
    let mut noise = Noise::new(4);
    let x = Var::from_vec(noise.uniform(2 * 3 * 3 * 5, -1.0, 1.0), (2, 3, 3, 5), &Device::Cpu)?;
    let factor = Tensor::from_vec(noise.uniform(2 * 3 * 10 * 6, -1.0, 1.0), (2, 3, 10, 6), &Device::Cpu)?;
    let strided = x.transpose(2, 3)?;
    for mode in MODES {
        let [got, expected] = [upsample2x(&strided, mode)?, upsample2x(&strided.contiguous()?, mode)?];
        assert_eq!(got.flatten_all()?.to_vec1::<f64>()?, expected.flatten_all()?.to_vec1::<f64>()?);
        let y = upsample2x(&x, mode)?;
        let through_view = (y.transpose(2, 3)? * &factor)?.sum_all()?.backward()?;
        let direct = (y * factor.transpose(2, 3)?.contiguous()?)?.sum_all()?.backward()?;
        let [a, b] = [through_view, direct].map(|gradients| gradients.get(&x).expect("a gradient").clone());
        assert_eq!(a.flatten_all()?.to_vec1::<f64>()?, b.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    for mode in MODES {
        let flat = upsample2x(&Tensor::zeros((2, 4, 4), DType::F32, &Device::Cpu)?, mode);
        assert!(matches!(flat, Err(Error::Shape { argument: "x", .. })), "{flat:?}");
        let empty = upsample2x(&Tensor::zeros((1, 1, 0, 4), DType::F32, &Device::Cpu)?, mode);
        assert!(matches!(empty, Err(Error::Shape { argument: "x", .. })), "{empty:?}");
        let half = upsample2x(&Tensor::zeros((1, 1, 2, 2), DType::F16, &Device::Cpu)?, mode);
        assert!(matches!(half, Err(Error::DType { argument: "x", got: DType::F16, .. })), "{half:?}");
    }
    Ok(())
}
