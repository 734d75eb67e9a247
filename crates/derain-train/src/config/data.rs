use std::path::PathBuf;

use derain_data::synthesis::RainRange;
use derain_metrics::Protocol;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::PairPlace;
use crate::{Error, Result};

/// Decoded pictures are kept in memory up to this, in megabytes, where the configuration does not say.
const CACHE_MB: usize = 1024;

/// What a network is trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a training has one")]
#[non_exhaustive]
pub enum DataConfig {
    /// Rainy and clean pictures on disk.
    Pairs(PairData),
    /// Clean photographs on which it rains anew in every epoch.
    Synthesized(SynthesizedData),
}

/// Rainy and clean pictures on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairData {
    /// Where the pairs lie, one place or more.
    pub paths: Vec<PairPlace>,
    /// Megabytes of decoded pictures that are kept for later epochs. Default 1024.
    pub cache_mb: usize,
}

/// Clean photographs on which it rains anew in every epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthesizedData {
    /// The folder of photographs, with those below it.
    pub clean: PathBuf,
    /// How many photographs, evenly chosen, are kept from training and make the validation set, unless that has pairs
    /// of its own. Default 0.
    pub held_out: usize,
    /// Share of pairs without rain, 0 to 1: what is clean must stay as it is. Default 0.05.
    pub rain_free: f64,
    /// Share of square crops that are turned by a quarter before it rains on them, 0 to 1: what lies in photographs
    /// then stands, and a network sees more upright lines that are no rain. Default 0.
    pub turned: f64,
    /// What the network is to give for a picture in rain and mist. Default [`Truth::Veiled`].
    pub truth: Truth,
    /// From where the rain is drawn.
    pub rain: RainRange,
    /// Megabytes of decoded photographs that are kept for later epochs. Default 1024.
    pub cache_mb: usize,
}

/// What the network is to give for a picture in rain and mist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// The picture without rain; mist (veil) and dimming stay, as in pairs made from videos.
    Veiled,
    /// The photograph.
    Clear,
}

impl Default for PairData {
    fn default() -> Self {
        Self { paths: Vec::new(), cache_mb: CACHE_MB }
    }
}

impl Default for SynthesizedData {
    fn default() -> Self {
        Self {
            clean: PathBuf::new(),
            held_out: 0,
            rain_free: 0.05,
            turned: 0.0,
            truth: Truth::Veiled,
            rain: RainRange::default(),
            cache_mb: CACHE_MB,
        }
    }
}

impl Default for DataConfig {
    /// No pairs.
    fn default() -> Self {
        Self::Pairs(PairData::default())
    }
}

impl DataConfig {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Pairs(data) if data.paths.is_empty() => {
                Err(Error::config("data.paths", "empty", "at least one list or folder of pairs"))
            }
            Self::Pairs(_) => Ok(()),
            Self::Synthesized(data) => data.check(),
        }
    }

    /// Drops what only says where pictures are and how they are kept.
    pub(super) fn forget_places(&mut self) {
        match self {
            Self::Pairs(data) => *data = PairData::default(),
            Self::Synthesized(data) => (data.clean, data.cache_mb) = (PathBuf::new(), CACHE_MB),
        }
    }
}

impl SynthesizedData {
    /// # Errors
    /// [`Error::Config`], or what [`RainRange::check`] says.
    pub(crate) fn check(&self) -> Result<()> {
        if self.clean.as_os_str().is_empty() {
            return Err(Error::config("data.clean", "not set", "a folder of photographs"));
        }
        for (key, share) in [("data.rain_free", self.rain_free), ("data.turned", self.turned)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::config(key, share, "from 0 to 1"));
            }
        }
        Ok(self.rain.check()?)
    }
}

/// What a network is scored by while it trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Where the pairs lie. Where there are none, photographs that `data.held_out` keeps from training are rained on,
    /// always alike. Pairs by which the best weights are chosen should not be those that results are reported on.
    pub pairs: Vec<PairPlace>,
    /// Steps between validations, 1 or more; one more follows the last step. Default 1000.
    pub interval: u64,
    /// Side of the square from the middle that is scored, in pixels: at least 11 (`rgb`, `y`) or 7 (`spanet`), the
    /// window of SSIM. Default none: whole pictures.
    pub size: Option<u32>,
    /// How pictures are scored: `rgb`, `y` or `spanet`. The best PSNR decides which weights are the best. Default
    /// `rgb`.
    #[serde(serialize_with = "write_protocol", deserialize_with = "read_protocol")]
    pub protocol: Protocol,
    /// How many of the pairs are shown as pictures. Default 4.
    pub samples: usize,
    /// Steps between such pictures, 1 or more. Default 1000.
    pub sample_interval: u64,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        let protocol = Protocol::Rgb;
        Self { pairs: Vec::new(), interval: 1000, size: None, protocol, samples: 4, sample_interval: 1000 }
    }
}

impl ValidationConfig {
    pub(super) fn check(&self, data: &DataConfig) -> Result<()> {
        for (key, value) in
            [("validation.interval", self.interval), ("validation.sample_interval", self.sample_interval)]
        {
            if value == 0 {
                return Err(Error::config(key, 0, "1 or more"));
            }
        }
        if self.size == Some(0) {
            return Err(Error::config("validation.size", 0, "1 or more"));
        }
        match data {
            DataConfig::Synthesized(data) if data.held_out > 0 && !self.pairs.is_empty() => {
                Err(Error::config("data.held_out", data.held_out, "0 where `validation.pairs` is set"))
            }
            _ => Ok(()),
        }
    }
}

fn write_protocol<S: Serializer>(protocol: &Protocol, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(protocol.name())
}

fn read_protocol<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Protocol, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
