//! Pairs of rainy and clean pictures: reading them, augmenting them, batches made ahead, and building a data set from
//! rain videos.
//!
//! | item | does |
//! | --- | --- |
//! | [`PairList`] | which rainy picture goes with which clean one: list files, Rain100/200/800 folders, two folders, our own sets ([all of them](pairs)) |
//! | [`AugmentOptions`] | crops, scales and flips of a pair, chosen by (seed, epoch, sample) |
//! | [`PairSource`] | a [`SampleSource`] of pairs on disk |
//! | [`Loader`] | batches from any [`SampleSource`], made ahead by threads, equal for any number of them |
//! | [`build_dataset`] | a folder of rain videos to patches with train and test lists ([their layout](build)) |
//!
//! ```no_run
//! use derain_data::dataset::{Loader, LoaderOptions, PairList, PairSource, PairSourceOptions, Position};
//! # fn main() -> Result<(), derain_data::Error> {
//! let pairs = PairList::from_list_file("spa/real_world.txt", "spa")?;
//! let source = PairSource::new(pairs, PairSourceOptions::default())?;
//! let mut batches = Loader::start(source, &LoaderOptions::default(), Position::default())?;
//! let batch = batches.next_batch()?; // rainy and clean, [16, 3, 256, 256] each
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod build;
mod error;
pub mod loader;
mod pair_source;
pub mod pairs;
#[doc(hidden)]
pub mod random;
mod sample;

pub use augment::{AugmentOptions, Crop};
pub use build::{
    BuildEvent, BuildOptions, BuildReport, DatasetVideo, Format, Manifest, MovingScenes, PatchPlacement,
    RecordedVerdict, Resume, Split, build_dataset,
};
pub use error::DatasetError;
pub use loader::{Loader, LoaderOptions, Order, Remainder};
pub use pair_source::{PairSource, PairSourceOptions};
pub use pairs::{Half, Pair, PairList};
pub use sample::{Batch, Position, Sample, SampleSource};
