//! What tests of examples share: where an example lies, what it left, what it must have said.
#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The example's program, which lies beside this test's.
pub(crate) fn example(name: &str) -> PathBuf {
    // .../target/PROFILE/deps/TEST-HASH
    let test = std::env::current_exe().unwrap();
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(file);
    assert!(path.exists(), "{} is missing: cargo build --example {name}, with the test's features", path.display());
    path
}

/// Every file below a folder, relative to it and sorted.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/")),
            }
        }
    }
    files.sort();
    files
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub(crate) fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert!(output.stdout.is_empty());
}

/// The run failed, and said so with these words.
#[track_caller]
pub(crate) fn assert_failed(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert!(stderr(output).contains(words), "`{words}` is not in:\n{}", stderr(output));
}
