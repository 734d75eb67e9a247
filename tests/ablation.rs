//! The `ablation` example from end to end, with tiny networks.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test ablation` alone does not, so build the
//! example first.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

mod support;

use support::{assert_done, assert_failed};

/// A folder `photos` and a configuration, gone after the test.
struct Bench(TempDir);

impl Bench {
    fn new(network: &str) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        support::photographs(&bench.path("photos"), 4, [40, 32]);
        let config = format!(
            "output = \"unused\"\nsteps = 3\nbatch_size = 2\n[network]\n{network}\n[data]\nkind = \"synthesized\"\nclean = \"photos\"\nheld_out = 1\n\
             [augment]\ncrop = {{ kind = \"window\", size = 24 }}\n[validation]\nsize = 32\n"
        );
        fs::write(bench.path("train.toml"), config).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        support::command("ablation", self.0.path(), &format!("--config train.toml {arguments}"))
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn table(&self, output: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(output).join("table.json")).unwrap()).unwrap()
    }
}

#[test]
fn six_variants_are_compared_and_a_kill_changes_nothing() {
    let bench = Bench::new("kind = \"spanet\"\nchannels = 4");
    assert_done(&bench.run("--output whole"));
    let table = bench.table("whole");
    let variants = table["variants"].as_array().unwrap();
    let names: BTreeSet<&str> = variants.iter().map(|variant| variant["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 6);
    let scores: BTreeSet<String> = variants.iter().map(|variant| variant["output"]["psnr"].to_string()).collect();
    assert!(scores.len() >= 5, "{scores:?}");
    let parameters =
        |name: &str| variants.iter().find(|variant| variant["name"] == name).unwrap()["parameters"].as_u64().unwrap();
    assert!(parameters("none") < parameters("once") && parameters("shared") < parameters("separate"));
    assert_eq!(parameters("once"), parameters("shared"));
    assert!(variants.iter().all(|variant| variant["step"] == 3 && variant["input"] == variants[0]["input"]));
    let markdown = fs::read_to_string(bench.path("whole/table.md")).unwrap();
    assert_eq!(markdown.lines().count(), 2 + 1 + 6);

    let mut child = bench.command("--output broken").spawn().unwrap();
    while !bench.path("broken/once/lock").exists() {
        thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "ended before it was killed");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("broken/table.json").exists());
    assert_failed(&bench.run("--output broken"), "resume");
    assert_done(&bench.run("--output broken --resume"));
    assert_eq!(bench.table("broken"), table);
}

/// A mean of such has no number in JSON.
#[test]
fn pairs_that_are_dry_already_may_validate_and_other_pairs_are_not_mixed_in() {
    let bench = Bench::new("kind = \"spanet\"\nchannels = 4");
    support::photographs(&bench.path("other"), 2, [40, 32]);
    let validate_on = |folder: &str| {
        let config = fs::read_to_string(bench.path("train.toml")).unwrap();
        let (before, _) = config.split_once("[validation]").unwrap();
        let pairs = format!("pairs = [{{ rainy = \"{folder}\", clean = \"{folder}\" }}]");
        fs::write(
            bench.path("train.toml"),
            format!("{before}[validation]\nsize = 32\n{pairs}\n").replace("held_out = 1\n", ""),
        )
        .unwrap();
    };
    validate_on("photos");
    assert_done(&bench.run("--output run"));
    let table = bench.table("run");
    assert_eq!(table["variants"][5]["input"]["psnr"], "inf");
    assert_eq!(table["variants"][5]["pairs"], 4);
    // All variants are done; each is validated anew.
    validate_on("other");
    assert_done(&bench.run("--output run --resume"));
    assert!(bench.table("run")["variants"].as_array().unwrap().iter().all(|variant| variant["pairs"] == 2));
}

#[test]
fn other_networks_have_no_table_4() {
    let bench = Bench::new("kind = \"rranet\"");
    assert_failed(&bench.run("--output run"), "does not train SPANet");
    assert!(!bench.path("run").exists());
}

#[test]
fn without_a_validation_nothing_is_trained() {
    let bench = Bench::new("kind = \"spanet\"\nchannels = 4");
    let config = fs::read_to_string(bench.path("train.toml")).unwrap().replace("held_out = 1\n", "");
    fs::write(bench.path("train.toml"), config).unwrap();
    assert_failed(&bench.run("--output run"), "held_out");
    assert!(!bench.path("run/none/checkpoint.safetensors").exists());
}
