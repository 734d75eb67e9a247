//! Two weight files into one.

use std::collections::BTreeMap;

use super::error::{WeightError, printable};
use super::{ElementType, WeightFile, WeightTensor};

impl WeightFile {
    /// (1 − `share`) times this file's values plus `share` times the other's, as safetensors in f32 with this file's
    /// metadata and integers. Between two trainings of which one went on from the other this is often better than both
    /// (Wortsman et al., "Model soups", ICML 2022); between unrelated ones it is nonsense.
    ///
    /// ```
    /// use derain_models::weights::WeightFile;
    /// # let file = |value: f32| {
    /// #     let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    /// #     let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    /// #     bytes.extend_from_slice(header);
    /// #     bytes.extend(value.to_le_bytes());
    /// #     WeightFile::parse(&bytes)
    /// # };
    /// let (one, two) = (file(1.0)?, file(2.0)?);
    /// let between = WeightFile::parse(&one.blended(&two, 0.25)?)?;
    /// let value = between.tensors["a"].to_candle(candle_core::DType::F32, &candle_core::Device::Cpu)?;
    /// assert_eq!(value.to_vec1::<f32>().unwrap(), [1.25]);
    /// # Ok::<(), derain_models::weights::WeightError>(())
    /// ```
    ///
    /// # Errors
    /// [`WeightError::Share`] unless the share is from 0 to 1; [`WeightError::BadTensor`] when a tensor is in one file alone or of another shape in the
    /// other, or a value is not finite in f32; else as [`to_safetensors`](Self::to_safetensors).
    pub fn blended(&self, other: &Self, share: f64) -> Result<Vec<u8>, WeightError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(WeightError::Share { share });
        }
        let bad = |name: &str, reason: String| WeightError::BadTensor { name: printable(name), reason };
        let is_missing =
            |name: &str, tensor: &WeightTensor| !tensor.dtype.is_integer() && !self.tensors.contains_key(name);
        if let Some((name, _)) = other.tensors.iter().find(|(name, tensor)| is_missing(name, tensor)) {
            return Err(bad(name, "only one of the two files has it".into()));
        }
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            // Counts, such as a batch norm's of its batches, which trainings here do not keep: nothing to blend, and
            // read only as what they were.
            if tensor.dtype.is_integer() {
                tensors.insert(name.clone(), tensor.clone());
                continue;
            }
            let Some(theirs) = other.tensors.get(name) else {
                return Err(bad(name, "only one of the two files has it".into()));
            };
            if tensor.shape != theirs.shape {
                return Err(bad(
                    name,
                    format!("is {:?} in one file and {:?} in the other", tensor.shape, theirs.shape),
                ));
            }
            let mut bytes = Vec::with_capacity(4 * tensor.element_count());
            for (ours, theirs) in tensor.values()?.into_iter().zip(theirs.values()?) {
                let value = (ours + share * (theirs - ours)) as f32;
                if !value.is_finite() {
                    return Err(bad(name, format!("between {ours} and {theirs} is nothing finite in f32")));
                }
                bytes.extend(value.to_le_bytes());
            }
            let blend = WeightTensor::from_bytes(ElementType::F32, &tensor.shape, bytes)?;
            tensors.insert(name.clone(), blend);
        }
        super::safetensors::write(&tensors, &self.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, shape: &[usize], values: &[f32]) -> WeightFile {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = WeightTensor::from_bytes(ElementType::F32, shape, bytes).unwrap();
        let bytes = super::super::safetensors::write(&BTreeMap::from([(name.to_owned(), tensor)]), &BTreeMap::new());
        WeightFile::parse(&bytes.unwrap()).unwrap()
    }

    #[test]
    fn ends_are_the_files_and_the_middle_their_mean() {
        let (a, b) = (file("w", &[2], &[1.0, -3.0]), file("w", &[2], &[2.0, 5.0]));
        for (share, expected) in [(0.0, [1.0, -3.0]), (0.5, [1.5, 1.0]), (1.0, [2.0, 5.0])] {
            let blend = WeightFile::parse(&a.blended(&b, share).unwrap()).unwrap();
            assert_eq!(blend.tensors["w"].values().unwrap(), expected);
        }
    }

    #[test]
    fn what_gives_no_numbers_is_refused() {
        let (a, b) = (file("w", &[1], &[1.0]), file("w", &[1], &[f32::INFINITY]));
        for share in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
            assert!(matches!(a.blended(&a, share), Err(WeightError::Share { .. })));
        }
        assert!(matches!(a.blended(&b, 0.5), Err(WeightError::BadTensor { .. })));
    }

    #[test]
    fn files_of_different_networks_are_refused() {
        let a = file("w", &[2], &[1.0, -3.0]);
        for other in [file("v", &[2], &[1.0, 1.0]), file("w", &[1, 2], &[1.0, 1.0])] {
            assert!(matches!(a.blended(&other, 0.5), Err(WeightError::BadTensor { .. })));
        }
    }
}
