//! Operations one by one: results and all gradients.

use std::slice::from_ref;

use candle_core::{DType, Device, Tensor, Var};
use derain::ops::{
    Activation, Conv2dOptions, RlcnOptions, SsimOptions, Upsampling, batch_norm_eval, batch_norm_train, conv2d,
    conv2d_residual, instance_norm, irnn, irnn_directional, lstm_gates, max_pool2d, rlcn, ssim, upsample2x,
};

use crate::support::{Noise, each_way_to_convolve, error, gpu};

/// (type, tolerance of results, of gradients), relative to the largest value.
const TOLERANCES: [(DType, f64, f64); 2] = [(DType::F32, 1e-5, 1e-4), (DType::F64, 1e-12, 1e-11)];

/// An input's shape and range of values.
type Input = (Vec<usize>, (f64, f64));

fn within(shape: &[usize], low: f64, high: f64) -> Input {
    (shape.to_vec(), (low, high))
}

/// Compares an operation's result and its gradients for all inputs.
fn compare(name: &str, inputs: &[Input], operation: impl Fn(&[Tensor]) -> derain::ops::Result<Tensor>) {
    let Some(gpu) = gpu() else { return };
    for (dtype, forward, backward) in TOLERANCES {
        let mut noise = Noise::new(41);
        let values: Vec<Tensor> = inputs.iter().map(|(shape, range)| noise.tensor(shape, *range, dtype)).collect();
        let mut weights = None;
        let mut run = |device: &Device| {
            let variables: Vec<Var> =
                values.iter().map(|value| Var::from_tensor(&value.to_device(device).unwrap()).unwrap()).collect();
            let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
            let y = operation(&tensors).unwrap_or_else(|error| panic!("{name} on {:?}: {error:?}", device.location()));
            let weights = weights.get_or_insert_with(|| noise.tensor(y.dims(), (-1.0, 1.0), dtype)).to_device(device);
            let gradients = (&y * weights.unwrap()).unwrap().sum_all().unwrap().backward();
            let gradients = gradients.unwrap_or_else(|error| panic!("{name} on {:?}: {error:?}", device.location()));
            let of_inputs: Vec<Tensor> = tensors.iter().map(|input| gradients.get(input).unwrap().clone()).collect();
            (y, of_inputs)
        };
        let (expected, expected_gradients) = run(&Device::Cpu);
        let (got, gradients) = run(&gpu);
        let worst = error(&got, &expected);
        assert!(worst <= forward, "{name} {dtype:?}: {worst:e}");
        for (input, (got, expected)) in gradients.iter().zip(&expected_gradients).enumerate() {
            let worst = error(got, expected);
            assert!(worst <= backward, "{name} {dtype:?}, gradient for input {input}: {worst:e}");
        }
        let (again, gradients_again) = run(&gpu);
        let same = |a: &Tensor, b: &Tensor| error(a, b) == 0.0;
        assert!(same(&again, &got), "{name} {dtype:?}: two runs differ");
        assert!(
            gradients_again.iter().zip(&gradients).all(|(again, got)| same(again, got)),
            "{name} {dtype:?}: gradients of two runs differ"
        );
    }
}

/// Around the kernels' strips of 32 lines and chunks of 128 positions; more than waits in shared memory.
const SIZES: [[usize; 4]; 8] = [
    [1, 1, 1, 1],
    [2, 3, 1, 33],
    [1, 2, 31, 32],
    [2, 2, 33, 129],
    [1, 4, 130, 64],
    [3, 2, 5, 300],
    [1, 2, 520, 40],
    [1, 1, 2, 2100],
];

#[test]
fn scans() {
    for size in SIZES {
        let [batch, channels, height, width] = size;
        let coefficients = [within(&[4, channels], -0.9, 0.9), within(&[4, channels], -0.3, 0.5)];
        let x = within(&size, -1.0, 1.0);
        compare(&format!("irnn {size:?}"), &[from_ref(&x), &coefficients[..]].concat(), |t| irnn(&t[0], &t[1], &t[2]));
        let maps = within(&[batch, 4, height, width], 0.0, 1.0);
        let inputs = [&[x], &coefficients[..], &[maps]].concat();
        compare(&format!("irnn_directional {size:?}"), &inputs, |t| irnn_directional(&t[0], &t[1], &t[2], &t[3]));
        // Strided: x lies transposed in memory.
        let turned = within(&[batch, channels, width, height], -1.0, 1.0);
        compare(&format!("irnn strided {size:?}"), &[&[turned], &coefficients[..]].concat(), |t| {
            irnn(&t[0].transpose(2, 3)?, &t[1], &t[2])
        });
    }
}

#[test]
fn convolutions() {
    for (batch, channels, outputs, size, dilation) in
        [(1, 3, 8, 3, 1), (2, 16, 16, 1, 1), (2, 16, 12, 3, 2), (1, 32, 32, 3, 1), (1, 128, 32, 3, 1)]
    {
        let [height, width] = [21, 34];
        let name = format!("{batch}x{channels} -> {outputs}, {size}x{size}, {dilation} apart");
        let options = Conv2dOptions { dilation, activation: Activation::Relu };
        let inputs = [
            within(&[batch, channels, height, width], -1.0, 1.0),
            within(&[outputs, channels, size, size], -0.3, 0.3),
            within(&[outputs], -0.5, 0.5),
            within(&[batch, 1, height, width], 0.0, 1.0),
            within(&[batch, outputs, height, width], -1.0, 1.0),
        ];
        each_way_to_convolve(|way| {
            compare(&format!("conv2d {name}, {way}"), &inputs[..3], |t| conv2d(&t[0], &t[1], Some(&t[2]), &options));
            compare(&format!("conv2d_residual {name}, {way}"), &inputs, |t| {
                conv2d_residual(&t[0], &t[1], Some(&t[2]), Some(&t[3]), &t[4], &options)
            });
        });
    }
}

#[test]
fn normalizations() {
    let x = within(&[3, 5, 17, 20], -1.0, 2.0);
    let [gamma, beta] = [within(&[5], 0.5, 1.5), within(&[5], -0.5, 0.5)];
    compare("batch_norm_train", &[x.clone(), gamma.clone(), beta.clone()], |t| {
        Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-5, Activation::Relu)?.y)
    });
    compare("batch_norm_eval", &[x.clone(), gamma, beta], |t| {
        let mean = t[0].detach().mean((0, 2, 3))?;
        batch_norm_eval(&t[0], &t[1], &t[2], &mean, &mean.affine(0.0, 0.7)?, 1e-5)
    });
    compare("instance_norm", &[x], |t| instance_norm(&t[0], 1e-5, Activation::Relu));
}

#[test]
fn steps_down_and_up() {
    let x = within(&[2, 3, 18, 34], -1.0, 1.0);
    compare("max_pool2d", from_ref(&x), |t| max_pool2d(&t[0]));
    for mode in [Upsampling::Nearest, Upsampling::Bilinear] {
        compare(&format!("upsample2x {mode:?}"), from_ref(&x), |t| upsample2x(&t[0], mode));
    }
}

#[test]
fn gates() {
    let inputs = [within(&[2, 12, 9, 33], -3.0, 3.0), within(&[2, 3, 9, 33], -1.0, 1.0)];
    compare("lstm_gates", &inputs, |t| {
        let state = lstm_gates(&t[0], &t[1])?;
        Ok(Tensor::cat(&[state.hidden, state.cell], 1)?)
    });
}

#[test]
fn contrast_and_similarity() {
    let [x, y] = [within(&[2, 3, 40, 37], 0.0, 1.0), within(&[2, 3, 40, 37], 0.0, 1.0)];
    for window in [3, 9] {
        let options = RlcnOptions { window, ..RlcnOptions::default() };
        compare(&format!("rlcn {window}"), from_ref(&x), |t| rlcn(&t[0], &options));
    }
    compare("ssim", &[x, y], |t| ssim(&t[0], &t[1], &SsimOptions::default()));
}

/// A call that cannot be served says which and where.
#[test]
fn what_is_refused_names_the_operation_and_the_device() {
    let Some(gpu) = gpu() else { return };
    let x = Tensor::zeros((1, 2, 3, 4), DType::F32, &gpu).unwrap();
    let elsewhere = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
    let error = irnn(&x, &elsewhere, &elsewhere).unwrap_err().to_string();
    assert!(error.contains("irnn"), "{error}");
    // A tebibyte of copies of one value.
    let long = Tensor::zeros((1, 1, 1, 1), DType::F32, &gpu).unwrap().broadcast_as((1, 1 << 22, 256, 256)).unwrap();
    let error = derain::ops::Error::from(long.contiguous().unwrap_err());
    assert!(derain::ops::device::is_out_of_memory(&error), "{error}");
}
