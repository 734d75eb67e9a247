//! Files that want too much: time, memory, stack or the machine. The unit tests check the errors,
//! the integration test `hostile_weights` the memory.

use std::fmt::Write;

use super::builder::{
    Member, PickleWriter, Tensor, beside, legacy, legacy_pair, one_tensor, pair, safetensors, zip, zip_members,
};

/// A file and what must come of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Part of the error's message; `None` for a file that is odd but readable.
    pub(crate) error: Option<&'static str>,
}

fn refused(name: &'static str, error: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, error: Some(error) }
}

fn accepted(name: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, error: None }
}

/// Number of groups that [`group`] makes.
pub(crate) const GROUPS: usize = 6;

/// The cases, in groups so that not all large files need to exist at once.
pub(crate) fn group(index: usize) -> Vec<Case> {
    match index {
        0 => code(),
        1 => claims(),
        2 => nesting(),
        3 => floods(),
        4 => archives(),
        _ => headers(),
    }
}

/// Pickles that want to run something.
fn code() -> Vec<Case> {
    let shell = |hostile: fn(PickleWriter) -> PickleWriter| legacy_pair(&beside(hostile));
    vec![
        refused(
            "GLOBAL and REDUCE",
            "wants to run `os.system`",
            shell(|w| w.global("os", "system").raw(b"(").text("true").raw(b"tR")),
        ),
        refused("GLOBAL alone", "wants to run `builtins.eval`", shell(|w| w.global("builtins", "eval"))),
        refused("STACK_GLOBAL", "wants to run `posix.system`", shell(|w| w.text("posix").text("system").raw(b"\x93"))),
        refused(
            "names joined otherwise",
            "wants to run `torch._utils.os.system`",
            shell(|w| w.text("torch._utils").text("os.system").raw(b"\x93")),
        ),
        refused("INST", "wants to run `os.system`", shell(|w| w.raw(b"(").text("true").raw(b"ios\nsystem\n"))),
        refused(
            "OBJ",
            "wants to run `subprocess.Popen`",
            shell(|w| w.raw(b"(").global("subprocess", "Popen").text("true").raw(b"o")),
        ),
        refused(
            "OBJ of an allowed class",
            "a class's constructor (OBJ)",
            shell(|w| w.raw(b"(").global("collections", "OrderedDict").raw(b"o")),
        ),
        refused("NEWOBJ", "a class's constructor (NEWOBJ)", shell(|w| w.global("torch", "Size").raw(b")\x81"))),
        refused("NEWOBJ_EX", "a class's constructor (NEWOBJ_EX)", shell(|w| w.global("torch", "Size").raw(b")}\x92"))),
        refused(
            "BUILD of a tensor",
            "wants to run `__setstate__ of a tensor`",
            shell(|w| w.tensor(&Tensor::default()).raw(b"}b")),
        ),
        refused(
            "BUILD of a function",
            "wants to run `__setstate__ of a function`",
            shell(|w| w.global("collections", "OrderedDict").raw(b"}b")),
        ),
        refused("REDUCE of a string", "a call of a string", shell(|w| w.text("os.system").raw(b")R"))),
        refused("extension registry", "opcode 0x82", shell(|w| w.raw(b"\x82\x01"))),
        refused("text persistent id", "opcode 0x50", shell(|w| w.raw(b"Pmodule\n"))),
        refused(
            "a name that would clear the terminal",
            "wants to run `os.\\u{1b}[2J`",
            shell(|w| w.global("os", "\u{1b}[2J")),
        ),
        refused("in a zip", "wants to run `os.system`", zip(&zip_members(&beside(|w| w.global("os", "system"))), None)),
    ]
}

/// Tensors and storages whose numbers cannot be.
fn claims() -> Vec<Case> {
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

const DEEP: usize = 1_000_000;

/// Nesting and sharing without end.
fn nesting() -> Vec<Case> {
    let make = |write: fn(PickleWriter) -> PickleWriter| legacy_pair(&beside(write));
    // Each list holds ten times the one before: 10^64 entries if they were copied.
    let laughs = |write: PickleWriter| {
        let first = write.raw(b"](K\x01K\x02eq\0");
        (0..64_u8).fold(first, |w, level| {
            let get = [b'h', level];
            w.raw(b"](").repeat(&get, 10).raw(b"e").raw(&[b'q', level + 1])
        })
    };
    let laughs = beside(|w| {
        let written = laughs(w.raw(b"("));
        // The memo keeps the last; the others leave the stack.
        written.raw(b"1h\x40")
    });
    vec![
        accepted("a million lists", make(|w| w.repeat(b"]", DEEP).repeat(b"a", DEEP - 1))),
        accepted("a million tuples by marks", make(|w| w.repeat(b"(", DEEP).repeat(b"t", DEEP))),
        accepted("a million tuples of one", make(|w| w.raw(b")").repeat(b"\x85", DEEP))),
        accepted("half a million dicts", make(|w| w.repeat(b"}N", DEEP / 2).raw(b"N").repeat(b"s", DEEP / 2))),
        accepted("billion laughs", legacy_pair(&laughs)),
        accepted("a list that holds itself", make(|w| w.raw(b"]q\0h\0a"))),
        accepted("a dict that holds itself", make(|w| w.raw(b"}q\0Nh\0s"))),
        refused(
            "a state dict that holds itself",
            "no tensors found; the file holds: `net`",
            legacy(&PickleWriter::new().raw(b"}q\0").text("net").raw(b"h\0s").finish(), &[]),
        ),
        refused(
            "a million lists as the object",
            "a list instead of a dict",
            legacy(&PickleWriter::new().repeat(b"]", DEEP).repeat(b"a", DEEP - 1).finish(), &[]),
        ),
    ]
}

/// Pickles of very many small things.
fn floods() -> Vec<Case> {
    let bare = |w: PickleWriter| legacy(&w.finish(), &[]);
    let new = PickleWriter::new;
    let memo = (0..3_000_000_u32).fold(new().raw(b"N"), |w, slot| w.raw(b"r").raw(&slot.to_le_bytes()));
    let pid = new().raw(b"(").text("storage").global("torch", "FloatStorage").text("0").raw(b"NK\x02tq\0");
    let tensors = new()
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw(b"q\0(")
        .storage(&Tensor::default())
        .raw(b"K\0K\x02\x85K\x01\x85\x89Ntq\x01");
    let dicts = new()
        .raw(b"}(")
        .tensor(&Tensor::default())
        .raw(b"q\x01")
        .text("k")
        .raw(b"q\x021(")
        .repeat(b"h\x02}Nh\x01s", 900_000)
        .raw(b"u");
    let names = (0..70_000)
        .fold(new().tensor(&Tensor::default()).raw(b"q\x000}("), |w, index| w.text(&format!("{index}")).raw(b"h\0"));
    let pairs = new()
        .raw(b"](NN\x86q\x00")
        .repeat(b"h\0", 500_000)
        .raw(b"eq\x01")
        .repeat(b"ccollections\nOrderedDict\nh\x01\x85R0", 100);
    // Nearly as much of everything as is allowed, and a good tensor at the end.
    let allowed = (0..65_536).fold(new().tensor(&Tensor::default()).raw(b"q\x000}("), |w, index| {
        w.text(&format!("{index:0>512}")).raw(b"h\0")
    });
    let most = beside(|w| {
        let memo = (256..1_000_000_u32).fold(w.raw(b"(]q\0("), |w, slot| w.raw(b"Nr").raw(&slot.to_le_bytes()));
        let pid = |w: PickleWriter| {
            w.raw(b"(").text("storage").global("torch", "FloatStorage").text("0").raw(b"NK\x02tq\x01")
        };
        pid(memo.raw(b"e").repeat(b"]h\0a", 1_000_000)).repeat(b"h\x01Q", 50_000).raw(b"1N")
    });
    vec![
        refused("Nones", "values in the pickle", bare(new().repeat(b"N", 5_000_000))),
        refused("lists", "values in the pickle", bare(new().repeat(b"]", 5_000_000))),
        refused("dicts of lists", "values in the pickle", bare(new().repeat(b"}N]s0", 3_000_000))),
        refused("marks", "values on the pickle's stack", bare(new().repeat(b"(", 5_000_000))),
        refused(
            "one value many times",
            "values on the pickle's stack",
            bare(new().raw(b"Nq\0").repeat(b"h\0", 3_000_000)),
        ),
        refused("memo", "memo slots", bare(memo)),
        refused("entries", "container entries", bare(new().raw(b"]q\0").repeat(b"h\0a", 5_000_000))),
        refused("opcodes", "opcodes in the pickle", bare(new().raw(b"Nq\0").repeat(b"h\x000", 9_000_000))),
        refused("storages", "storages", bare(pid.repeat(b"h\0Q0", 400_000))),
        refused("tensors", "tensors", bare(tensors.repeat(b"h\0h\x01R0", 400_000))),
        refused("dicts with a tensor each", "several entries could be the weights", legacy_pair(&dicts.finish())),
        refused("named tensors", "named tensors", legacy_pair(&names.raw(b"u").finish())),
        refused("dicts from pairs", "container entries", bare(pairs)),
        refused("a long integer", "truncated: an integer", bare(new().raw(b"\x8b\xff\xff\xff\x7f"))),
        refused("an integer of negative length", "an integer of -1 bytes", bare(new().raw(b"\x8b\xff\xff\xff\xff"))),
        refused("a long string", "truncated: a string", bare(new().raw(b"\x8d").raw(&[0xff; 8]))),
        refused("long bytes", "truncated: bytes", bare(new().raw(b"\x8e").raw(&[0xff; 8]))),
        refused("a long line", "bytes in a line", bare(new().raw(b"c").repeat(b"a", 10_000_000))),
        accepted("as many tensors as allowed", legacy_pair(&allowed.raw(b"u").finish())),
        accepted("a little of everything", legacy_pair(&most)),
    ]
}

/// Zip archives that are not what they say.
fn archives() -> Vec<Case> {
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
fn headers() -> Vec<Case> {
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
