//! On the CPU, where candle has the same operations as on GPUs, against the reference.

use candle_core::{Device, Tensor, Var};

use super::{MOST_OF_CUDNN, check_count, convolution, rows_within};
use crate::Planes;
use crate::conv2d::gpu::conv2d;
use crate::conv2d::op::Conv2d;
use crate::conv2d::reference::{self, Arguments};
use crate::conv2d::{Activation, Conv2dOptions, Inputs};
use crate::testing::{Noise, assert_close, sum_weighted};

/// ([B, C, H, W], O, K, dilation, activation, what there is besides).
type Case = ((usize, usize, usize, usize), usize, usize, usize, Activation, Parts);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Weight,
    Bias,
    /// Bias, scale and residual.
    All,
}

const CASES: [Case; 9] = [
    ((1, 1, 1, 1), 1, 3, 1, Activation::None, Parts::Weight),
    ((2, 3, 5, 4), 2, 3, 1, Activation::Relu, Parts::All),
    ((1, 2, 7, 9), 3, 3, 2, Activation::None, Parts::All),
    ((2, 2, 4, 6), 4, 3, 5, Activation::Relu, Parts::Weight),
    ((2, 3, 6, 5), 4, 1, 1, Activation::Relu, Parts::All),
    ((1, 4, 3, 3), 2, 1, 2, Activation::None, Parts::All),
    ((3, 2, 8, 1), 2, 3, 1, Activation::None, Parts::All),
    ((2, 3, 5, 4), 2, 3, 1, Activation::Relu, Parts::Bias),
    ((2, 2, 4, 6), 4, 1, 1, Activation::None, Parts::Bias),
];

#[test]
fn forward_and_gradients_equal_the_reference() -> crate::Result<()> {
    let mut noise = Noise::new(31);
    for (shape, outputs, size, dilation, activation, parts) in CASES {
        let (has_bias, all) = (parts != Parts::Weight, parts == Parts::All);
        let planes = Planes::from(shape);
        let Planes { batch, channels, height, width } = planes;
        let what = format!("{shape:?} -> {outputs}, {size}x{size}, {dilation} apart, {activation:?}");
        let mut draw = |count| noise.uniform(count, -1.0, 1.0);
        let (x, weight) = (draw(planes.len()), draw(outputs * channels * size * size));
        let bias = if has_bias { draw(outputs) } else { vec![0.0; outputs] };
        let (scale, residual) = (draw(batch * planes.pixels()), draw(batch * outputs * planes.pixels()));
        let dy = draw(residual.len());
        let options = Conv2dOptions { dilation, activation };
        let arguments = Arguments {
            planes,
            x: &x,
            weight: &weight,
            bias: &bias,
            scale: all.then_some(&scale),
            residual: all.then_some(&residual),
            options,
        };
        let expected = reference::backward(&arguments, &dy);

        let var = |values: &[f64], shape: &[usize]| Var::from_slice(values, shape, &Device::Cpu);
        // Strided: the transposed weights of a tensor that is laid out otherwise.
        let turned = Tensor::from_slice(&weight, (outputs, channels, size * size), &Device::Cpu)?.transpose(0, 1)?;
        let turned = Var::from_tensor(&turned.contiguous()?)?;
        let tensor_x = var(&x, &[batch, channels, height, width])?;
        let tensor_weight = turned.transpose(0, 1)?.reshape((outputs, channels, size, size))?;
        let tensor_bias = var(&bias, &[outputs])?;
        let tensor_scale = var(&scale, &[batch, 1, height, width])?;
        let tensor_residual = var(&residual, &[batch, outputs, height, width])?;
        let of_bias = has_bias.then_some(tensor_bias.as_tensor());
        let [of_scale, of_residual] = [&tensor_scale, &tensor_residual].map(|var| all.then_some(var.as_tensor()));
        let op = Conv2d { options, outputs, size, residual: all, scale: all };
        let inputs = Inputs {
            x: &tensor_x,
            weight: &tensor_weight,
            bias: of_bias,
            scale: of_scale,
            residual: of_residual,
            packed: None,
        };
        let y = conv2d(op, &inputs)?;
        assert_close(&y.flatten_all()?.to_vec1()?, &reference::forward(&arguments), 1e-13, &what);

        let gradients = sum_weighted(&y, &dy)?.backward()?;
        let check = |var: &Tensor, expected: &[f64], name: &str| -> crate::Result<()> {
            let got = gradients.get(var).expect("a gradient");
            assert_close(&got.flatten_all()?.to_vec1()?, expected, 1e-12, &format!("{what}: {name}"));
            Ok(())
        };
        check(&tensor_x, &expected.x, "dx")?;
        let of_weight = gradients.get(&turned).expect("a gradient").transpose(0, 1)?.flatten_all()?.to_vec1()?;
        assert_close(&of_weight, &expected.weight, 1e-12, &format!("{what}: dweight"));
        if has_bias {
            check(&tensor_bias, &expected.bias, "dbias")?;
        }
        if all {
            check(&tensor_scale, &expected.scale, "dscale")?;
            check(&tensor_residual, &expected.residual, "dresidual")?;
        }
    }
    Ok(())
}

#[test]
fn bands_change_nothing() -> crate::Result<()> {
    let mut noise = Noise::new(32);
    for (size, dilation) in [(1, 1), (3, 1), (3, 3)] {
        let x = Tensor::from_vec(noise.uniform(2 * 3 * 10 * 7, -1.0, 1.0), (2, 3, 10, 7), &Device::Cpu)?;
        let weight = Tensor::from_vec(noise.uniform(4 * 3 * size * size, -1.0, 1.0), (4, 3, size, size), &Device::Cpu)?;
        let whole = convolution(&x, &weight, dilation, usize::MAX)?.flatten_all()?.to_vec1::<f64>()?;
        let row = 2 * 3 * size * size * 7 * 8;
        for rows in [1, 3, 9] {
            let banded = convolution(&x, &weight, dilation, rows * row)?.flatten_all()?.to_vec1::<f64>()?;
            assert_close(&banded, &whole, 1e-14, &format!("{size}x{size}, {dilation} apart, {rows} rows"));
        }
    }
    Ok(())
}

/// The sizes at which a 24 megapixel picture meets the limits: bands count with the zeros around them.
#[test]
fn bands_stay_within_what_is_counted_to() {
    for (channels, height, width, padding) in [(128, 4000, 6000, 1), (32, 4000, 6000, 2), (128, 8192, 5464, 2)] {
        let row = channels * (width + 2 * padding);
        let rows = rows_within(MOST_OF_CUDNN, row, height, padding);
        let all = (height + 2 * padding) * row;
        assert_eq!(rows < height, all > MOST_OF_CUDNN, "{channels}x{height}x{width}");
        assert!(row * (rows + 2 * padding) <= MOST_OF_CUDNN && rows > 100, "{channels}x{height}x{width}: {rows}");
        assert_eq!(check_count(row, height + 2 * padding).is_err(), all > u32::MAX as usize);
    }
    assert_eq!(rows_within(1000, 2000, 50, 1), 1);
}

/// Unlike candle's, whose ReLU makes 0 of it.
#[test]
fn nan_stays() -> crate::Result<()> {
    let x = Tensor::new(&[[[[f32::NAN, -1.0, 1.0]]]], &Device::Cpu)?;
    let weight = Tensor::ones((1, 1, 1, 1), x.dtype(), &Device::Cpu)?;
    let options = Conv2dOptions { activation: Activation::Relu, ..Default::default() };
    let op = Conv2d { options, outputs: 1, size: 1, residual: false, scale: false };
    let inputs = Inputs { x: &x, weight: &weight, bias: None, scale: None, residual: None, packed: None };
    let y = conv2d(op, &inputs)?.flatten_all()?.to_vec1::<f32>()?;
    assert!(y[0].is_nan() && y[1..] == [0.0, 1.0], "{y:?}");
    Ok(())
}
