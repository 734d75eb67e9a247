//! Writes pickles, checkpoints and zip archives byte by byte, valid or not.

/// A pickle in the making.
#[derive(Clone)]
pub(crate) struct PickleWriter {
    bytes: Vec<u8>,
}

/// A call of `_rebuild_tensor_v2` on a `torch.FloatStorage` unless `class` says otherwise.
#[derive(Clone)]
pub(crate) struct Tensor<'a> {
    pub(crate) class: (&'a str, &'a str),
    pub(crate) key: &'a str,
    /// Elements of the storage.
    pub(crate) count: i64,
    pub(crate) offset: i64,
    pub(crate) shape: &'a [i64],
    pub(crate) strides: &'a [i64],
}

impl Default for Tensor<'_> {
    fn default() -> Self {
        Self { class: ("torch", "FloatStorage"), key: "0", count: 2, offset: 0, shape: &[2], strides: &[1] }
    }
}

impl PickleWriter {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0x80, 2] }
    }

    /// Appends opcodes as they are.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn repeat(mut self, bytes: &[u8], times: usize) -> Self {
        self.bytes.reserve(bytes.len() * times);
        for _ in 0..times {
            self.bytes.extend_from_slice(bytes);
        }
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = text.len() as u32;
        self.raw(b"X").raw(&length.to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    fn ints(self, values: &[i64]) -> Self {
        let opened = self.raw(b"(");
        values.iter().fold(opened, |w, &value| w.int(value)).raw(b"t")
    }

    /// The persistent id of the tensor's storage, turned into the storage.
    pub(crate) fn storage(self, tensor: &Tensor<'_>) -> Self {
        self.raw(b"(")
            .text("storage")
            .global(tensor.class.0, tensor.class.1)
            .text(tensor.key)
            .text("cpu")
            .int(tensor.count)
            .raw(b"NtQ")
    }

    pub(crate) fn tensor(self, tensor: &Tensor<'_>) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(tensor)
            .int(tensor.offset)
            .ints(tensor.shape)
            .ints(tensor.strides)
            .raw(b"\x89NtR")
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.raw(b".").bytes
    }
}

/// A pickle of `{"w": tensor}`.
pub(crate) fn one_tensor(tensor: &Tensor<'_>) -> Vec<u8> {
    PickleWriter::new().raw(b"}").text("w").tensor(tensor).raw(b"s").finish()
}

/// A pickle of `{"w": tensor of two floats, "x": …}`, the last written by `hostile`.
pub(crate) fn beside(hostile: impl FnOnce(PickleWriter) -> PickleWriter) -> Vec<u8> {
    let opened = PickleWriter::new().raw(b"}").text("w").tensor(&Tensor::default()).raw(b"s").text("x");
    hostile(opened).raw(b"s").finish()
}

/// A legacy checkpoint of a pickled object and its storages: key, declared elements, bytes.
pub(crate) fn legacy(object: &[u8], storages: &[(&str, i64, &[u8])]) -> Vec<u8> {
    legacy_of(b"\x80\x02\x88.", object, storages)
}

/// The same with a pickle of its own for the value of `little_endian`.
pub(crate) fn legacy_of(little_endian: &[u8], object: &[u8], storages: &[(&str, i64, &[u8])]) -> Vec<u8> {
    let value = &little_endian[2..little_endian.len() - 1];
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let system = PickleWriter::new().raw(b"}").text("little_endian").raw(value).raw(b"s").finish();
    let keys = storages.iter().fold(PickleWriter::new().raw(b"]"), |w, (key, _, _)| w.text(key).raw(b"a")).finish();
    let mut file = [magic.as_slice(), b"\x80\x02M\xe9\x03.", &system, object, &keys].concat();
    for (_, count, bytes) in storages {
        file.extend_from_slice(&count.to_le_bytes());
        file.extend_from_slice(bytes);
    }
    file
}

/// A legacy checkpoint of `object` with one storage, "0", of two floats: 0.5 and -1.
pub(crate) fn legacy_pair(object: &[u8]) -> Vec<u8> {
    legacy(object, &[("0", 2, &pair())])
}

/// 0.5 and -1 as `f32`.
pub(crate) fn pair() -> [u8; 8] {
    [0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf]
}

/// One member of a zip archive, with what its headers claim.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) local_name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) claimed: u32,
}

impl Member {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            local_name: name.to_owned(),
            bytes: bytes.to_vec(),
            flags: 0,
            method: 0,
            claimed: bytes.len() as u32,
        }
    }
}

/// Members of a checkpoint of `object` with one storage, "0", of two floats.
pub(crate) fn zip_members(object: &[u8]) -> Vec<Member> {
    vec![Member::new("x/data.pkl", object), Member::new("x/byteorder", b"little"), Member::new("x/data/0", &pair())]
}

/// A zip archive with a zip64 end record, as torch writes it; `entries` is what the end records
/// claim where it is not the number of members.
pub(crate) fn zip(members: &[Member], entries: Option<u64>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let offset = file.len() as u32;
        let common = [
            &member.flags.to_le_bytes()[..],
            &member.method.to_le_bytes(),
            // Time, date and checksum.
            &[0; 8],
            &member.claimed.to_le_bytes(),
            &member.claimed.to_le_bytes(),
        ]
        .concat();
        file.extend_from_slice(b"PK\x03\x04\x14\0");
        file.extend_from_slice(&common);
        file.extend_from_slice(&(member.local_name.len() as u16).to_le_bytes());
        file.extend_from_slice(&[0, 0]);
        file.extend_from_slice(member.local_name.as_bytes());
        file.extend_from_slice(&member.bytes);

        directory.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&(member.name.len() as u16).to_le_bytes());
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let start = file.len() as u64;
    let size = directory.len() as u64;
    let entries = entries.unwrap_or(members.len() as u64);
    file.extend_from_slice(&directory);
    let wide_end = file.len() as u64;
    file.extend_from_slice(b"PK\x06\x06");
    file.extend_from_slice(&44_u64.to_le_bytes());
    file.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for field in [entries, entries, size, start] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    file.extend_from_slice(&wide_end.to_le_bytes());
    file.extend_from_slice(&[1, 0, 0, 0]);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&[0xff; 12]);
    file.extend_from_slice(&[0, 0]);
    file
}

/// A safetensors file of a header as it is and data.
pub(crate) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let length = header.len() as u64;
    [&length.to_le_bytes()[..], header.as_bytes(), data].concat()
}
