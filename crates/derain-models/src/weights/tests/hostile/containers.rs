//! Tensors, zip archives and safetensors headers that are not what they say.

use std::fmt::Write;

use super::super::builder::{
    Member, PickleWriter, Tensor, legacy, legacy_pair, one_tensor, pair, safetensors, zip, zip_members,
};
use super::{Case, accepted, refused};

/// Tensors and storages whose numbers cannot be.
pub(super) fn claims() -> Vec<Case> {
    let make = |tensor: Tensor<'_>| legacy_pair(&one_tensor(&tensor));
    let shape = |shape, strides| make(Tensor { shape, strides, ..Tensor::default() });
    let huge = Tensor { count: i64::MAX, ..Tensor::default() };
    let unknown = Tensor { class: ("torch", "ComplexFloatStorage"), ..Tensor::default() };
    let shared = |second: Tensor<'_>| {
        let object = PickleWriter::new()
            .raw(b"}(")
            .text("a")
            .tensor(&Tensor::default())
            .text("b")
            .tensor(&second)
            .raw(b"u")
            .finish();
        legacy_pair(&object)
    };
    let mut cases = vec![
        refused("product overflows", "needs more elements", shape(&[i64::MAX, i64::MAX, 4], &[1, 1, 1])),
        refused("empty, product overflows", "needs more elements", shape(&[0, i64::MAX, i64::MAX], &[1, 1, 1])),
        refused("larger than the storage", "needs more elements", shape(&[3], &[1])),
        refused("broadcast", "needs more elements", shape(&[1 << 40], &[0])),
        refused("negative length", "impossible shape", shape(&[-2], &[1])),
        refused("negative stride", "impossible strides", shape(&[2], &[-1])),
        refused("stride past the end", "reach past", shape(&[2], &[2])),
        refused("stride overflows", "reach past", shape(&[2], &[i64::MAX])),
        refused("more axes than strides", "2 axes but 1 strides", shape(&[1, 2], &[1])),
        refused("many axes", "axes of a tensor", shape(&[1; 17], &[1; 17])),
        refused("negative offset", "negative offset", make(Tensor { offset: -1, ..Tensor::default() })),
        refused("offset past the end", "reach past", make(Tensor { offset: 1, ..Tensor::default() })),
        refused("huge offset", "reach past", make(Tensor { offset: i64::MAX, ..Tensor::default() })),
        refused("huge storage", "a storage", legacy(&one_tensor(&huge), &[("0", i64::MAX, &pair())])),
        refused("storage of another length", "declared with", legacy(&one_tensor(&huge), &[("0", 2, &pair())])),
        refused("negative storage", "-1 elements", make(Tensor { count: -1, ..Tensor::default() })),
        refused("unknown storage", "`torch.ComplexFloatStorage` is not supported", make(unknown)),
        refused(
            "untyped storage",
            "not supported",
            make(Tensor { class: ("torch.storage", "UntypedStorage"), ..Tensor::default() }),
        ),
        refused(
            "storage twice",
            "listed twice",
            legacy(&one_tensor(&Tensor::default()), &[("0", 2, &pair()), ("0", 2, &pair())]),
        ),
        refused(
            "storage unused",
            "no tensor refers to",
            legacy(&one_tensor(&Tensor::default()), &[("0", 2, &pair()), ("1", 2, &pair())]),
        ),
        refused("storage missing", "is missing", legacy(&one_tensor(&Tensor::default()), &[])),
        refused(
            "storage of two types",
            "is declared as",
            shared(Tensor { class: ("torch", "IntStorage"), ..Tensor::default() }),
        ),
        refused("bytes behind the end", "after the last storage", [make(Tensor::default()), vec![0]].concat()),
        accepted("two views of one storage", shared(Tensor { offset: 1, shape: &[1], ..Tensor::default() })),
        accepted("axes of length 1 with wild strides", shape(&[1, 2, 1], &[i64::MAX, 1, i64::MAX])),
    ];
    for (name, view, error) in [
        ("view outside its storage", [1, 2], Some("a view of 2 elements")),
        ("view that overflows", [i64::MAX, i64::MAX], Some("a view of")),
        ("view too short for the tensor", [1, 1], Some("more elements than the 1")),
        ("view of everything", [0, 2], None),
    ] {
        let object = PickleWriter::new()
            .raw(b"}")
            .text("w")
            .global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", "FloatStorage")
            .text("0")
            .raw(b"N")
            .int(2)
            .raw(b"(")
            .text("view")
            .int(view[0])
            .int(view[1])
            .raw(b"ttQK\0(K\x02t(K\x01t\x89NtRs")
            .finish();
        cases.push(Case { name, bytes: legacy_pair(&object), error });
    }
    cases
}

/// Zip archives that are not what they say.
pub(super) fn archives() -> Vec<Case> {
    let good = || zip_members(&one_tensor(&Tensor::default()));
    let with = |change: fn(&mut Vec<Member>)| {
        let mut members = good();
        change(&mut members);
        zip(&members, None)
    };
    let many: Vec<Member> = (0..300_000).map(|i| Member::new(&format!("x/{i}"), b"")).collect();
    let mut padded = good();
    padded.extend((0..200_000).map(|i| Member::new(&format!("x/{i}"), b"")));
    let plain = zip(&good(), None);
    let mut disagreeing = plain.clone();
    let end = disagreeing.len() - 22;
    disagreeing[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    let mut far = plain.clone();
    far[end - 12..end - 4].copy_from_slice(&u64::MAX.to_le_bytes());
    vec![
        accepted("as it should be", plain.clone()),
        accepted("200,000 more members", zip(&padded, None)),
        refused("2^40 members claimed", "members in the zip", zip(&good(), Some(1 << 40))),
        refused("more members claimed", "truncated", zip(&good(), Some(4))),
        refused("fewer members claimed", "longer than its entries", zip(&good(), Some(2))),
        refused("300,000 members", "members in the zip", zip(&many, None)),
        refused("end records disagree", "disagree", disagreeing),
        refused("end record far away", "not where it should be", far),
        refused("compressed", "is compressed (method 8)", with(|m| m[0].method = 8)),
        refused("encrypted", "is encrypted", with(|m| m[0].flags = 1)),
        refused("two names", "no header of zip member", with(|m| m[2].local_name = "x/data/1".into())),
        refused("member past the end", "truncated: a zip member", with(|m| m[2].claimed = 1 << 31)),
        refused("member too short", "declared with 2 elements, the file holds 1", with(|m| m[2].claimed = 4)),
        refused("member twice", "appears twice", with(|m| m.push(m[2].clone()))),
        refused("no object", "no FOLDER/data.pkl", with(|m| drop(m.remove(0)))),
        refused("two objects", "several checkpoints", with(|m| m.push(Member::new("y/data.pkl", b"")))),
        refused("empty object", "truncated: a pickle", with(|m| m[0] = Member::new("x/data.pkl", b""))),
        refused("no storage", "storage `0` is missing", with(|m| drop(m.pop()))),
        refused("big-endian", "big-endian", with(|m| m[1] = Member::new("x/byteorder", b"big"))),
        refused("no endian", "neither little nor big", with(|m| m[1] = Member::new("x/byteorder", b""))),
        refused("no directory", "without its directory", b"PK\x03\x04".repeat(100_000)),
    ]
}

/// Safetensors headers that are not what they say.
pub(super) fn headers() -> Vec<Case> {
    let one = |info: &str, data: &[u8]| safetensors(&format!("{{\"w\":{info}}}"), data);
    // Eight ranges of 2^61 bytes each add up to 2^64, which is 0 in 64 bits.
    let wrapping = (0..8_u64).fold(String::from("{"), |mut header, index| {
        let (start, size) = (index << 61, 1_u64 << 61);
        let comma = if index == 0 { "" } else { "," };
        let end = start.wrapping_add(size);
        let _ = write!(
            header,
            "{comma}\"{index}\":{{\"dtype\":\"U8\",\"shape\":[{size}],\"data_offsets\":[{start},{end}]}}"
        );
        header
    }) + "}";
    let list = |open: &str, item: &str, close: &str, bytes: usize| {
        let items = vec![item; bytes / (item.len() + 1)].join(",");
        safetensors(&format!("{open}{items}{close}"), b"")
    };
    let tensors = (0..140_000).fold(String::from("{"), |mut header, index| {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(header, "{comma}\"{index}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        header
    }) + "}";
    let metadata = (0..500_000).fold(String::from("{\"__metadata__\":{"), |mut header, index| {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(header, "{comma}\"{index}\":\"\"");
        header
    }) + "}}";
    let allowed = (0..65_536).fold(String::from("{"), |mut header, index| {
        let comma = if index == 0 { "" } else { "," };
        let end = index + 1;
        let _ = write!(
            header,
            "{comma}\"{index:0>25}\":{{\"dtype\":\"U8\",\"shape\":[{}1],\"data_offsets\":[{index},{end}]}}",
            "1,".repeat(15)
        );
        header
    }) + "}";
    let good = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    const LARGE: usize = (8 << 20) - 100;
    vec![
        refused("endless header", "bytes of safetensors header", [&[0xff; 8][..], b"{"].concat()),
        refused("header past the end", "truncated", [&[99, 0, 0, 0, 0, 0, 0, 0][..], b"{"].concat()),
        refused("offsets that wrap around", "`0`", safetensors(&wrapping, b"")),
        refused(
            "shape that overflows",
            "tensor `w`",
            one(r#"{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}"#, b""),
        ),
        refused("backwards", "tensor `w`", one(r#"{"dtype":"U8","shape":[1],"data_offsets":[1,0]}"#, b"a")),
        refused("negative", "malformed", one(r#"{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}"#, b"a")),
        refused("past the data", "tensor `w`", one(r#"{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#, b"a")),
        refused("bytes left over", "safetensors", one(good, b"ab")),
        refused(
            "unknown type",
            "`F8_E4M3` is not supported",
            one(r#"{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}"#, b"a"),
        ),
        refused(
            "unknown field",
            "unknown field",
            one(r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1],"run":"os.system"}"#, b"a"),
        ),
        refused("name twice", "appears twice", safetensors(&format!("{{\"w\":{good},\"w\":{good}}}"), b"a")),
        refused("overlap", "offset", safetensors(&format!("{{\"v\":{good},\"w\":{good}}}"), b"a")),
        refused("deep lists", "malformed", safetensors(&format!("{{\"w\":{}", "[".repeat(1_000_000)), b"")),
        refused(
            "many axes",
            "axes",
            list("{\"w\":{\"dtype\":\"U8\",\"shape\":[", "0", "],\"data_offsets\":[0,0]}}", LARGE),
        ),
        refused("many lists", "malformed", list("{\"w\":[", "[]", "]}", LARGE)),
        accepted("as many tensors as allowed in a header", safetensors(&allowed, &[7; 65_536])),
        refused("many tensors", "65536 tensors", safetensors(&tensors, b"")),
        refused("much metadata", "4096 metadata entries", safetensors(&metadata, b"")),
        refused("no tensors", "no tensors", safetensors("{}", b"")),
        refused("not UTF-8", "malformed", [&[4, 0, 0, 0, 0, 0, 0, 0][..], b"{\xff\xff}"].concat()),
    ]
}
