//! The state of a training as one file.
//!
//! A safetensors file: `parameter.NAME`, `first.NAME` and `second.NAME` (Adam's moments), `average.NAME` where weights
//! are averaged, and in the metadata everything else. All randomness hangs on the seed and on places (epoch, sample),
//! so no generator's state is needed. The file is replaced as a whole: a kill or a full disk leaves the one before.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use derain_data::dataset::Position;
use derain_models::Error as ModelError;
use derain_models::weights::{WeightError, WeightFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The metadata's key.
const KEY: &str = "derain.training";

/// Of the form described above.
const VERSION: u32 = 1;

/// What is saved beside tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub version: u32,
    /// Steps done.
    pub step: u64,
    /// Where the next batch stands.
    pub position: Position,
    /// Whether the validation after the last step is still to be done, as the training was stopped first.
    #[serde(default)]
    pub validation_due: bool,
    /// The step of the last validation that scored all pairs.
    #[serde(default)]
    pub validated: Option<u64>,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Hash of the pairs and the protocol that it was scored by.
    #[serde(default)]
    pub best_on: String,
    /// What of the configuration decides the weights.
    pub config: Value,
    /// Hash of the training data's names and sizes.
    pub data: String,
}

/// The best validation so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    /// Steps done before.
    pub step: u64,
    /// Bits of its PSNR: decimals might come back as a neighbour.
    psnr: u64,
}

impl Best {
    pub(crate) fn new(step: u64, psnr: f64) -> Self {
        Self { step, psnr: psnr.to_bits() }
    }

    pub(crate) fn psnr(self) -> f64 {
        f64::from_bits(self.psnr)
    }
}

impl Progress {
    pub(crate) fn new(config: Value, data: String) -> Self {
        let position = Position::default();
        Self {
            version: VERSION,
            step: 0,
            position,
            validation_due: false,
            validated: None,
            best: None,
            best_on: String::new(),
            config,
            data,
        }
    }

    /// What was different when the training was begun, by key.
    pub(crate) fn differences(&self, config: &Value, data: &str) -> Vec<String> {
        let mut found = Vec::new();
        compare(String::new(), &self.config, config, &mut found);
        if found.is_empty() && self.data != data {
            found.push("the training pictures are others than then, by name or size".into());
        }
        found
    }
}

fn compare(key: String, then: &Value, now: &Value, found: &mut Vec<String>) {
    if let (Value::Object(then), Value::Object(now)) = (then, now) {
        let keys: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        for part in keys {
            let key = if key.is_empty() { part.clone() } else { format!("{key}.{part}") };
            compare(key, then.get(part).unwrap_or(&Value::Null), now.get(part).unwrap_or(&Value::Null), found);
        }
    } else if then != now {
        let shown = |value: &Value| if value.is_null() { "not set".into() } else { value.to_string() };
        // The length is compared where the schedule depends on it.
        let why = if key == "steps" || key == "epochs" { ", and rates of this schedule depend on it" } else { "" };
        found.push(format!("{key} was {} and is {} now{why}", shown(then), shown(now)));
    }
}

/// Named lists of tensors, all in the order of the parameters' names.
pub(crate) struct Tensors {
    pub parameters: Vec<Tensor>,
    /// Of trained parameters only.
    pub first: Vec<Tensor>,
    pub second: Vec<Tensor>,
    /// Empty where weights are not averaged.
    pub average: Vec<Tensor>,
}

/// A network's parameter names, and which of them are trained.
pub(crate) struct Names<'a> {
    pub all: &'a [String],
    pub trained: &'a [usize],
}

impl Names<'_> {
    fn parameters(&self) -> Vec<&String> {
        self.all.iter().collect()
    }

    fn trained(&self) -> Vec<&String> {
        self.trained.iter().map(|&index| &self.all[index]).collect()
    }
}

/// The file's bytes. They depend on nothing but the state.
pub(crate) fn to_bytes(progress: &Progress, names: &Names<'_>, tensors: &Tensors) -> Result<Vec<u8>> {
    let mut named = BTreeMap::new();
    let groups = [
        ("parameter", names.parameters(), &tensors.parameters),
        ("first", names.trained(), &tensors.first),
        ("second", names.trained(), &tensors.second),
        ("average", names.parameters(), &tensors.average),
    ];
    for (group, names, tensors) in groups {
        for (name, tensor) in names.into_iter().zip(tensors) {
            named.insert(format!("{group}.{name}"), tensor.to_device(&Device::Cpu)?);
        }
    }
    // The numbers are finite and the keys are text: this cannot fail, and if it does the error says so.
    let json = serde_json::to_string(progress).map_err(candle_core::Error::wrap)?;
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    Ok(safetensors::serialize(named, Some(metadata)).map_err(|error| ModelError::from(WeightError::from(error)))?)
}

/// A checkpoint that has been read, its tensors still by name.
pub(crate) struct Loaded {
    path: PathBuf,
    pub progress: Progress,
    file: WeightFile,
}

impl Loaded {
    /// # Errors
    /// [`Error::Checkpoint`] if it is damaged or of another version.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read(path, WeightFile::open(path))
    }

    /// The same from bytes, which are those of the file at `path` or would be.
    pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        Self::read(path, WeightFile::from_bytes(bytes))
    }

    fn read(path: &Path, file: std::result::Result<WeightFile, WeightError>) -> Result<Self> {
        let damaged = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
        let file = file.map_err(|error| damaged(error.to_string()))?;
        let json = file.metadata.get(KEY).ok_or_else(|| damaged("it holds no training".into()))?;
        let version = serde_json::from_str::<Value>(json).ok().and_then(|json| json.get("version")?.as_u64());
        if version != Some(VERSION.into()) {
            return Err(damaged(format!("version {VERSION} is needed")));
        }
        let progress = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { path: path.to_owned(), progress, file })
    }

    /// The tensors of a network with these names and shapes; the average if there is to be one.
    pub(crate) fn tensors(&self, names: &Names<'_>, like: &[Tensor], averaged: bool) -> Result<Tensors> {
        let device = like.first().map_or(&Device::Cpu, Tensor::device);
        let read = |group: &str, places: &mut dyn Iterator<Item = usize>| -> Result<Vec<Tensor>> {
            places
                .map(|place| {
                    let name = format!("{group}.{}", names.all[place]);
                    let damaged = |reason: String| Error::Checkpoint { path: self.path.clone(), reason };
                    let stored = self.file.tensors.get(&name).filter(|found| found.shape == like[place].dims());
                    let stored = stored.ok_or_else(|| damaged(format!("`{name}` is missing or has another shape")))?;
                    stored.to_candle(DType::F32, device).map_err(|error| damaged(error.to_string()))
                })
                .collect()
        };
        let all = || 0..names.all.len();
        Ok(Tensors {
            parameters: read("parameter", &mut all())?,
            first: read("first", &mut names.trained.iter().copied())?,
            second: read("second", &mut names.trained.iter().copied())?,
            average: if averaged { read("average", &mut all())? } else { Vec::new() },
        })
    }
}
