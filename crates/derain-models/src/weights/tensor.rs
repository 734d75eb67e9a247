//! One named tensor: a checked, possibly strided view of the file's bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::element_type::ElementType;
use super::error::{WeightError, printable};
use super::limits::MAX_RANK;

/// A tensor of a weight file.
///
/// It shares the file's bytes; nothing is copied until [`bytes`](Self::bytes) has to gather a
/// strided view or [`to_candle`](Self::to_candle) makes a tensor of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct WeightTensor {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Type of the elements in the file.
    pub dtype: ElementType,
    /// Alone decides which bytes are read, so that nothing done to the fields above reaches past
    /// the buffer.
    layout: Layout,
    buffer: Arc<Vec<u8>>,
}

/// Where a tensor's elements lie in its buffer.
#[derive(Clone)]
enum Layout {
    /// Row by row in a range of bytes.
    Dense(Range<usize>),
    Strided {
        /// Length and stride of each axis, the stride in bytes.
        axes: Vec<(usize, usize)>,
        /// First byte of the first element.
        start: usize,
        /// Bytes of an element.
        size: usize,
    },
}

/// What a file says about a tensor, before any of it is believed.
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: ElementType,
    pub(crate) shape: &'a [i64],
    pub(crate) strides: &'a [i64],
    /// In elements, from the start of `storage`.
    pub(crate) offset: i64,
    /// Bytes of `buffer` that the tensor may use.
    pub(crate) storage: Range<usize>,
}

impl WeightTensor {
    /// Checks every claim of `view` against its storage.
    pub(crate) fn new(buffer: &Arc<Vec<u8>>, view: &View<'_>) -> Result<Self, WeightError> {
        let bad = |reason: String| WeightError::BadTensor { name: printable(view.name), reason };
        let shape = lengths(view.shape).ok_or_else(|| bad(impossible("shape", view.shape)))?;
        let mut strides = lengths(view.strides).ok_or_else(|| bad(impossible("strides", view.strides)))?;
        if shape.len() != strides.len() {
            return Err(bad(format!("{} axes but {} strides", shape.len(), strides.len())));
        }
        let offset = usize::try_from(view.offset).map_err(|_| bad(format!("negative offset {}", view.offset)))?;
        let size = view.dtype.size();
        let held = view.storage.len() / size;
        let elements = checked_count(&shape)
            .filter(|&elements| elements <= held)
            .ok_or_else(|| bad(format!("shape {shape:?} needs more elements than the {held} of its storage")))?;
        for (stride, &length) in strides.iter_mut().zip(&shape) {
            if length <= 1 {
                *stride = 0;
            }
        }
        // One past the last element that the view touches.
        let end = if elements == 0 {
            Some(offset)
        } else {
            shape
                .iter()
                .zip(&strides)
                .try_fold(offset, |last, (&length, &stride)| last.checked_add((length - 1).checked_mul(stride)?))
                .and_then(|last| last.checked_add(1))
        };
        if end.is_none_or(|end| end > held) {
            return Err(bad(format!(
                "offset {offset}, shape {shape:?}, strides {strides:?} reach past the {held} elements of its storage"
            )));
        }
        let start = view.storage.start + offset * size;
        let layout = if elements == 0 || strides == dense_strides(&shape) {
            Layout::Dense(start..start + elements * size)
        } else {
            Layout::Strided {
                axes: shape.iter().zip(&strides).map(|(&length, &stride)| (length, stride * size)).collect(),
                start,
                size,
            }
        };
        Ok(Self { shape, dtype: view.dtype, layout, buffer: Arc::clone(buffer) })
    }

    /// A tensor of its own bytes: little-endian elements, row by row.
    ///
    /// ```
    /// use derain_models::weights::{ElementType, WeightTensor};
    /// let tensor = WeightTensor::from_bytes(ElementType::I16, &[2], vec![1, 0, 255, 255])?;
    /// let values = tensor.to_candle(candle_core::DType::F32, &candle_core::Device::Cpu)?;
    /// assert_eq!(values.to_vec1::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`WeightError::BadTensor`] when `bytes` is not as long as `shape` says, or when there are
    /// more than 16 axes.
    pub fn from_bytes(dtype: ElementType, shape: &[usize], bytes: Vec<u8>) -> Result<Self, WeightError> {
        let wanted = checked_count(shape).map(|elements| elements * dtype.size());
        if wanted != Some(bytes.len()) || shape.len() > MAX_RANK {
            return Err(WeightError::BadTensor {
                name: "unnamed".to_owned(),
                reason: format!("shape {shape:?} of {dtype} from {} bytes", bytes.len()),
            });
        }
        Ok(Self { shape: shape.to_vec(), dtype, layout: Layout::Dense(0..bytes.len()), buffer: Arc::new(bytes) })
    }

    /// Number of elements.
    #[must_use]
    pub fn element_count(&self) -> usize {
        match &self.layout {
            Layout::Dense(range) => range.len() / self.dtype.size(),
            Layout::Strided { axes, .. } => axes.iter().map(|(length, _)| length).product(),
        }
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        match &self.layout {
            Layout::Dense(range) => range.len(),
            Layout::Strided { size, .. } => self.element_count() * size,
        }
    }

    /// The elements in row-major order, little-endian; copied only where the file's view is strided.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.layout {
            Layout::Dense(range) => Cow::Borrowed(&self.buffer[range.clone()]),
            Layout::Strided { axes, start, size } => Cow::Owned(self.gather(axes, *start, *size)),
        }
    }

    /// Walks the axes like an odometer, the last one fastest.
    fn gather(&self, axes: &[(usize, usize)], start: usize, size: usize) -> Vec<u8> {
        let mut gathered = Vec::with_capacity(self.byte_count());
        let mut index = vec![0; axes.len()];
        let mut position = start;
        for _ in 0..self.element_count() {
            gathered.extend_from_slice(&self.buffer[position..position + size]);
            for (index, &(length, stride)) in index.iter_mut().zip(axes).rev() {
                *index += 1;
                position += stride;
                if *index < length {
                    break;
                }
                position -= stride * length;
                *index = 0;
            }
        }
        gathered
    }

    /// The values in order.
    pub(super) fn values(&self) -> Result<Vec<f64>, WeightError> {
        let values = self.to_candle(DType::F64, &Device::Cpu)?.flatten_all().and_then(|values| values.to_vec1());
        values.map_err(WeightError::of_candle(&self.shape, DType::F64))
    }

    /// A candle tensor of the same values, converted to `dtype` on the CPU and moved to `device`.
    ///
    /// # Errors
    /// [`WeightError::BadTensor`] when shape or type were changed to what the bytes are not; [`WeightError::Device`] when candle cannot
    /// convert to `dtype` or the device refuses.
    pub fn to_candle(&self, dtype: DType, device: &Device) -> Result<Tensor, WeightError> {
        let bytes = self.bytes();
        // The fields can be changed, and candle believes what it is told of a buffer.
        if checked_count(&self.shape).map(|elements| elements * self.dtype.size()) != Some(bytes.len()) {
            let (shape, dtype) = (&self.shape, self.dtype);
            let reason = format!("shape {shape:?} of {dtype} from {} bytes", bytes.len());
            return Err(WeightError::BadTensor { name: "unnamed".to_owned(), reason });
        }
        let stored = match self.dtype {
            ElementType::F64 => DType::F64,
            ElementType::F32 => DType::F32,
            ElementType::F16 => DType::F16,
            ElementType::Bf16 => DType::BF16,
            ElementType::I64 => DType::I64,
            ElementType::I32 => DType::I32,
            // candle has no 8-bit signed type; every value fits the 16-bit one.
            ElementType::I16 | ElementType::I8 => DType::I16,
            ElementType::U8 | ElementType::Bool => DType::U8,
        };
        let tensor = if self.dtype == ElementType::I8 {
            let widened: Vec<i16> = bytes.iter().map(|&byte| i16::from(byte.cast_signed())).collect();
            Tensor::from_vec(widened, self.shape.as_slice(), &Device::Cpu)
        } else {
            Tensor::from_raw_buffer(&bytes, stored, &self.shape, &Device::Cpu)
        };
        tensor
            .and_then(|tensor| tensor.to_dtype(dtype))
            .and_then(|tensor| tensor.to_device(device))
            .map_err(WeightError::of_candle(&self.shape, dtype))
    }
}

impl std::fmt::Debug for WeightTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the buffer: it is the whole file.
        f.debug_struct("WeightTensor").field("shape", &self.shape).field("dtype", &self.dtype).finish_non_exhaustive()
    }
}

/// Elements of a tensor; `None` when the lengths, counting 0 as 1, multiply to more than memory
/// can hold. (The strides of an empty tensor multiply the other lengths all the same.)
pub(crate) fn checked_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &length| product.checked_mul(length.max(1)))
        .filter(|&product| product <= usize::MAX / 16)?;
    Some(shape.iter().product())
}

fn lengths(claimed: &[i64]) -> Option<Vec<usize>> {
    let fits = claimed.len() <= MAX_RANK;
    let lengths = claimed.iter().map(|&length| usize::try_from(length).ok());
    fits.then(|| lengths.collect()).flatten()
}

fn impossible(what: &str, claimed: &[i64]) -> String {
    let shown = &claimed[..claimed.len().min(MAX_RANK)];
    format!("impossible {what} {shown:?} ({} axes, {MAX_RANK} at most)", claimed.len())
}

/// Row-major strides in elements, 0 along axes of length 1 and less; for a shape that
/// [`checked_count`] accepts.
fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1_usize;
    for (stride, &length) in strides.iter_mut().zip(shape).rev() {
        if length > 1 {
            *stride = step;
        }
        step *= length.max(1);
    }
    strides
}
