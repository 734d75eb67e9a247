//! Reads and writes safetensors files.
//!
//! Layout: the header's length as a `u64`, a JSON header that names each tensor's type, shape and
//! bytes, then the bytes. The `safetensors` crate parses it; before that the header is checked
//! here, because the crate buffers headers of 100 MB several times over and adds up hostile
//! offsets without noticing an overflow.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use safetensors::SafeTensors;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::element_type::ElementType;
use super::error::{WeightError, malformed, printable};
use super::limits::{MAX_HEADER_BYTES, MAX_METADATA, MAX_RANK, MAX_TENSORS};
use super::reader::Reader;
use super::state_dict::{check_name, insert_unique, strip_prefix};
use super::tensor::{View, WeightTensor, checked_count};

const METADATA_KEY: &str = "__metadata__";
/// Bytes of the header's length, and what headers are padded to.
const ALIGNMENT: usize = 8;

/// Tensors and `__metadata__` of a safetensors file.
pub(crate) struct Contents {
    pub(crate) tensors: BTreeMap<String, WeightTensor>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Reads a safetensors file.
pub(crate) fn read(buffer: &Arc<Vec<u8>>) -> Result<Contents, WeightError> {
    let bytes = buffer.as_slice();
    let metadata = check_header(bytes)?;
    let (header_bytes, parsed) = SafeTensors::read_metadata(bytes)?;
    let data_start = ALIGNMENT + header_bytes;

    let infos = parsed.tensors();
    let mut named: Vec<_> = infos.iter().map(|(name, info)| (name.as_str(), *info)).collect();
    named.sort_by_key(|(name, _)| *name);
    if named.is_empty() {
        return Err(WeightError::NoTensors { keys: "an empty header".to_owned() });
    }
    let mut tensors = BTreeMap::new();
    for (name, info) in strip_prefix(named) {
        let element_name = info.dtype.to_string();
        let element =
            ElementType::from_name(&element_name).ok_or(WeightError::UnsupportedElement { name: element_name })?;
        let shape: Vec<i64> = signed(&info.shape);
        let view = View {
            name,
            dtype: element,
            shape: &shape,
            strides: &dense(&shape),
            offset: 0,
            storage: data_start + info.data_offsets.0..data_start + info.data_offsets.1,
        };
        insert_unique(&mut tensors, name, WeightTensor::new(buffer, &view)?)?;
    }
    Ok(Contents { tensors, metadata })
}

/// Lengths were checked to multiply to no more than the file's bytes, so they fit.
fn signed(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&length| length as i64).collect()
}

fn dense(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

/// Checks the header's size, names, types and offsets, and returns its `__metadata__`.
fn check_header(bytes: &[u8]) -> Result<BTreeMap<String, String>, WeightError> {
    let mut reader = Reader::new(bytes);
    let length = reader.u64("the safetensors header's length")?;
    if length > MAX_HEADER_BYTES as u64 {
        return Err(WeightError::LimitExceeded { what: "bytes of safetensors header", limit: MAX_HEADER_BYTES as u64 });
    }
    let header = reader.take(length, "the safetensors header")?;
    let data_bytes = reader.remaining() as u64;
    let header: Header =
        serde_json::from_slice(header).map_err(|error| malformed(ALIGNMENT, printable(&error.to_string())))?;
    for (name, info) in &header.tensors {
        check_name(name)?;
        let bad = |reason: String| WeightError::BadTensor { name: printable(name), reason };
        let element = ElementType::from_name(&info.dtype)
            .ok_or_else(|| WeightError::UnsupportedElement { name: printable(&info.dtype) })?;
        let (start, end) = info.data_offsets;
        let fits = info.shape.len() <= MAX_RANK
            && start <= end
            && end <= data_bytes
            && checked_count(&info.shape).is_some_and(|count| (count * element.size()) as u64 == end - start);
        if !fits {
            let shown = &info.shape[..info.shape.len().min(MAX_RANK)];
            return Err(bad(format!(
                "{} axes {shown:?} of {element} at bytes {start} to {end} of {data_bytes}",
                info.shape.len()
            )));
        }
    }
    Ok(header.metadata)
}

/// One tensor's entry in the header.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// The header, its tensors in the file's order.
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Info)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a safetensors header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut header = Header { metadata: BTreeMap::new(), tensors: Vec::new() };
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.len() > MAX_TENSORS {
                return Err(A::Error::custom(format_args!("more than {MAX_TENSORS} tensors")));
            }
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("`{name}` appears twice")));
            }
            if name == METADATA_KEY {
                header.metadata = map.next_value()?;
                if header.metadata.len() > MAX_METADATA {
                    return Err(A::Error::custom(format_args!("more than {MAX_METADATA} metadata entries")));
                }
            } else {
                let info: Info = map.next_value()?;
                if info.shape.len() > MAX_RANK {
                    return Err(A::Error::custom(format_args!("more than {MAX_RANK} axes")));
                }
                header.tensors.push((name, info));
            }
        }
        Ok(header)
    }
}

/// Writes a safetensors file.
///
/// Its bytes depend on nothing but the arguments: tensors go by descending element size, so that
/// each is aligned, then by name.
pub(crate) fn write(
    tensors: &BTreeMap<String, WeightTensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightError> {
    let mut ordered: Vec<(&String, &WeightTensor)> = tensors.iter().collect();
    ordered.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.dtype.size()), *name));
    let unwritable = |error: serde_json::Error| malformed(0, error.to_string());
    let mut entries = serde_json::Map::new();
    if !metadata.is_empty() {
        let metadata = serde_json::to_value(metadata).map_err(unwritable)?;
        entries.insert(METADATA_KEY.to_owned(), metadata);
    }
    let mut end = 0;
    for (name, tensor) in &ordered {
        let start = end;
        end += tensor.byte_count() as u64;
        let info =
            Info { dtype: tensor.dtype.name().to_owned(), shape: tensor.shape.clone(), data_offsets: (start, end) };
        let info = serde_json::to_value(info).map_err(unwritable)?;
        if *name == METADATA_KEY || entries.insert((*name).clone(), info).is_some() {
            return Err(WeightError::DuplicateName { name: printable(name) });
        }
    }
    let mut header = serde_json::to_vec(&entries).map_err(unwritable)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');

    let total = ALIGNMENT as u64 + header.len() as u64 + end;
    let mut file = Vec::new();
    usize::try_from(total)
        .ok()
        .and_then(|total| file.try_reserve_exact(total).ok())
        .ok_or(WeightError::OutOfMemory { bytes: total })?;
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(&header);
    for (_, tensor) in &ordered {
        file.extend_from_slice(&tensor.bytes());
    }
    // What is written can be read: the same bounds, and shapes that nobody changed.
    check_header(&file)?;
    Ok(file)
}
