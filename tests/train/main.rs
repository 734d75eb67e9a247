//! The `train` example from end to end, killed and resumed.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test train` alone does not, so build the example
//! first. More kills than CI has patience for, as many as `DERAIN_KILLS` says:
//!
//! ```text
//! DERAIN_KILLS=50 cargo test --test train kills -- --nocapture
//! ```
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

use support::stderr;

/// Kills in a run of the test suite.
const KILLS: usize = 4;

/// A folder `photos` and a configuration, gone after the test.
struct Bench(TempDir);

impl Bench {
    fn new(steps: u64) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        support::photographs(&bench.path("photos"), 5, [48, 40]);
        let config = format!(
            "output = \"unused\"\nsteps = {steps}\nbatch_size = 2\nema = 0.9\ncheckpoint_interval = 3\n[network]\nkind = \"spanet\"\nchannels = 4\n\
             [data]\nkind = \"synthesized\"\nclean = \"photos\"\nheld_out = 1\n[augment]\ncrop = {{ kind = \"window\", size = 24 }}\n\
             [schedule]\nkind = \"cosine\"\nrate = 0.01\n[validation]\ninterval = 10\nsize = 32\n"
        );
        fs::write(bench.path("train.toml"), config).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        support::command("train", self.0.path(), &format!("--config train.toml {arguments}"))
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a training has written, but for its lock.
    fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path(output)).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
        files
            .filter(|(name, path)| name.ends_with(".safetensors") && path.is_file())
            .map(|(name, path)| (name, fs::read(path).unwrap()))
            .collect()
    }

    /// The lines of a training's log, without their times.
    fn log(&self, output: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(output).join("log.jsonl")).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            line.as_object_mut().unwrap().retain(|key, _| !["time", "seconds", "waited"].contains(&key.as_str()));
        }
        lines
    }

    /// The names of a training's sample pictures.
    fn samples(&self, output: &str) -> BTreeSet<OsString> {
        fs::read_dir(self.path(output).join("samples")).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }
}

#[test]
fn a_training_runs_once_and_goes_on_with_resume() {
    let bench = Bench::new(6);
    let done = bench.run("--output run");
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(bench.files("run").len(), 3);
    assert_eq!(bench.log("run").iter().filter(|line| line["event"] == "step").count(), 6);
    assert_eq!(bench.samples("run").len(), 1);
    let again = bench.run("--output run");
    assert!(!again.status.success());
    assert!(stderr(&again).contains("resume it"), "{}", stderr(&again));
    assert!(bench.run("--output run --resume").status.success(), "nothing is left to do");
    let other = bench.run("--output run --resume --seed 5");
    assert!(!other.status.success());
    assert!(stderr(&other).contains("seed was 0 and is 5 now"), "{}", stderr(&other));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_with_a_checkpoint_that_goes_on() {
    let bench = Bench::new(1_000_000);
    // A schedule that does not depend on the length, so that the resume may be a short one.
    let config = fs::read_to_string(bench.path("train.toml")).unwrap().replace("cosine", "constant");
    fs::write(bench.path("train.toml"), config).unwrap();
    let mut child = bench.command("--output run").spawn().unwrap();
    let begun = Instant::now();
    while !bench.path("run/checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(300), "no step is taken");
        thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    let words = stderr(&stopped);
    let step = words.split("stopped after step ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    let again = bench.run(&format!("--output run --resume --steps {step}"));
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stderr(&again).contains(&format!("going on after step {step}, the last")), "{}", stderr(&again));
}

/// As below `nohup`, when its terminal is closed.
#[cfg(unix)]
#[test]
fn a_hangup_that_is_ignored_ends_nothing() {
    // Else `sh` cannot undo it.
    if fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangups(&status)) {
        println!("skipped: hangups are ignored here");
        return;
    }
    let bench = Bench::new(1_000_000);
    let length = |output: &str| fs::metadata(bench.path(output).join("log.jsonl")).map_or(0, |log| log.len());
    for (trap, goes_on) in [("", false), ("trap '' HUP; ", true)] {
        let output = format!("run-{goes_on}");
        let inner = bench.command(&format!("--output {output}"));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{trap}exec \"$0\" \"$@\"")]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(bench.path("")).env_remove("RUST_LOG").stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        while !bench.path(&output).join("checkpoint.safetensors").exists() {
            assert!(child.try_wait().unwrap().is_none(), "ended before its first checkpoint");
            thread::sleep(Duration::from_millis(2));
        }
        let id = child.id().to_string();
        let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        signal("-HUP");
        if goes_on {
            // Ten steps, each of a line of a hundred bytes or more.
            let before = length(&output);
            while length(&output) < before + 1000 {
                assert!(child.try_wait().unwrap().is_none(), "the hangup ended it");
                thread::sleep(Duration::from_millis(2));
            }
            signal("-TERM");
        }
        let done = child.wait_with_output().unwrap();
        assert!(stderr(&done).contains("stopped after step"), "{}", stderr(&done));
    }
}

/// By Linux's table of a process: the first signal is the last digit's lowest bit, and it is the hangup.
#[cfg(unix)]
fn ignores_hangups(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).is_some_and(|signals| signals & 1 == 1)
}

#[test]
fn bad_input_is_named() {
    let bench = Bench::new(6);
    let missing = bench.run("--output run --data nowhere");
    assert!(!missing.status.success());
    assert!(stderr(&missing).contains("nowhere") && !bench.path("run").exists(), "{}", stderr(&missing));
    fs::write(bench.path("train.toml"), "stepps = 1").unwrap();
    let unknown = bench.run("--output run");
    assert!(!unknown.status.success());
    assert!(stderr(&unknown).contains("stepps"), "{}", stderr(&unknown));
}

#[test]
fn kills_at_random_moments_change_no_bit() {
    let kills = std::env::var("DERAIN_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let bench = Bench::new(40);
    let begun = Instant::now();
    let whole = bench.run("--output whole");
    assert!(whole.status.success(), "{}", stderr(&whole));
    let whole_run = begun.elapsed();
    let (whole, log, samples) = (bench.files("whole"), bench.log("whole"), bench.samples("whole"));
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        round += 1;
        let output = format!("broken{round}");
        for _ in 0..100 {
            let mut child = bench.command(&format!("--output {output} --resume")).spawn().unwrap();
            if killed < kills {
                let least = Duration::from_millis(5);
                thread::sleep(least + (whole_run / 2).mul_f64(rng.random::<f64>()));
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    killed += 1;
                }
            }
            let ended = child.wait_with_output().unwrap();
            if ended.status.success() {
                break;
            }
        }
        assert!(whole == bench.files(&output), "{output}: the files differ after {killed} kills");
        assert_eq!(log, bench.log(&output), "{output}: the logs differ after {killed} kills");
        assert_eq!(samples, bench.samples(&output), "{output}: the samples differ after {killed} kills");
    }
    println!("{killed} kills over {round} trainings");
}
