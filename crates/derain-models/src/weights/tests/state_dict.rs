//! Where the weights lie in a checkpoint.

use super::builder::{PickleWriter, Tensor, legacy_pair};
use crate::weights::{STATE_DICT_KEYS, WeightError, WeightFile};

fn names(file: &WeightFile) -> Vec<&str> {
    file.tensors.keys().map(String::as_str).collect()
}

fn read(object: PickleWriter) -> Result<WeightFile, WeightError> {
    WeightFile::parse(&legacy_pair(&object.finish()))
}

fn entry(writer: PickleWriter, name: &str) -> PickleWriter {
    writer.text(name).tensor(&Tensor::default()).raw(b"s")
}

/// `}` and one tensor: a state dict.
fn state(writer: PickleWriter, name: &str) -> PickleWriter {
    entry(writer.raw(b"}"), name)
}

#[test]
fn found_under_every_usual_key() {
    for key in STATE_DICT_KEYS {
        let object = PickleWriter::new().raw(b"}").text("step").int(3).raw(b"s").text(key);
        let file = read(state(object, "w").raw(b"s")).unwrap();
        assert_eq!(file.found_under.as_deref(), Some(key));
        assert_eq!((names(&file), file.ignored.as_slice()), (vec!["w"], &["step".to_owned()][..]));
    }
}

#[test]
fn found_at_the_top_or_under_the_only_key() {
    let top = read(state(PickleWriter::new(), "w").text("epoch").int(1).raw(b"s")).unwrap();
    assert_eq!((names(&top), top.found_under.as_deref()), (vec!["w"], None));
    assert_eq!(top.ignored, ["epoch"]);

    let object = PickleWriter::new().raw(b"}").text("derainer");
    let only = read(state(object, "w").raw(b"s")).unwrap();
    assert_eq!(only.found_under.as_deref(), Some("derainer"));
}

#[test]
fn averaged_weights_come_first() {
    let object = state(PickleWriter::new().raw(b"}").text("params"), "raw").raw(b"s");
    let file = read(state(object.text("params_ema"), "averaged").raw(b"s")).unwrap();
    assert_eq!(names(&file), ["averaged"]);
    assert_eq!(file.ignored, ["params"]);
}

#[test]
fn two_candidates_are_not_guessed_between() {
    let object = state(PickleWriter::new().raw(b"}").text("first"), "w").raw(b"s");
    let message = read(state(object.text("second"), "w").raw(b"s")).unwrap_err().to_string();
    assert!(message.contains("`first`, `second`"), "{message}");
}

#[test]
fn a_file_without_tensors_lists_its_keys() {
    let object = PickleWriter::new().raw(b"}").text("epoch").int(1).raw(b"s").text("lr").raw(b"G\0\0\0\0\0\0\0\0s");
    let bytes = super::builder::legacy(&object.finish(), &[]);
    let message = WeightFile::parse(&bytes).unwrap_err().to_string();
    assert_eq!(message, "no tensors found; the file holds: `epoch`, `lr`");
}

#[test]
fn the_parallel_prefix_goes_where_all_names_have_it() {
    let all = entry(state(PickleWriter::new(), "module.a"), "module.b");
    assert_eq!(names(&read(all).unwrap()), ["a", "b"]);
    let twice = state(PickleWriter::new(), "module.module.a");
    assert_eq!(names(&read(twice).unwrap()), ["a"]);
    let some = entry(state(PickleWriter::new(), "module.a"), "b");
    assert_eq!(names(&read(some).unwrap()), ["b", "module.a"]);
}

#[test]
fn a_name_twice_is_an_error() {
    let twice = entry(state(PickleWriter::new(), "module.a"), "module.a");
    assert!(matches!(read(twice), Err(WeightError::DuplicateName { name }) if name == "a"));
    let key = PickleWriter::new().raw(b"}").text("net");
    let key = state(state(key, "a").raw(b"s").text("net"), "b").raw(b"s");
    assert!(matches!(read(key), Err(WeightError::DuplicateName { name }) if name == "net"));
}

#[test]
fn long_names_and_other_keys_are_errors() {
    let long = state(PickleWriter::new(), &"n".repeat(513));
    assert!(matches!(read(long), Err(WeightError::LimitExceeded { .. })));
    let number = PickleWriter::new().raw(b"}").int(5).tensor(&Tensor::default()).raw(b"s");
    assert!(matches!(read(number), Err(WeightError::Malformed { .. })));
}

/// What optimizers, schedules and older versions leave beside and around the weights.
#[test]
fn harmless_content_is_read_past() {
    let object = PickleWriter::new()
        .raw(b"}(")
        .text("net")
        .global("collections", "OrderedDict")
        .raw(b")R(")
        .text("w")
        .global("torch._utils", "_rebuild_parameter")
        .raw(b"(")
        .tensor(&Tensor::default())
        .raw(b"\x88ccollections\nOrderedDict\n)RtRu")
        // The modules' versions, as state of the OrderedDict.
        .raw(b"}")
        .text("_metadata")
        .raw(b"}sb")
        .text("optimizer")
        .raw(b"}(")
        .text("state")
        .raw(b"}K\x00}")
        .text("moment")
        .tensor(&Tensor::default())
        .raw(b"ss")
        .text("betas")
        .raw(b"G?\xec\xcc\xcc\xcc\xcc\xcc\xcdG?\xef\xf7\xce\xd9\x16\x87+\x86")
        .text("milestones")
        .global("collections", "Counter")
        .raw(b"}K\x05K\x01s\x85R")
        .text("ids")
        .raw(b"](\x8a\x06\x01\x02\x03\x04\x05\x06J\xff\xff\xff\xffM\x01\x00e")
        .text("size")
        .global("torch", "Size")
        .raw(b"K\x01\x85\x85R")
        .text("amsgrad")
        .raw(b"\x89")
        .text("best")
        .raw(b"N")
        .text("set")
        .raw(b"\x8f(K\x01K\x02\x90")
        .raw(b"u")
        .raw(b"u");
    let file = read(object).unwrap();
    assert_eq!((names(&file), file.ignored.as_slice()), (vec!["w"], &["optimizer".to_owned()][..]));
}

#[test]
fn python_2_and_protocol_4_are_understood() {
    // Python 2: byte strings, and an OrderedDict from a list of pairs.
    let pairs = PickleWriter::new()
        .global("collections", "OrderedDict")
        .raw(b"](](U\x01w")
        .global("torch._utils", "_rebuild_tensor")
        .raw(b"(")
        .storage(&Tensor::default())
        .raw(b"K\x00K\x02\x85K\x01\x85tRee\x85R");
    assert_eq!(names(&read(pairs).unwrap()), ["w"]);

    // Protocol 4: frames, short strings, MEMOIZE and STACK_GLOBAL.
    let object = PickleWriter::new()
        .raw(b"\x80\x04\x95\0\0\0\0\0\0\0\0}\x94\x8c\x01w\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94\x93\x94(")
        .storage(&Tensor::default())
        .raw(b"K\0K\x02\x85\x94K\x01\x85\x94\x89}\x94t\x94R\x94s");
    let mut bytes = object.finish();
    // The writer's own PROTO.
    bytes.drain(..2);
    assert_eq!(names(&WeightFile::parse(&legacy_pair(&bytes)).unwrap()), ["w"]);
}
