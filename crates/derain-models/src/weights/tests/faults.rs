//! Hostile and damaged files: a typed error or tensors, never a panic.

use candle_core::{DType, Device};

use super::{fixtures, hostile};
use crate::weights::{ElementType, WeightError, WeightFile, WeightTensor};

/// Reads a file and, where that works, everything in it.
fn exercise(bytes: &[u8]) -> Result<WeightFile, WeightError> {
    let file = WeightFile::parse(bytes)?;
    for tensor in file.tensors.values() {
        assert_eq!(tensor.bytes().len(), tensor.byte_count());
        tensor.to_candle(DType::F32, &Device::Cpu)?;
    }
    match file.to_safetensors() {
        // Long names may fit a pickle but no header.
        Err(WeightError::LimitExceeded { .. }) => {}
        converted => assert_eq!(WeightFile::parse(&converted?)?.tensors.len(), file.tensors.len()),
    }
    Ok(file)
}

#[test]
fn every_hostile_file_ends_as_it_should() {
    for case in (0..hostile::GROUPS).flat_map(hostile::group) {
        match (exercise(&case.bytes), case.error) {
            (Ok(file), None) => assert!(file.tensors.values().all(|t| t.element_count() > 0)),
            (Err(error), Some(expected)) => {
                let message = error.to_string();
                assert!(message.contains(expected), "{}: {message}", case.name);
                assert!(message.len() < 2500, "{}: a message of {} bytes", case.name, message.len());
                assert!(!message.contains('\u{1b}'), "{}: {message:?}", case.name);
            }
            (Ok(_), Some(expected)) => panic!("{}: read, expected {expected}", case.name),
            (Err(error), None) => panic!("{}: {error}", case.name),
        }
    }
}

/// Every small good file of these tests.
fn good() -> Vec<Vec<u8>> {
    let mut files = vec![fixtures::legacy(), fixtures::zip()];
    files.push(WeightFile::parse(&files[0]).unwrap().to_safetensors().unwrap());
    files
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for file in good() {
        assert!(exercise(&file).is_ok());
        for length in 0..file.len() {
            assert!(exercise(&file[..length]).is_err(), "cut to {length} of {}", file.len());
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    // xorshift64*, seeded: the same damage in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for file in good() {
        for _ in 0..6000 {
            let mut damaged = file.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = match random(3) {
                    0 => random(256) as u8,
                    1 => damaged[at] ^ (1 << random(8)),
                    _ => [0, 1, 0x7f, 0x80, 0xff][random(5)],
                };
            }
            match exercise(&damaged) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    // Damage to the numbers themselves cannot be noticed; most other damage is.
    assert!(read > 500 && refused > 5000, "{read} read, {refused} refused");
}

#[test]
fn large_files_folders_and_other_formats_are_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(WeightFile::open(folder.path()), Err(WeightError::NotAFile { .. })));
    assert!(matches!(WeightFile::open(folder.path().join("none.pth")), Err(WeightError::Io { .. })));

    let path = folder.path().join("sparse.pth");
    let sparse = std::fs::File::create(&path).unwrap();
    sparse.set_len(crate::weights::MAX_FILE_BYTES + 1).unwrap();
    assert!(matches!(WeightFile::open(&path), Err(WeightError::FileTooLarge { bytes: 0x1_0000_0001, .. })));
    sparse.set_len(crate::weights::MAX_FILE_BYTES).unwrap();
    assert!(matches!(WeightFile::open(&path), Err(WeightError::UnknownFormat { .. })));

    let pointer = b"version https://git-lfs.github.com/spec/v1\n";
    let message = WeightFile::parse(pointer).unwrap_err().to_string();
    assert!(message.contains("starts with \"version https://\""), "{message}");
    assert!(WeightFile::parse(b"").is_err());
}

#[test]
fn tensors_of_the_wrong_length_are_refused() {
    for (shape, bytes) in [(&[2][..], 3), (&[], 0), (&[usize::MAX, 2], 8), (&[0, usize::MAX], 0)] {
        assert!(WeightTensor::from_bytes(ElementType::U8, shape, vec![0; bytes]).is_err());
    }
    assert!(WeightTensor::from_bytes(ElementType::U8, &[1; 17], vec![0]).is_err());
    assert!(WeightTensor::from_bytes(ElementType::U8, &[0, 5], vec![]).is_ok());
}

#[test]
fn changed_fields_cannot_reach_past_the_bytes() {
    let mut tensor = WeightTensor::from_bytes(ElementType::F32, &[2], vec![0; 8]).unwrap();
    tensor.shape = vec![1 << 40];
    assert_eq!(tensor.bytes().len(), 8);
    assert!(tensor.to_candle(DType::F32, &Device::Cpu).is_err());
    tensor.shape = vec![2];
    tensor.dtype = ElementType::F64;
    assert!(tensor.to_candle(DType::F32, &Device::Cpu).is_err());
    // No whole number of elements.
    let mut tensor = WeightTensor::from_bytes(ElementType::U8, &[15], vec![0; 15]).unwrap();
    tensor.dtype = ElementType::F64;
    for shape in [vec![15], vec![1], vec![2]] {
        tensor.shape = shape;
        assert!(matches!(tensor.to_candle(DType::F64, &Device::Cpu), Err(WeightError::BadTensor { .. })));
    }
}
