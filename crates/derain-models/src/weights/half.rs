//! Half-size weight files.

use std::collections::BTreeMap;

use super::error::{WeightError, printable};
use super::{ElementType, WeightFile, WeightTensor};

impl WeightFile {
    /// The tensors with every float stored in 16 bits (IEEE, rounded to nearest), integers and metadata unchanged: half
    /// the bytes of f32, and relative errors of up to 2^-11, which a network hardly shows. Networks read it as any
    /// other file.
    ///
    /// ```
    /// use derain_models::weights::{ElementType, WeightFile};
    /// # let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    /// # let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    /// # bytes.extend_from_slice(header);
    /// # bytes.extend(0.1_f32.to_le_bytes());
    /// let half = WeightFile::parse(&WeightFile::parse(&bytes)?.to_safetensors_f16()?)?;
    /// assert_eq!(half.tensors["a"].dtype, ElementType::F16);
    /// # Ok::<(), derain_models::weights::WeightError>(())
    /// ```
    ///
    /// # Errors
    /// [`WeightError::BadTensor`] when a value lies beyond the 65,504 that 16 bits hold, or is not finite; else as
    /// [`to_safetensors`](Self::to_safetensors).
    pub fn to_safetensors_f16(&self) -> Result<Vec<u8>, WeightError> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            tensors.insert(name.clone(), in_16_bits(name, tensor)?);
        }
        super::safetensors::write(&tensors, &self.metadata)
    }
}

fn in_16_bits(name: &str, tensor: &WeightTensor) -> Result<WeightTensor, WeightError> {
    if !matches!(tensor.dtype, ElementType::F64 | ElementType::F32 | ElementType::Bf16) {
        return Ok(tensor.clone());
    }
    let mut bytes = Vec::with_capacity(2 * tensor.element_count());
    for value in tensor.values()? {
        let half = half::f16::from_f64(value);
        if !half.is_finite() {
            let reason = format!("{value} does not fit a 16-bit float");
            return Err(WeightError::BadTensor { name: printable(name), reason });
        }
        bytes.extend(half.to_le_bytes());
    }
    WeightTensor::from_bytes(ElementType::F16, &tensor.shape, bytes)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn file(dtype: ElementType, values: &[u8], shape: &[usize]) -> WeightFile {
        let tensor = WeightTensor::from_bytes(dtype, shape, values.to_vec()).unwrap();
        let tensors = BTreeMap::from([("a".to_owned(), tensor)]);
        let metadata = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        WeightFile::from_bytes(super::super::safetensors::write(&tensors, &metadata).unwrap()).unwrap()
    }

    fn floats(values: &[f32]) -> WeightFile {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        file(ElementType::F32, &bytes, &[values.len()])
    }

    #[test]
    fn floats_are_rounded_and_the_rest_is_kept() {
        let half = WeightFile::from_bytes(floats(&[0.1, -2.0, 1.0 + 1.0 / 1024.0, 0.0]).to_safetensors_f16().unwrap())
            .unwrap();
        assert_eq!(half.metadata["key"], "value");
        let values = half.tensors["a"].to_candle(DType::F32, &Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values[1..], [-2.0, 1.0 + 1.0 / 1024.0, 0.0]);
        assert!((values[0] - 0.1).abs() < 0.1 / 2048.0 && values[0] != 0.1);

        let counts = file(ElementType::I64, &7_i64.to_le_bytes(), &[]);
        let same = WeightFile::from_bytes(counts.to_safetensors_f16().unwrap()).unwrap();
        assert_eq!(
            (same.tensors["a"].dtype, same.tensors["a"].bytes()),
            (ElementType::I64, counts.tensors["a"].bytes())
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for value in [1e6, f32::NAN, f32::INFINITY] {
            assert!(matches!(floats(&[0.0, value]).to_safetensors_f16(), Err(WeightError::BadTensor { .. })));
        }
    }
}
