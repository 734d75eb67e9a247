//! What can be wrong with a weight file.

use std::error::Error as StdError;
use std::path::PathBuf;

use derain_ops::one_line::without_backtrace;

/// Why a weight file was refused.
///
/// Text that comes from the file is escaped and cut before it enters a message, so that messages
/// are safe to print on a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightError {
    /// The file system refused.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder, pipe or device instead of a file.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    #[error("the weight file has {bytes} bytes, more than the {limit} that are read")]
    FileTooLarge {
        /// The file's size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The machine has no room for the file's bytes.
    #[error("no memory for the {bytes} bytes of the weight file")]
    OutOfMemory {
        /// The file's size.
        bytes: u64,
    },
    /// Neither safetensors nor a torch checkpoint.
    #[error(
        "not a weight file: it starts with \"{start}\"; expected safetensors or a checkpoint that torch.save wrote"
    )]
    UnknownFormat {
        /// The first bytes, escaped.
        start: String,
    },
    /// The file ends too early.
    #[error("the file is truncated: {what} at byte {offset} needs {wanted} bytes, {left} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where, from the start of the file or zip member.
        offset: usize,
        /// Bytes needed.
        wanted: u64,
        /// Bytes there.
        left: usize,
    },
    /// The bytes contradict their format.
    #[error("malformed at byte {offset}: {reason}")]
    Malformed {
        /// Where, from the start of the file or zip member.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// The pickle asks for code to be run.
    #[error(
        "this file wants to run `{global}`; refused. Only tensors, containers and plain values are read: \
         save the weights alone with torch.save(model.state_dict(), path)"
    )]
    Refused {
        /// The function or class, as `module.name`.
        global: String,
    },
    /// An opcode that torch does not write.
    #[error("pickle opcode {opcode:#04x} at byte {offset} is not one that torch writes; refused")]
    UnsupportedOpcode {
        /// The opcode.
        opcode: u8,
        /// Where, from the start of the file or zip member.
        offset: usize,
    },
    /// A storage class or element type outside [`ElementType`](super::ElementType).
    #[error("element type `{name}` is not supported; convert the tensors to a plain float or integer type first")]
    UnsupportedElement {
        /// The storage class or element type as the file names it.
        name: String,
    },
    /// The numbers are stored in big-endian order.
    #[error("the numbers are stored big-endian; only little-endian files are read")]
    BigEndian,
    /// A bound of this reader is exceeded.
    #[error("more than {limit} {what}; refused")]
    LimitExceeded {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A member of a zip checkpoint is compressed or encrypted.
    #[error(
        "zip member `{member}` is {how}; torch.save stores members plainly, so unpack and re-pack the file without compression"
    )]
    NotStored {
        /// The member's name.
        member: String,
        /// "compressed" or "encrypted", with the code.
        how: String,
    },
    /// A tensor refers to numbers that the file lacks.
    #[error("storage `{key}` is missing from the file")]
    MissingStorage {
        /// The storage's key.
        key: String,
    },
    /// A storage's declared length and its bytes disagree.
    #[error("storage `{key}` is declared with {declared} elements, the file holds {found}")]
    StorageLength {
        /// The storage's key.
        key: String,
        /// Elements that the object declares.
        declared: u64,
        /// Elements in the file.
        found: u64,
    },
    /// Shape, strides and storage of one tensor do not fit together.
    #[error("tensor `{name}`: {reason}")]
    BadTensor {
        /// The tensor's name.
        name: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A blend of other than 0 to 1 of the second file.
    #[error("a blend takes a share from 0 to 1 of the second file, got {share}")]
    Share {
        /// The share that came.
        share: f64,
    },
    /// Two tensors of one name.
    #[error("tensor `{name}` appears twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// No state dict was found.
    #[error("no tensors found; the file holds: {keys}")]
    NoTensors {
        /// The top-level keys.
        keys: String,
    },
    /// More than one state dict, none under a usual key.
    #[error("several entries could be the weights ({keys}); save the one that is meant alone")]
    Ambiguous {
        /// The candidates' keys.
        keys: String,
    },
    /// The safetensors parser refused. Its text has names from the file, so it is no source, whose text would be
    /// printed as it is.
    #[error("malformed safetensors: {}", printable(&.0.to_string()))]
    Safetensors(safetensors::SafeTensorError),
    /// A tensor could not be made or moved to its device.
    #[error("a tensor of shape {shape:?} and type {dtype:?} could not be made")]
    Device {
        /// The tensor's shape.
        shape: Vec<usize>,
        /// The wanted element type.
        dtype: candle_core::DType,
        /// What candle said: a [`candle_core::Error`].
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl From<safetensors::SafeTensorError> for WeightError {
    fn from(error: safetensors::SafeTensorError) -> Self {
        Self::Safetensors(error)
    }
}

impl WeightError {
    /// That candle made no tensor, for `map_err`.
    pub(crate) fn of_candle(shape: &[usize], dtype: candle_core::DType) -> impl FnOnce(candle_core::Error) -> Self {
        move |error| Self::Device { shape: shape.to_vec(), dtype, source: Box::new(without_backtrace(error)) }
    }
}

/// Shorthand for a [`WeightError::Malformed`].
pub(crate) fn malformed(offset: usize, reason: impl Into<String>) -> WeightError {
    WeightError::Malformed { offset, reason: reason.into() }
}

/// Text from a file, made safe for a message: control characters escaped, 80 characters at most.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut escaped: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}

/// Keys for a message: each [`printable`], 20 at most.
pub(crate) fn printable_list<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let mut list = Vec::new();
    for key in keys {
        if list.len() == MOST {
            list.push("…".to_owned());
            break;
        }
        list.push(format!("`{}`", printable(key)));
    }
    if list.is_empty() { "nothing named".to_owned() } else { list.join(", ") }
}
