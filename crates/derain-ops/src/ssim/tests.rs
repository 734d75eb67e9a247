use candle_core::{DType, Device, Tensor, Var};

use super::{SsimOptions, cpu, reference, ssim};
use crate::element::Element;
use crate::finite_differences::assert_gradients;
use crate::testing::{Noise, assert_close, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// One pixel, one row, one column, odd sizes, sizes around the window and the vector lengths, batches, several bands in
/// a plane.
const SHAPES: [(usize, usize, usize, usize); 14] = [
    (1, 1, 1, 1),
    (1, 1, 1, 9),
    (1, 1, 9, 1),
    (1, 1, 2, 2),
    (2, 3, 5, 7),
    (1, 2, 8, 10),
    (1, 1, 11, 11),
    (1, 1, 16, 31),
    (2, 1, 31, 16),
    (1, 1, 12, 32),
    (1, 3, 13, 33),
    (2, 1, 12, 65),
    (1, 1, 64, 6),
    (1, 2, 131, 5),
];

/// The defaults, windows of one pixel, wider than every picture, all but uniform, and so narrow that one weight is
/// left.
fn all_options() -> Vec<SsimOptions> {
    let with = |window, sigma| SsimOptions { window, sigma, ..Default::default() };
    let soft = SsimOptions { c1: 0.5, c2: 2.0, ..Default::default() };
    vec![SsimOptions::default(), with(1, 1.5), with(255, 9.0), with(3, 1e6), with(5, 1e-200), soft]
}

/// Pictures in 0..1, the second near the first.
fn pictures<E: Element>(noise: &mut Noise, count: usize) -> [Vec<E>; 2] {
    let x = noise.uniform(count, 0.0, 1.0);
    let y = x.iter().zip(noise.uniform(count, 0.0, 1.0)).map(|(x, other)| 0.6 * x + 0.4 * other).collect();
    [x, y].map(|values: Vec<f64>| values.into_iter().map(E::from_f64).collect())
}

fn gradient(loss: &Tensor, of: &Var) -> crate::Result<Vec<f64>> {
    let gradients = loss.backward()?;
    Ok(gradients.get(of).expect("a gradient").to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// Two pixels of which each window of 3 x 3, all of equal weights 1/9, sees both.
#[test]
fn hand_computed_two_pixels() -> crate::Result<()> {
    let x = Tensor::new(&[[[[9f64, 0.]]]], &Device::Cpu)?;
    let y = Tensor::new(&[[[[9f64, 9.]]]], &Device::Cpu)?;
    let options = SsimOptions { window: 3, sigma: 1e9, c1: 1.0, c2: 2.0 };
    // μx = 1, μy = 2, S = (81 + 0 + 81 + 81) / 9 = 27, P = 81 / 9 = 9; A1 = 5, A2 = 2·(9 - 2) + 2 = 16, B1 = 6,
    // B2 = 27 - 5 + 2 = 24.
    let got = ssim(&x, &y, &options)?.to_scalar::<f64>()?;
    assert!((got - 5.0 * 16.0 / (6.0 * 24.0)).abs() < 1e-14, "{got}");
    Ok(())
}

/// ```python
/// def ssim(x, y):
///     t = torch.arange(11, dtype=torch.float64) - 5
///     g = torch.exp(-t ** 2 / (2 * 1.5 ** 2)); g = g / g.sum()
///     c = x.shape[1]
///     w = torch.outer(g, g).expand(c, 1, 11, 11)
///     f = lambda v: F.conv2d(v, w, padding=5, groups=c)
///     mx, my = f(x), f(y)
///     sx, sy, sxy = f(x * x) - mx * mx, f(y * y) - my * my, f(x * y) - mx * my
///     return ((2 * mx * my + 1e-4) * (2 * sxy + 9e-4) / ((mx * mx + my * my + 1e-4) * (sx + sy + 9e-4))).mean()
/// for shape in [(1, 1, 2, 3), (2, 3, 13, 15)]:
///     n = torch.Size(shape).numel()
///     i = torch.arange(n, dtype=torch.float64)
///     x = (i * 37 % 101 / 100).reshape(shape).requires_grad_()
///     y = (i * 53 % 97 / 96).reshape(shape).requires_grad_()
///     s = ssim(x, y); s.backward()
///     at = range(n // 11, n, n // 6 + (n > 6))
///     print(s.item(), [x.grad.flatten()[k].item() for k in at], [y.grad.flatten()[k].item() for k in at])
/// ```
#[test]
fn results_and_gradients_are_pytorchs() -> crate::Result<()> {
    #[rustfmt::skip]
    let cases = [
        ((1, 1, 2, 3), 0.6393958173461093, [
            [-0.037400576606115885, 0.24606273142854185, -0.35516995108603755, 0.4593658149441701, -0.1629562545287863, 0.09093235957119242],
            [-0.023937159080708315, -0.0008085787800646664, 0.5248654203916301, -0.2903127354542472, 0.3164312636276818, 0.270237474424728],
        ]),
        ((2, 3, 13, 15), 0.24147883771458245, [
            [0.0024895096122141674, -0.004248475676163177, -0.0034636109418207687, -0.00303699253828847, -0.002731141340945397, -0.0007805571774952644],
            [0.0015226712110307837, 0.0025264835191559825, -0.0003334007985847168, -0.0027985361054320337, -0.004687868602525848, 0.0030837455628692006],
        ]),
    ];
    for (shape, expected, gradients) in cases {
        let n = Planes::from(shape).len();
        let picture = |step: usize, period: usize| -> crate::Result<Var> {
            let values = (0..n).map(|i| (i * step % period) as f64 / (period - 1) as f64).collect();
            Ok(Var::from_vec(values, shape, &Device::Cpu)?)
        };
        let [x, y] = [picture(37, 101)?, picture(53, 97)?];
        let got = ssim(&x, &y, &SsimOptions::default())?;
        assert!((got.to_scalar::<f64>()? - expected).abs() < 1e-14, "{got} {expected}");
        for (var, expected) in [&x, &y].into_iter().zip(gradients) {
            let all = gradient(&got, var)?;
            let sampled: Vec<f64> = all.into_iter().skip(n / 11).step_by(n / 6 + usize::from(n > 6)).collect();
            assert_close(&sampled, &expected, 1e-12, "a gradient");
        }
        let [x, y] = [x.to_dtype(DType::F32)?, y.to_dtype(DType::F32)?];
        let single = f64::from(ssim(&x, &y, &SsimOptions::default())?.to_scalar::<f32>()?);
        assert!((single - expected).abs() < 1e-6, "{single} {expected}");
    }
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Element>(isa: Isa, tolerance: f64) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            for options in all_options() {
                let planes = Planes::from(shape);
                let [x, y] = pictures::<E>(&mut noise, planes.len());
                let what = format!("{isa:?} {:?} {shape:?} {options:?}", E::DTYPE);
                let (x_reference, y_reference) = (to_f64(&x), to_f64(&y));
                let got = cpu::forward(isa, planes, &x, &y, &options);
                let expected = reference::forward(planes, &x_reference, &y_reference, &options);
                assert!((got - expected).abs() <= 1e-13, "{what}: {got} for {expected}");
                let got = cpu::backward(isa, planes, &x, &y, -3.0, &options);
                let expected = reference::backward(planes, &x_reference, &y_reference, -3.0, &options);
                for (got, expected) in got.iter().zip(&expected) {
                    assert_close(&to_f64(got), expected, tolerance, &what);
                }
            }
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-7);
    }
    compare::<f64>(Isa::Portable, 1e-11);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 500) {
        for options in all_options() {
            let inputs = pictures::<f64>(&mut noise, Planes::from(shape).len());
            let inputs = inputs.map(|values| Tensor::from_vec(values, shape, &Device::Cpu).expect("a picture"));
            // Summed gradients of a mean are small: the loss is the sum.
            let count = Planes::from(shape).len() as f64;
            let what = format!("{shape:?} {options:?}");
            assert_gradients(&inputs, &what, |x| Ok(ssim(&x[0], &x[1], &options)?.affine(count, 0.0)?))?;
        }
    }
    Ok(())
}

/// On bright flat areas variances are what rounding leaves of differences of numbers near 1.
#[test]
fn equal_pictures_give_exactly_one_and_no_gradient() -> crate::Result<()> {
    fn check<E: Element>(values: &[f64], shape: (usize, usize, usize, usize)) -> crate::Result<()> {
        let values = values.iter().map(|&value| E::from_f64(value)).collect::<Vec<E>>();
        let x = Var::from_vec(values.clone(), shape, &Device::Cpu)?;
        let y = Var::from_vec(values, shape, &Device::Cpu)?;
        for options in all_options() {
            let one = ssim(&x, &y, &options)?;
            assert_eq!(one.to_dtype(DType::F64)?.to_scalar::<f64>()?, 1.0, "{:?} {shape:?} {options:?}", E::DTYPE);
            for var in [&x, &y] {
                let largest = gradient(&one, var)?.into_iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
                assert!(largest < 1e-12, "{:?} {shape:?} {options:?}: {largest}", E::DTYPE);
            }
        }
        Ok(())
    }
    let mut noise = Noise::new(3);
    for shape in SHAPES {
        let count = Planes::from(shape).len();
        let noisy = noise.uniform(count, 0.0, 1.0);
        for values in [noisy, vec![0.0; count], vec![1.0; count], vec![254.0 / 255.0; count], vec![1.0 / 3.0; count]] {
            check::<f32>(&values, shape)?;
            check::<f64>(&values, shape)?;
        }
    }
    Ok(())
}

/// In f32 arithmetic a variance of 1 would drown a ripple of 1e-4 in rounding of the same size as its variance's.
#[test]
fn faint_ripples_on_bright_pictures_survive_in_f32() -> crate::Result<()> {
    let shape = (1, 1, 20, 37);
    let ripple = |amplitude: f32, phase: usize| {
        let values =
            (0..20 * 37).map(|i| 0.999 + if (i + phase).is_multiple_of(3) { amplitude } else { 0.0 }).collect();
        Var::from_vec(values, shape, &Device::Cpu)
    };
    let [x, y] = [ripple(1e-4, 0)?, ripple(1e-4, 1)?];
    let options = SsimOptions { c2: 1e-9, ..Default::default() };
    let [double_x, double_y] = [&x, &y].map(|var| Var::from_tensor(&var.to_dtype(DType::F64).expect("f64")));
    let (double_x, double_y) = (double_x?, double_y?);
    let (single, double) = (ssim(&x, &y, &options)?, ssim(&double_x, &double_y, &options)?);
    let (got, expected) = (f64::from(single.to_scalar::<f32>()?), double.to_scalar::<f64>()?);
    assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    assert!(expected < 0.9, "the ripples differ: {expected}");
    assert_close(&gradient(&single, &x)?, &gradient(&double, &double_x)?, 1e-6, "the gradient");
    Ok(())
}

#[test]
fn results_stay_within_minus_one_and_one() -> crate::Result<()> {
    let mut noise = Noise::new(4);
    let options = SsimOptions { c1: 1e-300, c2: 1e-300, ..Default::default() };
    for _ in 0..20 {
        let x = Tensor::from_vec(noise.uniform(17 * 19, 0.9, 0.9000001), (1, 1, 17, 19), &Device::Cpu)?;
        for y in [x.affine(-1.0, 1.8)?, x.affine(1.0, 1e-9)?, x.affine(1.0 + 1e-12, 0.0)?] {
            let s = ssim(&x, &y, &options)?.to_scalar::<f64>()?;
            assert!((-1.0..=1.0).contains(&s), "{s}");
        }
    }
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let planes = Planes::from((2, 3, 150, 70));
    let [x, y] = pictures::<f32>(&mut Noise::new(5), planes.len());
    let options = SsimOptions::default();
    let run = |threads| {
        within_pool(threads, || {
            let ssim = cpu::forward(Isa::current(), planes, &x, &y, &options);
            let gradients = cpu::backward(Isa::current(), planes, &x, &y, 1.0, &options);
            (ssim.to_bits(), gradients.map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<u32>>()))
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_equal_contiguous_ones() -> crate::Result<()> {
    let mut noise = Noise::new(6);
    let [x, y] = pictures::<f64>(&mut noise, 2 * 3 * 5 * 7);
    let x = Var::from_vec(x, (2, 3, 5, 7), &Device::Cpu)?;
    let y = Tensor::from_vec(y, (2, 3, 7, 5), &Device::Cpu)?;
    let options = SsimOptions::default();
    let strided = ssim(&x.transpose(2, 3)?, &y, &options)?;
    let contiguous = ssim(&x.transpose(2, 3)?.contiguous()?, &y.contiguous()?, &options)?;
    assert_eq!(strided.to_scalar::<f64>()?, contiguous.to_scalar::<f64>()?);
    assert_eq!(gradient(&strided, &x)?, gradient(&contiguous, &x)?);
    let other = ssim(&x, &y.transpose(2, 3)?, &options)?;
    assert_close(&gradient(&other, &x)?, &gradient(&contiguous, &x)?, 1e-12, "a strided second picture");
    Ok(())
}

/// A tensor on both sides, and a constant that needs no gradient.
#[test]
fn gradients_of_both_sides_add_up() -> crate::Result<()> {
    let [x, y] = pictures::<f64>(&mut Noise::new(7), 48).map(|v| Tensor::from_vec(v, (1, 1, 6, 8), &Device::Cpu));
    let x = Var::from_tensor(&x?)?;
    let y = y?;
    let options = SsimOptions::default();
    let squared = x.sqr()?;
    let both = gradient(&ssim(&squared, &x, &options)?, &x)?;
    let left = gradient(&ssim(&squared, &x.detach(), &options)?, &x)?;
    let right = gradient(&ssim(&squared.detach(), &x, &options)?, &x)?;
    let sum: Vec<f64> = left.iter().zip(&right).map(|(a, b)| a + b).collect();
    assert_close(&both, &sum, 1e-13, "both sides");
    let gradients = ssim(&x, &y, &options)?.backward()?;
    assert!(gradients.get(&y).is_none() && gradients.get(&x).is_some());
    Ok(())
}

#[test]
fn nan_stays_visible() -> crate::Result<()> {
    let good = Tensor::full(0.5f32, (1, 1, 4, 4), &Device::Cpu)?;
    for bad in [f32::NAN, f32::INFINITY] {
        let values: Vec<f32> = (0..16).map(|i| if i == 5 { bad } else { 0.5 }).collect();
        let x = Var::from_vec(values, (1, 1, 4, 4), &Device::Cpu)?;
        for s in [ssim(&x, &good, &SsimOptions::default())?, ssim(&good, &x, &SsimOptions::default())?] {
            assert!(s.to_scalar::<f32>()?.is_nan());
            assert!(gradient(&s, &x)?.iter().all(|g| g.is_nan()), "every window of 11 x 11 sees the pixel");
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu);
    let x = zeros(&[1, 1, 4, 4], DType::F32)?;
    let default = SsimOptions::default();
    let flat = ssim(&zeros(&[4, 4], DType::F32)?, &x, &default);
    assert!(matches!(flat, Err(Error::Shape { argument: "x", .. })), "{flat:?}");
    let empty = zeros(&[1, 1, 0, 4], DType::F32)?;
    assert!(matches!(ssim(&empty, &empty, &default), Err(Error::Shape { argument: "x", .. })));
    let other = ssim(&x, &zeros(&[1, 1, 4, 5], DType::F32)?, &default);
    assert!(matches!(other, Err(Error::Shape { argument: "y", .. })), "{other:?}");
    let double = ssim(&x, &zeros(&[1, 1, 4, 4], DType::F64)?, &default);
    assert!(matches!(double, Err(Error::DType { argument: "y", got: DType::F64, .. })), "{double:?}");
    let bytes = zeros(&[1, 1, 4, 4], DType::U8)?;
    assert!(matches!(ssim(&bytes, &bytes, &default), Err(Error::DType { argument: "x", got: DType::U8, .. })));
    for (options, name) in [
        (SsimOptions { window: 10, ..default }, "window"),
        (SsimOptions { window: 0, ..default }, "window"),
        (SsimOptions { window: 257, ..default }, "window"),
        (SsimOptions { sigma: 0.0, ..default }, "sigma"),
        (SsimOptions { sigma: f64::INFINITY, ..default }, "sigma"),
        (SsimOptions { c1: -1.0, ..default }, "c1"),
        (SsimOptions { c2: f64::NAN, ..default }, "c2"),
    ] {
        let result = ssim(&x, &x, &options);
        assert!(matches!(result, Err(Error::Option { option, .. }) if option == name), "{name}: {result:?}");
    }
    Ok(())
}
