//! Where training and validation pairs come from.

mod check;
mod synthesized;
mod validation;

use std::path::Path;

use derain_data::dataset::{Half, Pair, PairList, PairSource, PairSourceOptions, Sample, SampleSource};
use derain_data::hex::hex;
use derain_data::{Error as DataError, LoadOptions};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub(crate) use check::check_pictures;
pub use synthesized::SynthesizedRain;
pub(crate) use validation::ValidationPairs;

use crate::{DataConfig, Error, PairPlace, Result, TrainConfig};

/// Bytes of a megabyte.
const MB: usize = 1_000_000;

/// Training pairs of any kind.
#[expect(clippy::large_enum_variant, reason = "a training has one")]
pub(crate) enum Source {
    Pairs(PairSource),
    Synthesized(SynthesizedRain),
}

impl SampleSource for Source {
    fn len(&self) -> usize {
        match self {
            Self::Pairs(source) => source.len(),
            Self::Synthesized(source) => source.len(),
        }
    }

    fn sample(&self, epoch: u64, index: usize) -> std::result::Result<Sample, DataError> {
        match self {
            Self::Pairs(source) => source.sample(epoch, index),
            Self::Synthesized(source) => source.sample(epoch, index),
        }
    }
}

/// The source that a configuration asks for, and a hash of what is in it: names and lengths of the files, wherever they
/// lie.
pub(crate) fn training_source(config: &TrainConfig) -> Result<(Source, String)> {
    match &config.data {
        DataConfig::Pairs(data) => {
            let list = pair_list(&data.paths)?;
            let hash = fingerprint(list.pairs().iter().flat_map(files))?;
            let options = PairSourceOptions {
                augment: config.augment.clone(),
                seed: config.seed,
                cache_bytes: data.cache_mb.saturating_mul(MB),
                load: LoadOptions::default(),
            };
            Ok((Source::Pairs(PairSource::new(list, options)?), hash))
        }
        DataConfig::Synthesized(data) => {
            let source = SynthesizedRain::new(data, &config.augment, config.seed)?;
            let hash = fingerprint(source.pictures().iter().map(|picture| (picture.as_path(), "")))?;
            Ok((Source::Synthesized(source), hash))
        }
    }
}

/// The pairs of several places, one after the other.
fn pair_list(places: &[PairPlace]) -> Result<PairList> {
    let mut pairs = Vec::new();
    for place in places {
        pairs.extend_from_slice(place.read()?.pairs());
    }
    Ok(PairList::new(pairs, "the configuration")?)
}

/// The files of a pair, with which half is rainy where a picture holds both.
fn files(pair: &Pair) -> Vec<(&Path, &'static str)> {
    match pair {
        Pair::Files { rainy, clean } => vec![(rainy, ""), (clean, "")],
        Pair::SideBySide { picture, rainy: Half::Left } => vec![(picture, "left")],
        Pair::SideBySide { picture, rainy: Half::Right } => vec![(picture, "right")],
    }
}

/// SHA-256 of the files' names and lengths and what else is said of them, in order.
fn fingerprint<'a>(files: impl Iterator<Item = (&'a Path, &'static str)>) -> Result<String> {
    let files: Vec<_> = files.collect();
    // Asked side by side: over a network a million lengths take minutes one by one.
    let length = |&(file, _): &(&Path, _)| Ok(file.metadata().map_err(Error::io("read", file))?.len());
    let lengths = files.par_iter().map(length).collect::<Result<Vec<u64>>>()?;
    let mut hash = Sha256::new();
    for ((file, said), length) in files.into_iter().zip(lengths) {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(length.to_le_bytes());
        hash.update(said);
    }
    Ok(hex(&hash.finalize()))
}
