//! Operations and networks on a GPU: each beside a copy of as many bytes as it must move, with the device idle before
//! and after.
//!
//! ```text
//! benches/gpu/run                          # tests, then this, then PyTorch's figures where it is installed
//! cargo bench --features cuda --bench gpu  # this alone
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints"
)]

mod restart;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hint::black_box;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use derain::models::weights::WeightFile;
use derain::models::{RraNet, SpaNet};
use derain::ops::update::{AdamStep, AdamTensors, adam, approach, sums_of_squares};
use derain::ops::{
    Activation, Conv2dOptions, Planes, RlcnOptions, conv2d, irnn, irnn_directional, max_pool2d, rlcn, upsample2x,
};
use derain::{Network, Placement, Precision};
use restart::Restart;
use serde::de::DeserializeOwned;
use support::{Contender, Work, pattern, side_by_side};

const ROUNDS: usize = 21;

/// What convolves where kernels of ours do not.
const BY_OTHERS: &str = if cfg!(feature = "cudnn") { "conv2d 3x3, cuDNN" } else { "conv2d 3x3, columns" };

/// Pictures of SPANet's features: what training crops and larger ones, a large photograph's and a film's frames give.
const SIZES: [Planes; 4] = [
    Planes { batch: 16, channels: 32, height: 64, width: 64 },
    Planes { batch: 16, channels: 32, height: 256, width: 256 },
    Planes { batch: 1, channels: 32, height: 512, width: 512 },
    Planes { batch: 1, channels: 32, height: 1080, width: 1920 },
];

/// RRANet's features of a picture at its first and its last scale, and those of a training crop.
const CONVOLUTIONS: [(Planes, &[DType]); 4] = [
    (Planes { batch: 1, channels: 16, height: 512, width: 512 }, &[DType::F32, DType::BF16]),
    (Planes { batch: 1, channels: 32, height: 1024, width: 1024 }, &[DType::BF16]),
    (Planes { batch: 1, channels: 128, height: 64, width: 64 }, &[DType::F32, DType::BF16]),
    (Planes { batch: 16, channels: 128, height: 8, width: 8 }, &[DType::F32]),
];

/// What a call takes until the device is idle again.
struct Bench {
    device: Device,
}

impl Bench {
    fn run<'a, T, E: Debug>(&'a self, f: impl Fn() -> Result<T, E> + 'a) -> Box<dyn FnMut() + 'a> {
        Box::new(move || {
            drop(black_box(f().expect("runs")));
            self.device.synchronize().expect("no launch failed");
        })
    }

    /// The same with convolutions by kernels of ours, or by cuDNN or candle's columns and products.
    fn run_by<'a, T, E: Debug>(&'a self, ours: bool, f: impl Fn() -> Result<T, E> + 'a) -> Box<dyn FnMut() + 'a> {
        let mut run = self.run(f);
        Box::new(move || {
            conv2d::set_direct(ours);
            run();
            conv2d::set_direct(!cfg!(feature = "cudnn"));
        })
    }

    /// A network's result, its squared error and all gradients of that.
    fn step<'a>(
        &'a self,
        clean: impl Fn() -> derain::models::Result<Tensor> + 'a,
        truth: &'a Tensor,
    ) -> Box<dyn FnMut() + 'a> {
        self.run(move || -> derain::models::Result<_> { Ok((clean()? - truth)?.sqr()?.mean_all()?.backward()?) })
    }

    /// Copying half as many bytes reads and writes that many.
    fn copy(&self, bytes: f64) -> Box<dyn FnMut() + '_> {
        let source = Tensor::zeros((bytes / 8.0) as usize, DType::F32, &self.device).expect("memory");
        self.run(move || source.copy())
    }

    fn tensor(&self, shape: &[usize], shift: f64) -> Tensor {
        let values = Tensor::from_vec(pattern(shape.iter().product()), shape, &self.device).expect("memory");
        (values + shift).expect("a sum")
    }
}

/// Bytes of f32 planes that must be moved for each element of x, and operations.
fn work(planes: Planes, planes_moved: f64, operations: f64) -> Work {
    Work { bytes: planes.len() as f64 * 4.0 * planes_moved, flops: planes.len() as f64 * operations }
}

fn scans(bench: &Bench, planes: Planes) -> derain::ops::Result<()> {
    let Planes { batch, channels, height, width } = planes;
    let x = bench.tensor(&[batch, channels, height, width], -0.5);
    let [weights, biases] = [0.2f32, 0.1].map(|value| Tensor::full(value, (4, channels), &bench.device));
    let (weights, biases) = (weights?, biases?);
    let maps = bench.tensor(&[batch, 4, height, width], 0.0);
    let forward = work(planes, 5.0, 16.0);
    let mut contenders: Vec<Contender<'_>> = vec![
        ("copy of as many bytes", bench.copy(forward.bytes)),
        ("irnn", bench.run(|| irnn(&x, &weights, &biases))),
        ("irnn_directional", bench.run(|| irnn_directional(&x, &weights, &biases, &maps))),
    ];
    if batch == 1 {
        let restart = || x.apply_op1_no_bwd(&Restart { weight: 0.2, bias: 0.1 });
        let apart = (restart()? - irnn(&x, &weights, &biases)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-5, "the released algorithm differs by {apart}");
        contenders.push(("restart from the border (release)", bench.run(restart)));
    }
    side_by_side(&format!("IRNN forward {batch}x{channels}x{height}x{width}"), forward, ROUNDS, contenders);

    // Gradients read h and the incoming gradient in four directions and write one plane: the operation's own kernels,
    // as candle's backward pass of a sum would first make that gradient. With maps h is computed once more, and it and
    // the gradient are read once more for those of the maps.
    let backward = work(planes, 9.0, 24.0);
    let h = irnn(&x, &weights, &biases)?;
    let grad = bench.tensor(h.dims(), -0.5);
    let coefficients = Tensor::stack(&[&weights, &biases], 0)?;
    let contenders: Vec<Contender<'_>> = vec![
        ("copy of as many bytes", bench.copy(backward.bytes)),
        ("irnn", bench.run(|| irnn::gradients(&x, &weights, &biases, &h, &grad))),
        ("irnn_directional", bench.run(|| irnn::gradients_directional(&x, &coefficients, &maps, &grad))),
    ];
    side_by_side(&format!("IRNN backward {batch}x{channels}x{height}x{width}"), backward, ROUNDS, contenders);
    Ok(())
}

/// A 3x3 convolution of as many channels as it reads, and in f32, in which networks are trained, its gradients.
fn convolutions(bench: &Bench, planes: Planes, dtype: DType, dilation: usize) -> derain::ops::Result<()> {
    let Planes { batch, channels, height, width } = planes;
    let x = bench.tensor(&[batch, channels, height, width], -0.5).to_dtype(dtype)?;
    let weight = bench.tensor(&[channels, channels, 3, 3], -0.5).to_dtype(dtype)?;
    let options = Conv2dOptions { dilation, activation: Activation::Relu };
    let name = format!("{batch}x{channels}x{height}x{width}, {}, {dilation} apart", dtype.as_str());
    let of_f32 = dtype.size_in_bytes() as f64 / 4.0;
    let forward = work(planes, 2.0 * of_f32, 18.0 * channels as f64);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy of as many bytes", bench.copy(forward.bytes)),
        (BY_OTHERS, bench.run_by(false, || conv2d(&x, &weight, None, &options))),
        ("conv2d 3x3, ours", bench.run_by(true, || conv2d(&x, &weight, None, &options))),
    ];
    side_by_side(&format!("Convolution {name}"), forward, ROUNDS, contenders);
    if dtype != DType::F32 {
        return Ok(());
    }
    // They read x, the results and their gradient and write that for x; products are twice as many.
    let backward = work(planes, 4.0, 36.0 * channels as f64);
    let (var, var_weight) = (Var::from_tensor(&x)?, Var::from_tensor(&weight)?);
    let y = conv2d(&x, &weight, None, &options)?;
    let grad = bench.tensor(y.dims(), -0.5);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy of as many bytes", bench.copy(backward.bytes)),
        (BY_OTHERS, bench.run_by(false, || conv2d::gradients(&var, &var_weight, &y, &grad, &options))),
        ("conv2d 3x3, ours", bench.run_by(true, || conv2d::gradients(&var, &var_weight, &y, &grad, &options))),
    ];
    side_by_side(&format!("Convolution's gradients {name}"), backward, ROUNDS, contenders);
    Ok(())
}

/// What follows the gradients in each step of a training, over tensors as many and as large as RRANet's.
fn updates(bench: &Bench) -> derain::ops::Result<()> {
    let tensors: Vec<[Tensor; 4]> =
        (0..200).map(|_| [0.1, 0.2, 0.3, 0.4].map(|shift| bench.tensor(&[10_000], shift))).collect();
    let of_adam: Vec<AdamTensors<'_>> = tensors
        .iter()
        .map(|[parameter, gradient, first, second]| AdamTensors { parameter, gradient, first, second })
        .collect();
    let step = AdamStep { betas: [0.9, 0.999], scale: 1.0, step: 1e-9, root: 1.0, epsilon: 1e-8, kept: 1.0 };
    let gradients: Vec<Tensor> = tensors.iter().map(|[_, gradient, ..]| gradient.clone()).collect();
    let moved =
        |tensors_moved: f64, operations: f64| Work { bytes: 4.0 * 2e6 * tensors_moved, flops: 2e6 * operations };
    let approached = || tensors.iter().try_for_each(|[to, _, _, average]| approach(average, to, 1e-9));
    let compare = |work: Work, update: Contender<'_>| {
        let contenders = vec![("copy of as many bytes, in one", bench.copy(work.bytes)), update];
        side_by_side("Updates of 200 tensors of 10,000", work, ROUNDS, contenders);
    };
    compare(moved(7.0, 12.0), ("adam", bench.run(|| adam(&of_adam, &step))));
    compare(moved(3.0, 3.0), ("approach", bench.run(approached)));
    compare(moved(1.0, 2.0), ("sums_of_squares", bench.run(|| sums_of_squares(&gradients))));
    Ok(())
}

fn layers(bench: &Bench, planes: Planes) -> derain::ops::Result<()> {
    let Planes { batch, channels, height, width } = planes;
    let x = bench.tensor(&[batch, channels, height, width], -0.5);
    let name = |what: &str| format!("{what} {batch}x{channels}x{height}x{width}");
    let moved = |planes_moved, operations| work(planes, planes_moved, operations);

    let pooling = moved(1.25, 0.75);
    let contenders: Vec<Contender<'_>> =
        vec![("copy of as many bytes", bench.copy(pooling.bytes)), ("max_pool2d", bench.run(|| max_pool2d(&x)))];
    side_by_side(&name("Pooling"), pooling, ROUNDS, contenders);

    let upsampling = moved(5.0, 0.0);
    let nearest = || upsample2x(&x, derain::ops::Upsampling::Nearest);
    let contenders: Vec<Contender<'_>> =
        vec![("copy of as many bytes", bench.copy(upsampling.bytes)), ("upsample2x", bench.run(nearest))];
    side_by_side(&name("Upsampling"), upsampling, ROUNDS, contenders);

    let picture = Planes { channels: 3, ..planes };
    let colours = bench.tensor(&[batch, 3, height, width], 0.0);
    let contrast = work(picture, 2.0, 30.0);
    let contenders: Vec<Contender<'_>> = vec![
        ("copy of as many bytes", bench.copy(contrast.bytes)),
        ("rlcn", bench.run(|| rlcn(&colours, &RlcnOptions::default()))),
    ];
    side_by_side(&format!("RLCN {batch}x3x{height}x{width}"), contrast, ROUNDS, contenders);
    Ok(())
}

/// The shipped networks: forward in each precision, and the forward and backward pass of a training step in f32.
fn networks(bench: &Bench) -> Result<(), Box<dyn std::error::Error>> {
    let spanet = WeightFile::parse(Network::SpaNet.pretrained_file())?;
    let rranet = WeightFile::parse(Network::RraNet.pretrained_file())?;
    let placed = |precision| Placement::new(&bench.device, precision);
    for side in [512, 1024] {
        let pictures = bench.tensor(&[1, 3, side, side], 0.0);
        let spanets = each_precision(|precision| SpaNet::from_file(&spanet, placed(precision)))?;
        let forward = spanets.iter().map(|(label, network)| (*label, bench.run(|| network.forward(&pictures))));
        side_by_side(&format!("SPANet forward 1x3x{side}x{side}"), Work::default(), 11, forward.collect());
        // As `Derainer` does it: norms become part of the convolutions once.
        let rranets = each_precision(|precision| RraNet::from_file(&rranet, placed(precision))?.without_norms())?;
        let forward = rranets.iter().map(|(label, network)| (*label, bench.run(|| network.forward(&pictures))));
        side_by_side(&format!("RRANet forward 1x3x{side}x{side}"), Work::default(), 11, forward.collect());
    }
    let [pictures, truth] = [0.0, 0.1].map(|shift| bench.tensor(&[16, 3, 64, 64], shift));
    let (of_spanet, spanet) = variables(&spanet, &bench.device)?;
    let (of_rranet, rranet) = variables(&rranet, &bench.device)?;
    let (spanet, rranet) = (SpaNet::new(&of_spanet, spanet)?, RraNet::new(&of_rranet, rranet)?);
    let contenders: Vec<Contender<'_>> = vec![
        ("SPANet", bench.step(|| Ok(spanet.forward(&pictures)?.clean), &truth)),
        ("RRANet", bench.step(|| Ok(rranet.forward_train(&pictures)?.output.clean), &truth)),
    ];
    side_by_side("Forward and backward, 16x3x64x64, f32", Work::default(), 11, contenders);
    Ok(())
}

fn each_precision<N>(
    network: impl Fn(Precision) -> derain::models::Result<N>,
) -> derain::models::Result<Vec<(&'static str, N)>> {
    Precision::ALL.iter().map(|&precision| Ok((precision.name(), network(precision)?))).collect()
}

/// A file's configuration, and its tensors as variables on a device.
fn variables<C: DeserializeOwned>(
    file: &WeightFile,
    device: &Device,
) -> Result<(C, VarBuilder<'static>), Box<dyn std::error::Error>> {
    let config = serde_json::from_str(file.metadata.values().next().ok_or("no configuration")?)?;
    let mut tensors = HashMap::new();
    for (name, tensor) in &file.tensors {
        let variable = Var::from_tensor(&tensor.to_candle(DType::F32, device)?)?;
        tensors.insert(name.clone(), variable.into_inner());
    }
    Ok((config, VarBuilder::from_tensors(tensors, DType::F32, device)))
}

/// The networks with what the build convolves by, and where that is cuDNN, by kernels of ours.
fn networks_both_ways(bench: &Bench, how: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("\n# Networks, {how}");
    networks(bench)?;
    if cfg!(feature = "cudnn") {
        println!("\n# Networks, {how}, convolutions by kernels of ours");
        conv2d::set_direct(true);
        networks(bench)?;
        conv2d::set_direct(false);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bench = Bench { device: derain::ops::device::cuda(0)? };
    for planes in SIZES {
        scans(&bench, planes)?;
        convolutions(&bench, planes, DType::F32, 2)?;
        layers(&bench, planes)?;
    }
    for (planes, dtypes) in CONVOLUTIONS {
        for &dtype in dtypes {
            convolutions(&bench, planes, dtype, 1)?;
        }
    }
    updates(&bench)?;
    networks_both_ways(&bench, "an event left by each use of a tensor")?;
    // SAFETY: this is the only device of this program, and nothing here makes streams.
    let alone = Bench { device: unsafe { derain::ops::device::cuda_alone(0) }? };
    networks_both_ways(&alone, "on a device used alone, as the examples do")
}
