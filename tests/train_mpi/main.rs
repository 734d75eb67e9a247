//! The `train` example under `mpirun`, with small networks on pictures made here.
//!
//! `cargo test --features mpi` builds the examples before it runs this; `--test train_mpi` alone does not, so build the
//! example first, with the feature.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

mod bench;
#[path = "../support/mod.rs"]
mod support;

use bench::{Bench, SPANET, ended};

/// What a run under test may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn two_ranks_end_with_the_bits_of_one_process() {
    for (name, network) in bench::NETWORKS {
        let bench = Bench::new();
        let config = bench.config(name, network, 2, 20);
        bench.done(1, &config, "-o alone");
        bench.done(2, &config, "-o together");
        bench.assert_same("alone", "together", &["checkpoint", "last", "best"]);
    }
}

#[test]
fn the_number_of_ranks_may_change_on_resume() {
    for (name, network) in bench::NETWORKS {
        let bench = Bench::new();
        let config = bench.config(name, network, 0, 20);
        bench.done(1, &config, "-o unbroken");
        bench.done(2, &config, "-o broken --steps 7");
        bench.done(1, &config, "-o broken --steps 13 --resume");
        bench.done(2, &config, "-o broken --resume");
        bench.assert_same("unbroken", "broken", &["checkpoint", "last"]);
    }
}

#[test]
fn a_picture_that_one_rank_cannot_read_ends_both_with_one_message() {
    let bench = Bench::new();
    fs::write(bench.path("photos/03.png"), b"no picture").unwrap();
    let output = ended(bench.start(2, &bench.config("spanet", SPANET, 0, 20), "-o run"), PATIENCE);
    let errors: Vec<&str> = output.stderr.lines().filter(|line| line.contains("error:")).collect();
    assert!(!output.success && errors.len() == 1 && errors[0].contains("03.png"), "{}", output.stderr);
}

#[test]
fn parts_that_ranks_cannot_share_are_refused() {
    let bench = Bench::new();
    let output = ended(bench.start(3, &bench.config("spanet", SPANET, 0, 20), "-o run"), PATIENCE);
    let told = output.stderr.matches("error: `micro_batches` is 2, which 3 ranks cannot share evenly").count();
    assert!(!output.success && told == 1, "{}", output.stderr);
}

#[test]
fn a_signal_to_one_rank_ends_both_with_a_checkpoint() {
    let bench = Bench::new();
    let config = bench.config("spanet", SPANET, 0, 1_000_000);
    let started = bench.start(2, &config, "-o run");
    let begun = Instant::now();
    while !bench.path("run/checkpoint.safetensors").exists() {
        assert!(begun.elapsed() < PATIENCE, "no checkpoint was written");
        thread::sleep(Duration::from_millis(20));
    }
    bench.terminate(1);
    let output = ended(started, PATIENCE);
    assert!(!output.success && output.stderr.matches("stopped after step").count() == 1, "{}", output.stderr);
    let step = output.stderr.split("stopped after step ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let more = step.parse::<u64>().unwrap() + 2;
    // From that very step.
    let output = ended(bench.start(1, &config, &format!("-o run --resume --steps {more}")), PATIENCE);
    assert!(output.success && output.stderr.contains(&format!("going on after step {step}")), "{}", output.stderr);
}

#[test]
fn a_rank_that_is_killed_ends_the_other() {
    let bench = Bench::new();
    let started = bench.start(2, &bench.config("spanet", SPANET, 0, 1_000_000), "-o run");
    let begun = Instant::now();
    while !bench.path("run/checkpoint.safetensors").exists() {
        assert!(begun.elapsed() < PATIENCE, "no checkpoint was written");
        thread::sleep(Duration::from_millis(20));
    }
    bench.kill(1);
    assert!(!ended(started, PATIENCE).success);
}
