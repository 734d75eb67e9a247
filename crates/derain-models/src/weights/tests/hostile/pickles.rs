//! Pickles that want to run something, nest without end or hold very much.

use super::super::builder::{PickleWriter, Tensor, beside, legacy, legacy_pair, zip, zip_members};
use super::{Case, accepted, refused};

/// Pickles that want to run something.
pub(super) fn code() -> Vec<Case> {
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

const DEEP: usize = 1_000_000;

/// Nesting and sharing without end.
pub(super) fn nesting() -> Vec<Case> {
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
pub(super) fn floods() -> Vec<Case> {
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
