//! Training of deraining networks: losses, optimizer, schedules, checkpoints, and a resume that ends bit-equal to an
//! unbroken run.
//!
//! | item | what | source |
//! | --- | --- | --- |
//! | [`TrainConfig`] | a training as a TOML file ([`config`]) | |
//! | [`Trainer`] | runs it, writes checkpoints, resumes | |
//! | [`Observer`] | what a training tells whoever watches it | |
//! | [`RunLog`] | JSON lines, TensorBoard's event files and sample pictures of a training | |
//! | [`l1`] | mean absolute difference | SPANet, section 4.3 |
//! | [`rain_mask`] | where the rainy and the clean picture differ | SPANet, section 4.3 |
//! | [`attention_loss`] | mean squared difference of attention map and mask | SPANet, section 4.3 |
//! | [`derain_ops::ssim()`] | mean structural similarity: both networks' loss, `1 - ssim` beside others or alone | both papers |
//! | [`Schedule`] | the learning rate over time | both papers |
//! | [`Adam`], [`MovingAverage`], [`global_norm`] | the optimizer and what belongs to it | |
//! | [`Ranks`] | processes that share a training ([how](ranks)); by MPI with the feature `mpi` | |
//! | [`SynthesizedRain`] | clean photographs in rain as training pairs | |
//! | [`to_tensors`], [`to_tensor`], [`to_pictures`] | batches and samples to tensors, tensors to pictures that are scored | |
//!
//! ```no_run
//! use derain_train::{TrainConfig, Trainer};
//! let config = TrainConfig::load("spanet_small.toml")?;
//! Trainer::new(config)?.run(&mut ())?;
//! # Ok::<(), derain_train::Error>(())
//! ```
//!
//! The parts serve without [`Trainer`] too, for a network of one's own, which here is a single convolution:
//!
//! ```no_run
//! use candle_core::{DType, Device, Tensor, Var};
//! use derain_data::dataset::{AugmentOptions, Loader, LoaderOptions, Position, Sample};
//! use derain_metrics::Protocol;
//! use derain_ops::{Conv2dOptions, SsimOptions, conv2d, ssim};
//! use derain_train::{Adam, AdamConfig, Result, SynthesizedData, SynthesizedRain, l1};
//! use derain_train::{to_pictures, to_tensor, to_tensors};
//!
//! let data = SynthesizedData { clean: "photos".into(), held_out: 16, ..SynthesizedData::default() };
//! let source = SynthesizedRain::new(&data, &AugmentOptions::spanet(), 1)?;
//! let mut batches = Loader::start(source, &LoaderOptions::default(), Position::default())?;
//!
//! let device = Device::Cpu;
//! let parameters = [Var::zeros((3, 3, 3, 3), DType::F32, &device)?, Var::zeros(3, DType::F32, &device)?];
//! let [weight, bias] = parameters.each_ref().map(Var::as_tensor);
//! let network =
//!     |x: &Tensor| -> Result<Tensor> { Ok((x + conv2d(x, weight, Some(bias), &Conv2dOptions::default())?)?) };
//!
//! let mut adam = Adam::new(&AdamConfig::default(), &parameters)?;
//! for t in 1..=1000 {
//!     let [rainy, clean] = to_tensors(&batches.next_batch()?, &device)?;
//!     let output = network(&rainy)?;
//!     let similarity = ssim(&output, &clean, &SsimOptions::default())?;
//!     let loss = (l1(&output, &clean)? + (1.0 - similarity)?)?;
//!     let store = loss.backward()?;
//!     // In the parameters' order. One that the loss does not reach has no gradient.
//!     let gradient =
//!         |parameter: &Var| store.get(parameter).map_or_else(|| parameter.zeros_like(), |found| Ok(found.clone()));
//!     let gradients = parameters.iter().map(gradient).collect::<candle_core::Result<Vec<_>>>()?;
//!     adam.step(&parameters, &gradients, t, 1e-3, 1.0)?;
//! }
//!
//! for pair in batches.source().validation_pairs(Some(256)) {
//!     let (rainy, clean) = pair?;
//!     let Sample { rainy, height, width, .. } = Sample::from_pictures(&rainy, &clean)?;
//!     for output in to_pictures(&network(&to_tensor(&rainy, [height, width], &device)?)?)? {
//!         println!("{:.2} dB", Protocol::Rgb.score(&output, &clean)?.psnr);
//!     }
//! }
//! # Ok::<(), derain_train::Error>(())
//! ```
#![forbid(unsafe_code)]

mod checkpoint;
pub mod config;
mod data;
mod error;
mod folder;
pub mod log;
mod losses;
mod micro_batch;
mod model;
mod observer;
mod optimizer;
mod planes;
pub mod ranks;
mod schedule;
mod trainer;
mod validation;

pub use config::{
    DataConfig, LossConfig, NetworkConfig, PairData, PairPlace, SynthesizedData, TrainConfig, Truth, ValidationConfig,
};
pub use data::SynthesizedRain;
pub use error::{Error, Result};
pub use log::{LogOptions, RunLog, plot_curves, read_log};
pub use losses::{attention_loss, l1, rain_mask};
pub use observer::{
    Losses, Observed, Observer, SamplePictures, Started, StepRecord, ValidationRecord, Written, WrittenKind,
};
pub use optimizer::{Adam, AdamConfig, MovingAverage, global_norm};
pub use planes::{to_pictures, to_tensor, to_tensors};
#[cfg(feature = "mpi")]
pub use ranks::Mpi;
pub use ranks::{Alone, Ranks, agree};
pub use schedule::{Moment, Schedule};
pub use trainer::{Outcome, StopHandle, Trainer};
