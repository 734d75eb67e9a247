//! Training of deraining networks: losses, optimizer, schedules, checkpoints, and a resume that ends bit-equal to an unbroken run.
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
//! | [`Schedule`], [`StepSchedule`] | the learning rate over time | both papers |
//! | [`Adam`], [`MovingAverage`], [`global_norm`] | the optimizer and what belongs to it | |
//! | [`Ranks`] | processes that share a training ([how](ranks)); by MPI with the feature `mpi` | |
//! | [`SynthesizedRain`] | clean photographs in rain as training pairs | |
//!
//! ```no_run
//! use derain_train::{TrainConfig, Trainer};
//! let config = TrainConfig::load("spanet_small.toml")?;
//! Trainer::new(config)?.run(&mut ())?;
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
#[cfg(feature = "mpi")]
pub use ranks::Mpi;
pub use ranks::{Alone, Ranks, agree};
pub use schedule::{Moment, Schedule, StepSchedule};
pub use trainer::{Outcome, StopHandle, Trainer};
