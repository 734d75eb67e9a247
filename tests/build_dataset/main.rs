//! The `build_dataset` example from end to end, killed and resumed.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test build_dataset` alone does
//! not, so build the example first. More kills than CI has patience for, as many as `DERAIN_KILLS` says:
//!
//! ```text
//! DERAIN_KILLS=50 cargo test --test build_dataset kills -- --nocapture
//! ```
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

use support::{assert_done, assert_failed, stderr};

/// Kills in a run of the test suite.
const KILLS: usize = 5;

/// A folder `in` of videos, gone after the test.
struct Bench(TempDir);

impl Bench {
    /// Videos of 64 x 48 in the rain.
    fn new(videos: u32, frames: u32) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for video in 0..videos {
            let folder = bench.path(&format!("in/scene{video}"));
            fs::create_dir_all(&folder).unwrap();
            for frame in 0..frames {
                let picture = RgbImage::from_fn(64, 48, |x, y| {
                    // Short streaks that have nothing to do with those of other frames: a pattern that moved would be a
                    // moving scene.
                    let mixed = |values: [u32; 3]| {
                        values.into_iter().fold(0u32, |hash, value| {
                            let mixed = (hash ^ value).wrapping_mul(0x9e37_79b1);
                            (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77)
                        }) >> 24
                    };
                    // A rough wall: on a smooth one, nobody could tell whether the camera moves.
                    let wall = (mixed([x / 3, y / 3, 1000 + video]) / 2) as u8;
                    let rain = if mixed([x, y / 6, frame]) < 16 { 90 } else { 0 };
                    Rgb([wall + rain, (wall / 2 + y as u8) + rain, (x * y % 100) as u8 + rain])
                });
                picture.save(folder.join(format!("{frame}.png"))).unwrap();
            }
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(support::example("build_dataset"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs with answers on standard input.
    fn answer(&self, arguments: &str, answers: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // The example may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Every file below a folder, with its content.
    fn tree(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let read = |file: String| (file.clone(), fs::read(self.path(name).join(file)).unwrap());
        support::tree(&self.path(name)).into_iter().map(read).collect()
    }
}

const ARGUMENTS: &str = "-i in --patch 16 --pairs 60 --density sparse --test-fraction 0.34";

/// Kills the process with SIGKILL after a while; whether it was still at work.
fn kill_after(mut child: Child, delay: Duration) -> bool {
    thread::sleep(delay);
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    running
}

#[test]
fn kills_at_random_moments_leave_whole_files_and_resume_to_the_same_tree() {
    let bench = Bench::new(6, 24);
    let begun = Instant::now();
    assert_done(&bench.run(&format!("{ARGUMENTS} -o whole")));
    let duration = begun.elapsed();
    let expected = bench.tree("whole");
    let kills = std::env::var("DERAIN_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(KILLS);
    let mut generator = Pcg64Mcg::seed_from_u64(5);
    let (mut killed, mut round, mut apart) = (0, 0, 0);
    while killed < kills {
        let output = format!("out{round}");
        round += 1;
        assert!(round < 4 * kills + 20, "the build ends before it can be killed");
        // Several kills of one build, each somewhere in what is left of it.
        loop {
            let child = bench.command(&format!("{ARGUMENTS} -o {output} --resume")).spawn().unwrap();
            if !kill_after(child, duration.mul_f64(generator.random_range(0.0..1.0))) {
                break;
            }
            killed += 1;
            apart += check_whole(&bench, &output, &expected);
            if generator.random_range(0..3) == 0 {
                break;
            }
        }
        assert_done(&bench.run(&format!("{ARGUMENTS} -o {output} --resume")));
        assert!(bench.tree(&output) == expected, "{output} differs from the unbroken build");
        fs::remove_dir_all(bench.path(&output)).unwrap();
    }
    println!("{killed} kills of {round} builds of {duration:?}; {apart} of them between the two names of a pair");
}

#[test]
fn killed_shards_end_with_the_same_tree() {
    let bench = Bench::new(5, 24);
    let begun = Instant::now();
    assert_done(&bench.run(&format!("{ARGUMENTS} -o whole")));
    let duration = begun.elapsed();
    let expected = bench.tree("whole");
    let mut generator = Pcg64Mcg::seed_from_u64(6);
    for round in 0..3 {
        let output = format!("out{round}");
        let start = |number| bench.command(&format!("{ARGUMENTS} -o {output} --shard {number}/3")).spawn().unwrap();
        // The second is killed and started again, as a scheduler does, while the others work.
        let others = [1, 3].map(start);
        while kill_after(start(2), duration.mul_f64(generator.random_range(0.0..0.5))) {}
        for other in others {
            assert_done(&other.wait_with_output().unwrap());
        }
        assert_done(&start(2).wait_with_output().unwrap());
        let mut tree = bench.tree(&output);
        // What a killed one left goes when nobody is at work any more. Whoever was last may have seen another still
        // ending.
        tree.retain(|name, _| !name.contains(".derain-tmp-"));
        assert!(tree == expected, "{output} differs from one run's");
        assert_done(&bench.run(&format!("{ARGUMENTS} -o {output} --resume")));
        assert!(bench.tree(&output) == expected, "{output} differs after a run of the whole");
    }
    let output = bench.run(&format!("{ARGUMENTS} -o out --judge terminal --shard 1/2"));
    assert_failed(&output, "--shard is for jobs without people");
    assert!(!bench.path("out").exists());
}

#[test]
fn how_clean_images_are_made_can_be_chosen() {
    let bench = Bench::new(1, 21);
    assert_done(&bench.run(&format!("{ARGUMENTS} -o out --tie middle --mode-of channels")));
    let clean = &bench.json("out/manifest.json")["options"]["clean"];
    assert_eq!((&clean["percentile_tie"], &clean["mode_of"]), (&"middle".into(), &"channels".into()));
    assert_failed(&bench.run(&format!("{ARGUMENTS} -o out --resume")), "mode_of was \"channels\" and is \"luma\" now");
}

/// Every file is as it will be, but for records under way; a rainy patch has its clean one. The number of clean ones
/// without a rainy one.
fn check_whole(bench: &Bench, output: &str, expected: &BTreeMap<String, Vec<u8>>) -> usize {
    if !bench.path(output).exists() {
        return 0;
    }
    let tree = bench.tree(output);
    for (name, content) in &tree {
        if name.ends_with(".png") {
            assert!(expected.get(name) == Some(content), "{name} is not whole");
            let partner = name.replace("/rain/", "/norain/");
            assert!(tree.contains_key(&partner), "{name} has no clean patch");
        } else if name.ends_with(".json") {
            serde_json::from_slice::<Value>(content).unwrap();
        } else if name.ends_with(".txt") {
            assert!(expected.get(name) == Some(content), "{name} is not whole");
        } else if name == "build/lock" || name.starts_with("build/claims/") {
            assert!(content.is_empty());
        } else {
            assert!(name.contains(".derain-tmp-"), "{name}");
        }
    }
    let is_alone = |name: &&String| {
        name.ends_with(".png") && name.contains("/norain/") && !tree.contains_key(&name.replace("/norain/", "/rain/"))
    };
    let alone = tree.keys().filter(is_alone).count();
    assert!(alone <= 1, "{alone} clean patches without rainy ones");
    alone
}

#[test]
fn a_data_set_is_built_with_lists_and_provenance() {
    let bench = Bench::new(3, 21);
    let output = bench.run(&format!("{ARGUMENTS} -o out"));
    assert_done(&output);
    assert!(
        stderr(&output).contains("3 of 3 videos done: 120 pairs for training, 60 for the test"),
        "{}",
        stderr(&output)
    );
    let manifest = bench.json("out/manifest.json");
    let videos = manifest["videos"].as_array().unwrap();
    assert_eq!(videos.len(), 3);
    for video in videos {
        assert_eq!((video["frames"].as_u64(), video["judge"].as_str()), (Some(20), Some("none")));
        assert_eq!((video["verdict"].as_str(), video["sha256"].as_str().unwrap().len()), (Some("accepted"), 64));
        assert!(video["percentile"].is_u64());
    }
    let list = fs::read_to_string(bench.path("out/test.txt")).unwrap();
    assert_eq!(list.lines().count(), 60);
    for line in list.lines() {
        let (rain, norain) = line.split_once(' ').unwrap();
        assert!(bench.path("out").join(rain).is_file() && bench.path("out").join(norain).is_file(), "{line}");
    }
    assert_failed(&bench.run(&format!("{ARGUMENTS} -o out")), "a build was begun there");
    assert_done(&bench.run(&format!("{ARGUMENTS} -o out --resume")));
    assert_failed(&bench.run(&format!("{ARGUMENTS} -o out --resume --seed 9")), "seed was 0 and is 9 now");
}

#[test]
fn a_person_judges_at_the_terminal() {
    let bench = Bench::new(3, 31);
    let arguments = &format!("{ARGUMENTS} -o out --judge terminal --review look");
    // More frames for the first, then the person leaves.
    let output = bench.answer(arguments, "m\na\nr a tram\n");
    assert_failed(&output, "no verdict on scene2");
    assert!(bench.path("look/candidate.png").is_file() && bench.path("look/input.png").is_file());
    assert!(!bench.path("out/manifest.json").exists());
    // Whoever forgets the judge would have everything accepted.
    let forgotten = bench.run(&format!("{ARGUMENTS} -o out --resume"));
    assert_failed(&forgotten, "the judge was terminal and is none now");
    let output = bench.answer(&format!("{arguments} --resume"), "a\n");
    assert_done(&output);
    assert!(stderr(&output).contains("1 of them rejected"), "{}", stderr(&output));
    let manifest = bench.json("out/manifest.json");
    let videos = manifest["videos"].as_array().unwrap();
    assert_eq!((videos[0]["frames"].as_u64(), videos[1]["reason"].as_str()), (Some(30), Some("a tram")));
    assert_eq!((videos[1]["pairs"].as_array().unwrap().len(), videos[2]["judge"].as_str()), (0, Some("terminal")));
    assert_done(&bench.run(&format!("{ARGUMENTS} -o out --resume --judge-changed")));
    assert_eq!(bench.json("out/manifest.json"), manifest);
    let output = bench.run(&format!("{ARGUMENTS} -o out2 --judge terminal --review in/look"));
    assert_failed(&output, "--review in/look lies in the folder of videos");
}

#[test]
fn failures_are_said_and_the_rest_is_done() {
    let bench = Bench::new(2, 21);
    fs::write(bench.path("in/scene0/5.png"), "no picture").unwrap();
    fs::write(bench.path("in/scene3.insv"), "a camera's own format").unwrap();
    let output = bench.run(&format!("{ARGUMENTS} -o out"));
    assert!(
        stderr(&output).contains("passed over, since no videos are called so: in/scene3.insv"),
        "{}",
        stderr(&output)
    );
    assert_failed(&output, "error: scene0: ");
    assert_eq!(stderr(&output).matches("5.png").count(), 1);
    assert_failed(&output, "  scene0 failed\n");
    assert!(stderr(&output).contains("5.png") && stderr(&output).contains("1 of 2 videos done"), "{}", stderr(&output));
    assert_failed(&bench.run("-i nowhere -o x"), "nowhere");
    assert_failed(&bench.run("-i in -o x --patch 64"), "smaller than the crop of 64x64");
    for wrong in ["--density heavy", "--test-fraction 2", "--patch 0", "--pairs 0", "--stride 0", "--skip-rainless 255"]
    {
        let output = bench.run(&format!("-i in -o x {wrong}"));
        let (option, _) = wrong.split_once(' ').unwrap();
        assert!(output.status.code() == Some(2) && stderr(&output).contains(option), "{}", stderr(&output));
    }
    assert!(!bench.path("x/train.txt").exists() || bench.tree("x")["train.txt"].is_empty());
}
