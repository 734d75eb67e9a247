//! Weight files: safetensors and PyTorch checkpoints (`.pth`, `.pt`), read without running
//! anything that they contain.
//!
//! A `.pth` file is a pickle, a program that Python runs to rebuild objects; an ordinary unpickler
//! hands a hostile one the whole machine. Here a restricted machine turns it into
//! plain values and refuses every function and class that torch's own state dicts do not need.
//! Any bytes give either tensors or a [`WeightError`]: no panic, no deep recursion, and beside the
//! file's own bytes less than 256 MiB of memory.
//!
//! | format | told by |
//! | --- | --- |
//! | safetensors | `{` as ninth byte, behind the header's length |
//! | torch 1.6 and later | a zip archive's `PK\x03\x04` |
//! | torch before 1.6 | a pickle, `\x80`, whose first value is torch's magic number |
//!
//! The extension is not looked at. Files up to [`MAX_FILE_BYTES`] are read.
//!
//! # Where the weights are
//! In a checkpoint the state dict lies under one of [`STATE_DICT_KEYS`], tried in order, or is the
//! top-level dict itself, or else is the only entry whose values are mostly tensors. What lies
//! beside it, such as the optimizer's state, is read past and reported by name in
//! [`WeightFile::ignored`]. `module.`, which `DataParallel` puts before every name, is removed
//! where all names have it.
//!
//! # Example
//! ```
//! use std::collections::BTreeMap;
//! use candle_core::{DType, Device};
//! use derain_models::weights::{ElementType, Format, WeightFile};
//!
//! let header = br#"{"bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}       "#;
//! let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
//! bytes.extend_from_slice(header);
//! bytes.extend([0.5_f32, -1.0].iter().flat_map(|value| value.to_le_bytes()));
//!
//! let file = WeightFile::parse(&bytes)?;
//! assert_eq!(file.format, Format::Safetensors);
//! let bias = &file.tensors["bias"];
//! assert_eq!((bias.dtype, bias.shape.as_slice()), (ElementType::F32, &[2][..]));
//! assert_eq!(bias.to_candle(DType::F64, &Device::Cpu)?.to_vec1::<f64>()?, [0.5, -1.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blend;
mod element_type;
mod error;
mod half;
mod limits;
mod pickle;
mod reader;
mod safetensors;
mod state_dict;
mod stored_zip;
mod tensor;
mod torch_legacy;
mod torch_zip;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use self::element_type::ElementType;
pub use self::error::WeightError;
pub(crate) use self::error::printable;
pub use self::limits::MAX_FILE_BYTES;
pub use self::state_dict::STATE_DICT_KEYS;
pub use self::tensor::WeightTensor;

/// Bytes from which the format is told.
const HEAD_BYTES: usize = 16;

/// The format of a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `safetensors`.
    Safetensors,
    /// A pickle followed by raw storages: torch before 1.6.
    TorchLegacy,
    /// A zip archive of a pickle and raw storages: torch 1.6 and later.
    TorchZip,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchLegacy => "torch checkpoint (legacy pickle)",
            Self::TorchZip => "torch checkpoint (zip)",
        })
    }
}

/// The named tensors of a weight file.
///
/// The tensors share the file's bytes, which stay in memory as long as one of them does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WeightFile {
    /// How the tensors were stored.
    pub format: Format,
    /// SHA-256 of the whole file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The `__metadata__` of a safetensors file; empty for the others.
    pub metadata: BTreeMap<String, String>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, WeightTensor>,
    /// The key under which a checkpoint held its state dict; `None` where it was the top level.
    pub found_under: Option<String>,
    /// Top-level keys of a checkpoint that were not read as weights, escaped, the first 64.
    pub ignored: Vec<String>,
}

impl WeightFile {
    /// Reads a weight file.
    ///
    /// # Errors
    /// Any [`WeightError`] but [`WeightError::Device`]. Files of another format or size are refused
    /// before they are read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightError> {
        let path = path.as_ref();
        let io = |source| WeightError::Io { path: path.to_owned(), source };
        // Before the file is opened, because opening a pipe waits for its other end.
        let about = std::fs::metadata(path).map_err(io)?;
        if !about.is_file() {
            return Err(WeightError::NotAFile { path: path.to_owned() });
        }
        let length = check_length(about.len())?;
        let mut file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut bytes).map_err(io)?;
        detect(&bytes)?;
        bytes
            .try_reserve_exact(length.saturating_sub(bytes.len()))
            .map_err(|_| WeightError::OutOfMemory { bytes: about.len() })?;
        let rest = about.len().saturating_sub(bytes.len() as u64);
        // A file that grows meanwhile is read to its former length.
        file.take(rest).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(bytes)
    }

    /// Reads a weight file from bytes, of which it makes a copy.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn parse(bytes: &[u8]) -> Result<Self, WeightError> {
        check_length(bytes.len() as u64)?;
        detect(bytes)?;
        Self::from_bytes(bytes.to_vec())
    }

    /// Reads a weight file from its bytes, which the tensors keep and share.
    ///
    /// # Errors
    /// Any [`WeightError`] but [`WeightError::Io`], [`WeightError::NotAFile`] and
    /// [`WeightError::Device`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WeightError> {
        check_length(bytes.len() as u64)?;
        let format = detect(&bytes)?;
        let buffer = Arc::new(bytes);
        let mut file = Self {
            format,
            sha256: String::new(),
            metadata: BTreeMap::new(),
            tensors: BTreeMap::new(),
            found_under: None,
            ignored: Vec::new(),
        };
        if format == Format::Safetensors {
            let contents = safetensors::read(&buffer)?;
            file.tensors = contents.tensors;
            file.metadata = contents.metadata;
        } else {
            let contents = match format {
                Format::TorchZip => torch_zip::read(&buffer)?,
                _ => torch_legacy::read(&buffer)?,
            };
            file.tensors = contents.tensors;
            file.found_under = contents.found_under;
            file.ignored = contents.ignored;
        }
        // Last, so that a refused file costs no pass over all of it.
        file.sha256 = hexadecimal(&Sha256::digest(buffer.as_slice()));
        Ok(file)
    }

    /// The tensors and metadata as a safetensors file, with every element unchanged.
    ///
    /// ```
    /// # use derain_models::weights::WeightFile;
    /// # let header = br#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    /// # let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    /// # bytes.extend_from_slice(header);
    /// # bytes.push(7);
    /// let file = WeightFile::parse(&bytes)?;
    /// let again = WeightFile::parse(&file.to_safetensors()?)?;
    /// assert_eq!(file.tensors["a"].bytes(), again.tensors["a"].bytes());
    /// # Ok::<(), derain_models::weights::WeightError>(())
    /// ```
    ///
    /// # Errors
    /// [`WeightError::OutOfMemory`]; [`WeightError::DuplicateName`] for a tensor named
    /// `__metadata__`, which the format reserves; [`WeightError::LimitExceeded`] where the names
    /// need a header of more than 8 MiB; [`WeightError::BadTensor`] where a tensor's shape was
    /// changed and no longer fits its bytes.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightError> {
        safetensors::write(&self.tensors, &self.metadata)
    }

    /// Number of elements in all tensors together.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.tensors.values().map(WeightTensor::element_count).sum()
    }
}

fn check_length(bytes: u64) -> Result<usize, WeightError> {
    usize::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_FILE_BYTES)
        .ok_or(WeightError::FileTooLarge { bytes, limit: MAX_FILE_BYTES })
}

/// Tells the format from a file's first bytes.
fn detect(bytes: &[u8]) -> Result<Format, WeightError> {
    match bytes {
        [b'P', b'K', 3, 4, ..] => Ok(Format::TorchZip),
        // Before the pickle: a header's length may start like one, torch's magic number has no `{`.
        [_, _, _, _, _, _, _, _, b'{', ..] => Ok(Format::Safetensors),
        [0x80, ..] => Ok(Format::TorchLegacy),
        _ => Err(WeightError::UnknownFormat {
            start: printable(&String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_BYTES)])),
        }),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
