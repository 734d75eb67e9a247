//! What good files hold, in each format.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use candle_core::{DType, Device};

use super::builder::{Tensor, legacy, legacy_of, legacy_pair, one_tensor, pair, zip, zip_members};
use super::fixtures;
use crate::weights::{ElementType, Format, WeightError, WeightFile, WeightTensor};

fn values(tensor: &WeightTensor) -> Vec<f32> {
    let tensor = tensor.to_candle(DType::F32, &Device::Cpu).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn reads_what_python_wrote() {
    for (bytes, format) in [(fixtures::legacy(), Format::TorchLegacy), (fixtures::zip(), Format::TorchZip)] {
        let file = WeightFile::parse(&bytes).unwrap();
        assert_eq!(file.format, format);
        assert_eq!(file.found_under.as_deref(), Some("state_dict"));
        assert_eq!(file.ignored, ["epoch", "best"]);
        assert_eq!(file.tensors.keys().collect::<Vec<_>>(), ["a", "b", "t"]);
        assert_eq!(file.parameter_count(), 11);

        let (a, b, t) = (&file.tensors["a"], &file.tensors["b"], &file.tensors["t"]);
        assert_eq!((a.dtype, a.shape.as_slice()), (ElementType::F32, &[2, 3][..]));
        assert_eq!(values(a), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((b.dtype, b.shape.as_slice()), (ElementType::F16, &[][..]));
        assert_eq!(values(b), [-2.0]);
        // numpy.lib.stride_tricks.as_strided(numpy.arange(6.)[1:], (2, 2), (8, 24)).ravel()
        assert_eq!(values(t), [1.0, 4.0, 2.0, 5.0]);
    }
    // hashlib.sha256(legacy).hexdigest()
    let file = WeightFile::parse(&fixtures::legacy()).unwrap();
    assert_eq!(file.sha256, "e73b5f55ff8a224aec0d814f8588fa23c64e175d5101be436a0ab468243a4af6");
}

#[test]
fn opens_by_content_not_by_extension() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, fixtures::zip()).unwrap();
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(file.format, Format::TorchZip);
    assert_eq!(file.tensors.len(), 3);
}

/// Storage class, type, two elements, and their values as candle sees them.
const TYPES: [(&str, ElementType, &[u8], [f32; 2]); 10] = [
    ("DoubleStorage", ElementType::F64, &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf], [0.5, -1.0]),
    ("FloatStorage", ElementType::F32, &[0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf], [0.5, -1.0]),
    ("HalfStorage", ElementType::F16, &[0, 0x38, 0, 0xbc], [0.5, -1.0]),
    ("BFloat16Storage", ElementType::Bf16, &[0, 0x3f, 0x80, 0xbf], [0.5, -1.0]),
    ("LongStorage", ElementType::I64, &[2, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], [258.0, -1.0]),
    ("IntStorage", ElementType::I32, &[2, 1, 0, 0, 255, 255, 255, 255], [258.0, -1.0]),
    ("ShortStorage", ElementType::I16, &[2, 1, 255, 255], [258.0, -1.0]),
    ("CharStorage", ElementType::I8, &[127, 0x80], [127.0, -128.0]),
    ("ByteStorage", ElementType::U8, &[2, 255], [2.0, 255.0]),
    ("BoolStorage", ElementType::Bool, &[1, 0], [1.0, 0.0]),
];

#[test]
fn every_element_type_survives_the_conversion() {
    for (class, dtype, bytes, expected) in TYPES {
        let object = one_tensor(&Tensor { class: ("torch", class), ..Tensor::default() });
        let mut members = zip_members(&object);
        members[2].bytes = bytes.to_vec();
        members[2].claimed = bytes.len() as u32;
        for source in [legacy(&object, &[("0", 2, bytes)]), zip(&members, None)] {
            let read = WeightFile::parse(&source).unwrap();
            let converted = WeightFile::parse(&read.to_safetensors().unwrap()).unwrap();
            assert_eq!(converted.format, Format::Safetensors);
            for file in [&read, &converted] {
                let tensor = &file.tensors["w"];
                assert_eq!((tensor.dtype, tensor.shape.as_slice()), (dtype, &[2][..]), "{class}");
                assert_eq!(tensor.bytes().as_ref(), bytes, "{class}");
                assert_eq!(values(tensor), expected, "{class}");
            }
        }
    }
}

#[test]
fn strided_views_are_gathered() {
    // Elements 0 to 23 as u8, seen as [3, 1, 2, 2]: numpy
    // as_strided(arange(24, dtype='u1')[1:], (3, 1, 2, 2), (7, 5, 1, 3)).ravel()
    let bytes: Vec<u8> = (0..24).collect();
    let object = one_tensor(&Tensor {
        class: ("torch", "ByteStorage"),
        count: 24,
        offset: 1,
        shape: &[3, 1, 2, 2],
        strides: &[7, 5, 1, 3],
        ..Tensor::default()
    });
    let file = WeightFile::parse(&legacy(&object, &[("0", 24, &bytes)])).unwrap();
    let expected = [1, 4, 2, 5, 8, 11, 9, 12, 15, 18, 16, 19];
    assert_eq!(file.tensors["w"].bytes().as_ref(), expected);
    let converted = WeightFile::parse(&file.to_safetensors().unwrap()).unwrap();
    assert_eq!(converted.tensors["w"].bytes().as_ref(), expected);
    assert_eq!(converted.tensors["w"].shape, [3, 1, 2, 2]);
}

#[test]
fn empty_and_scalar_tensors() {
    let empty = one_tensor(&Tensor { count: 0, shape: &[0, 5], strides: &[5, 1], ..Tensor::default() });
    let file = WeightFile::parse(&legacy(&empty, &[("0", 0, &[])])).unwrap();
    assert_eq!(file.tensors["w"].shape, [0, 5]);
    assert_eq!(values(&file.tensors["w"]), [0.0; 0]);
    let scalar = one_tensor(&Tensor { offset: 1, shape: &[], strides: &[], ..Tensor::default() });
    let file = WeightFile::parse(&legacy_pair(&scalar)).unwrap();
    assert_eq!(values(&file.tensors["w"]), [-1.0]);
}

#[test]
fn big_endian_and_other_pickles_are_refused() {
    let object = one_tensor(&Tensor::default());
    let big = legacy_of(b"\x80\x02\x89.", &object, &[("0", 2, &pair())]);
    assert!(matches!(WeightFile::parse(&big), Err(WeightError::BigEndian)));
    let unknown = legacy_of(b"\x80\x02N.", &object, &[("0", 2, &pair())]);
    assert!(matches!(WeightFile::parse(&unknown), Err(WeightError::Malformed { .. })));
    let message = WeightFile::parse(&object).unwrap_err().to_string();
    assert!(message.contains("magic number is missing"), "{message}");
}

#[test]
fn archives_of_another_writer_are_read() {
    let mut archive = zip_writer();
    let aligned = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .with_alignment(64)
        .large_file(true);
    for member in zip_members(&one_tensor(&Tensor::default())) {
        archive.start_file(member.name, aligned).unwrap();
        archive.write_all(&member.bytes).unwrap();
    }
    archive.set_comment("a comment with an end record PK\u{5}\u{6} in it").unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    assert_eq!(values(&WeightFile::parse(&bytes).unwrap().tensors["w"]), [0.5, -1.0]);
}

fn zip_writer() -> zip::ZipWriter<Cursor<Vec<u8>>> {
    zip::ZipWriter::new(Cursor::new(Vec::new()))
}

#[test]
fn safetensors_keep_their_metadata_and_equal_bytes() {
    let mut file = WeightFile::parse(&fixtures::legacy()).unwrap();
    file.metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("note".to_owned(), "\"quoted\" and ünusual".to_owned()),
    ]);
    let bytes = file.to_safetensors().unwrap();
    assert_eq!(bytes, file.to_safetensors().unwrap());
    let again = WeightFile::parse(&bytes).unwrap();
    assert_eq!(again.metadata, file.metadata);

    // The crate that everyone reads them with agrees.
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let parsed = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(parsed.len(), 3);
    for (name, view) in parsed.tensors() {
        let tensor = &file.tensors[&name];
        assert_eq!((view.shape(), view.data()), (tensor.shape.as_slice(), tensor.bytes().as_ref()));
        let address = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(address % tensor.dtype.size(), 0, "{name} is aligned");
    }
}
