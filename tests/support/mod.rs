//! What tests of examples share: where an example lies, what it left, what it must have said.
#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{Rgb, RgbImage};

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

/// Makes a folder of patterned photographs.
pub(crate) fn photographs(folder: &Path, count: u32, [width, height]: [u32; 2]) {
    fs::create_dir(folder).unwrap();
    for photo in 0..count {
        let level = |x, y, k| ((x * (k + photo) + y * 3) % 97 + 60) as u8;
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([1, 2, 5].map(|k| level(x, y, k))));
        picture.save(folder.join(format!("{photo}.png"))).unwrap();
    }
}

/// An example that is to run in a folder with arguments separated by spaces, its output caught.
pub(crate) fn command(example_name: &str, folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(example(example_name));
    command.args(arguments.split_whitespace()).current_dir(folder).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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
