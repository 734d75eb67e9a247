//! The `derain_video` example from end to end, with a small network of random weights.
//!
//! `cargo test --features video` builds the examples before it runs this; `cargo test --test derain_video` alone does
//! not, so build the example first.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use derain::data::Y4mWriter;
use derain::data::transcode::{EncodeOptions, Parts, TimedFrame, VideoEncoder, VideoReader};
use image::{DynamicImage, Rgb, RgbImage};
use rand::{RngExt, SeedableRng};

mod avi;
mod bench;
#[path = "../support/mod.rs"]
mod support;

use avi::film_with_sound;
use bench::Bench;
use support::{assert_done, assert_failed, stderr};

/// A gradient that moves.
fn frame((width, height): (u32, u32), index: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(40 + x + index % 50) as u8, (60 + 2 * y) as u8, 120]))
}

/// A video of so many frames, uncompressed.
fn film(bench: &Bench, name: &str, size: (u32, u32), frames: u32) {
    let mut writer = Y4mWriter::new(fs::File::create(bench.path(name)).unwrap(), size.0, size.1).unwrap();
    for index in 0..frames {
        writer.write(&frame(size, index)).unwrap();
    }
}

fn read(bench: &Bench, name: &str) -> Vec<TimedFrame> {
    let mut reader = VideoReader::open(&bench.path(name)).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        frames.push(frame);
    }
    frames
}

/// The root of the mean square difference.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (squares.sum::<f64>() / a.as_raw().len() as f64).sqrt()
}

#[test]
fn every_frame_is_derained_and_the_report_says_so() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (37, 24), 70);
    assert_done(&bench.run("-i rain.y4m -o made/clean.mp4 --quality 1 --json reports/r.json"));
    let (rainy, clean) = (read(&bench, "rain.y4m"), read(&bench, "made/clean.mp4"));
    assert_eq!(clean.len(), 70);
    let derainer = bench.derainer();
    for (index, (rainy, clean)) in rainy.iter().zip(&clean).enumerate() {
        // Of 1/25 s each.
        assert_eq!((rainy.time.start, clean.time.start), (index as i64, 512 * index as i64));
        let wanted = derainer.derain_dynamic(&DynamicImage::from(rainy.image.clone())).unwrap().into_rgb8();
        let (done, undone) = (difference(&clean.image, &wanted), difference(&clean.image, &rainy.image));
        assert!(done < 2.5 && done < undone, "{index}: {done} {undone}");
    }
    let report = bench.json("reports/r.json");
    assert_eq!(report["network"], "spanet");
    assert_eq!(report["weights_sha256"], derainer.weights_sha256());
    let video = &report["videos"][0];
    assert_eq!((&video["frames"], &video["resumed"]), (&70.into(), &0.into()));
    assert!(video["error"].is_null() && video["seconds"].as_f64().unwrap() > 0.0);
    assert!(video["decoding_wait"].is_number() && video["encoding_wait"].is_number());
    assert_eq!(bench.tree("made"), ["clean.mp4"]);
}

#[test]
fn killed_runs_end_with_the_video_of_an_unbroken_one() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (96, 64), 150);
    let begun = Instant::now();
    assert_done(&bench.run("-i rain.y4m -o whole.mp4"));
    let whole = begun.elapsed();
    let mut random = rand_pcg::Pcg32::seed_from_u64(3);
    let (mut kills, mut kept) = (0, 0);
    for round in 0..3 {
        let output = format!("clean{round}.mp4");
        let mut parts_seen = 0;
        // A run that is killed late enough each time ends at last.
        for _ in 0..4 {
            let mut child = bench.start(&format!("-i rain.y4m -o {output} --resume"));
            thread::sleep(whole.mul_f64(random.random_range(0.05..0.9)));
            child.kill().unwrap();
            let killed = !child.wait().unwrap().success();
            kills += u32::from(killed);
            if killed {
                // Whole, or not there.
                assert!(!bench.path(&output).exists() || same(&bench, "whole.mp4", &output));
                // Not there yet, or not any more.
                let parts = bench.path(&format!("{output}.parts"));
                let parts = if parts.exists() { support::tree(&parts) } else { Vec::new() };
                let groups = parts.iter().filter(|name| name.ends_with(".group")).count();
                assert!(groups >= parts_seen || bench.path(&output).exists(), "finished work was lost");
                (parts_seen, kept) = (groups, kept.max(groups));
            }
        }
        let finished = bench.run(&format!("-i rain.y4m -o {output} --resume --json r.json"));
        assert_done(&finished);
        let video = bench.json("r.json")["videos"][0].clone();
        assert!(
            video["skipped"] == true || video["resumed"].as_u64().unwrap() >= 32 * parts_seen.min(4) as u64,
            "{video}"
        );
        assert!(same(&bench, "whole.mp4", &output), "round {round}");
        assert!(!bench.path(&format!("{output}.parts")).exists());
    }
    assert!(kills > 3 && kept > 0, "{kills} kills, {kept} groups kept at most: the test missed its moments");
    assert!(!bench.tree(".").iter().any(|name| name.starts_with(".derain-tmp")), "{:?}", bench.tree("."));
}

fn same(bench: &Bench, a: &str, b: &str) -> bool {
    fs::read(bench.path(a)).unwrap() == fs::read(bench.path(b)).unwrap()
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_no_output_and_work_to_resume() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (96, 64), 150);
    let mut child = bench.start("-i rain.y4m -o clean.mkv");
    while !bench.path("clean.mkv.parts/000000.group").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        thread::sleep(Duration::from_millis(2));
    }
    // Not SIGINT, which is ignored below a shell that runs this in the background.
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success() && !child.wait().unwrap().success());
    assert!(!bench.path("clean.mkv").exists());
    let resumed = bench.run("-i rain.y4m -o clean.mkv --resume");
    assert_done(&resumed);
    assert!(stderr(&resumed).contains("frames are done already"), "{}", stderr(&resumed));
    assert_eq!(read(&bench, "clean.mkv").len(), 150);
}

#[test]
fn what_was_made_otherwise_is_neither_used_nor_lost() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (32, 24), 80);
    assert_done(&bench.run("-i rain.y4m -o whole.mp4"));
    // Parts of another quality, whose groups would be told apart.
    leave_parts(&bench, "clean.mp4", 40);
    let output = bench.run("-i rain.y4m -o clean.mp4 --resume");
    let said = stderr(&output);
    assert!(!output.status.success());
    for words in ["(1) that were made otherwise", "weights was nothing and is ", "rate factor 40", "(--restart)"] {
        assert!(said.contains(words) || !said.contains("libx264"), "`{words}` is not in:\n{said}");
    }
    let before = bench.tree("clean.mp4.parts");
    fs::write(bench.path("clean.mp4"), "here before").unwrap();
    let words = "clean.mp4.parts holds finished groups of frames of an earlier run (1)";
    assert_failed(&bench.run("-i rain.y4m -o clean.mp4"), words);
    assert_failed(&bench.run("-i rain.y4m -o clean.mp4"), "(--resume or --restart)");
    assert_eq!(bench.tree("clean.mp4.parts"), before);
    assert_eq!(fs::read(bench.path("clean.mp4")).unwrap(), b"here before");
    assert_done(&bench.run("-i rain.y4m -o clean.mp4 --restart"));
    assert!(same(&bench, "whole.mp4", "clean.mp4"));
    let output = bench.run("-i rain.y4m -o clean.mp4 --resume");
    assert_done(&output);
    assert!(stderr(&output).contains("clean.mp4 is there already: skipped"), "{}", stderr(&output));
    assert_done(&bench.run("-i rain.y4m -o clean.mp4 --resume --json r.json"));
    assert_eq!(bench.json("r.json")["videos"][0]["skipped"], true);
    assert_failed(&bench.run("-i rain.y4m -o clean.mp4 --resume --quality 40"), "with other weights or options");
    // Whoever wrote it: left alone.
    fs::write(bench.path("clean.mp4"), "left alone").unwrap();
    assert_failed(&bench.run("-i rain.y4m -o clean.mp4 --resume"), "does not say that this example made it");
    assert_eq!(fs::read(bench.path("clean.mp4")).unwrap(), b"left alone");
}

#[test]
fn what_was_made_from_another_video_is_not_taken_for_this_ones() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (32, 24), 40);
    film(&bench, "other.y4m", (32, 24), 41);
    for output in ["clean.mp4", "clean.mov", "clean.mkv"] {
        assert_done(&bench.run(&format!("-i rain.y4m -o {output}")));
        let before = fs::read(bench.path(output)).unwrap();
        let words = format!("{output} is there already and was made from another video than other.y4m");
        assert_failed(&bench.run(&format!("-i other.y4m -o {output} --resume")), &words);
        assert!(before == fs::read(bench.path(output)).unwrap());
        let words = format!("{output} is there already and was made of 40 frames; this run asks for --length 32");
        assert_failed(&bench.run(&format!("-i rain.y4m -o {output} --resume --length 32")), &words);
        // Wherever the input lies now.
        fs::copy(bench.path("rain.y4m"), bench.path("moved.y4m")).unwrap();
        assert_done(&bench.run(&format!("-i moved.y4m -o {output} --resume")));
    }
    leave_parts(&bench, "half.mp4", 17);
    let output = bench.run("-i other.y4m -o half.mp4 --resume");
    assert_failed(&output, "rain.y4m (SHA-256 ");
    assert_failed(&output, " and is other.y4m (SHA-256 ");
}

/// One finished group, as of a run of other options.
fn leave_parts(bench: &Bench, output: &str, rate_factor: u8) {
    let (input, output) = (bench.path("rain.y4m"), bench.path(output));
    let mut reader = VideoReader::open(&input).unwrap();
    let encoder = VideoEncoder::new(reader.format(), &EncodeOptions { rate_factor, encoder: None }).unwrap();
    let origin = derain::data::transcode::Origin::of(&input, &encoder).unwrap();
    let mut parts = Parts::begin(&Parts::folder_of(&output), &origin).unwrap();
    let mut group = encoder.begin().unwrap();
    while !group.is_full() {
        group.push(&reader.next_frame().unwrap().unwrap()).unwrap();
    }
    parts.save(&group.finish().unwrap()).unwrap();
}

#[test]
fn a_video_cut_short_fails_and_leaves_nothing() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (32, 24), 80);
    assert_done(&bench.run("-i rain.y4m -o whole.mkv --quality 0"));
    let bytes = fs::read(bench.path("whole.mkv")).unwrap();
    fs::write(bench.path("cut.mkv"), &bytes[..bytes.len() * 6 / 10]).unwrap();
    fs::write(bench.path("clean.mp4"), "here before").unwrap();
    assert_failed(&bench.run("-i cut.mkv -o new.mp4"), "cut.mkv");
    assert!(!bench.path("new.mp4.parts").exists());
    // As an earlier run leaves it, or --resume would take the output for a finished one.
    fs::create_dir(bench.path("clean.mp4.parts")).unwrap();
    for _ in 0..2 {
        let output = bench.run("-i cut.mkv -o clean.mp4 --resume --json r.json");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let error = bench.json("r.json")["videos"][0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains("cut.mkv") && (error.contains("cut short") || error.contains("frame")), "{error}");
        assert_eq!(fs::read(bench.path("clean.mp4")).unwrap(), b"here before");
        // Before the work.
        assert!(stderr(&output).contains("checking "), "{}", stderr(&output));
        assert!(!bench.tree("clean.mp4.parts").iter().any(|name| name.ends_with(".group")));
    }
    // What the error advises.
    let error = bench.json("r.json")["videos"][0]["error"].as_str().unwrap().to_owned();
    let (_, advice) = error.split_once("--length ").unwrap();
    let good: usize = advice.split(' ').next().unwrap().parse().unwrap();
    assert!(good > 0 && good < 80, "{error}");
    assert_done(&bench.run(&format!("-i cut.mkv -o clean.mp4 --resume --length {good}")));
    assert_eq!(read(&bench, "clean.mp4").len(), good);
    assert!(!bench.path("clean.mp4.parts").exists());
}

#[test]
fn the_first_frames_alone_are_derained() {
    let bench = Bench::new();
    fs::write(bench.path("rain.avi"), film_with_sound((32, 24), 80)).unwrap();
    fs::write(bench.path("start.avi"), film_with_sound((32, 24), 40)).unwrap();
    let output = bench.run("-i rain.avi -o clean.mkv --length 40 --json r.json");
    assert_done(&output);
    assert!(stderr(&output).contains("checking 40 frames of rain.avi"), "{}", stderr(&output));
    assert_eq!(bench.json("r.json")["videos"][0]["frames"], 40);
    assert_done(&bench.run("-i start.avi -o start.mkv"));
    let (clean, start) = (read(&bench, "clean.mkv"), read(&bench, "start.mkv"));
    assert_eq!((clean.len(), start.len()), (40, 40));
    for (clean, start) in clean.iter().zip(&start) {
        assert!(clean.image == start.image && clean.time == start.time);
    }
    // So the sound is no longer, either.
    let bytes = |name: &str| fs::metadata(bench.path(name)).unwrap().len();
    assert!(bytes("clean.mkv").abs_diff(bytes("start.mkv")) < 100);
    // More than there are is all.
    assert_done(&bench.run("-i start.avi -o all.mkv --length 50"));
    assert!(same(&bench, "start.mkv", "all.mkv"));
}

#[test]
fn parts_serve_another_length() {
    let bench = Bench::new();
    fast_film(&bench, 70);
    assert_done(&bench.run("-i rain.y4m -o whole.mp4"));
    // Fails at its end, which leaves parts.
    assert_failed(&bench.run("-i rain.y4m -o clean.mkv --length 40"), "kept in clean.mkv.parts");
    fs::rename(bench.path("clean.mkv.parts"), bench.path("clean.mp4.parts")).unwrap();
    let words = "holds 32 finished frames, more than the 20 that are wanted";
    assert_failed(&bench.run("-i rain.y4m -o clean.mp4 --resume --length 20"), words);
    let output = bench.run("-i rain.y4m -o clean.mp4 --resume");
    assert_done(&output);
    for words in ["checking all frames of rain.y4m", "32 frames are done already"] {
        assert!(stderr(&output).contains(words), "`{words}` is not in:\n{}", stderr(&output));
    }
    assert!(same(&bench, "whole.mp4", "clean.mp4"));
}

#[test]
fn a_container_that_cannot_hold_the_sound_is_refused_before_the_work() {
    let bench = Bench::new();
    fs::write(bench.path("rain.avi"), film_with_sound((32, 24), 40)).unwrap();
    let before = bench.tree(".");
    let output = bench.run("-i rain.avi -o made/clean.mp4");
    assert_failed(&output, "does not take its streams (PCM_U8)");
    assert_failed(&output, "try .mkv");
    // No folder of parts, so no frame was done.
    assert_eq!(bench.tree("."), before);
    assert!(!bench.path("made").exists());
    assert_done(&bench.run("-i rain.avi -o made/clean.mkv"));
    assert_eq!(read(&bench, "made/clean.mkv").len(), 40);
}

/// `rain.y4m` with 2000 frames a second, of which Matroska's milliseconds tell every second.
fn fast_film(bench: &Bench, frames: u32) {
    film(bench, "rain.y4m", (32, 24), frames);
    let slow = fs::read(bench.path("rain.y4m")).unwrap();
    let rate = slow.windows(5).position(|bytes| bytes == b"F25:1").unwrap();
    fs::write(bench.path("rain.y4m"), [&slow[..rate], b"F2000:1", &slow[rate + 5..]].concat()).unwrap();
}

#[test]
fn frames_that_one_container_cannot_tell_apart_go_into_another() {
    let bench = Bench::new();
    fast_film(&bench, 40);
    let output = bench.run("-i rain.y4m -o clean.mkv");
    assert_failed(&output, "would be shown with the one before it");
    assert_failed(&output, "kept in clean.mkv.parts");
    assert_failed(&output, "-o clean.mp4 if the folder is renamed to clean.mp4.parts");
    assert!(!bench.path("clean.mkv").exists());
    fs::rename(bench.path("clean.mkv.parts"), bench.path("clean.mp4.parts")).unwrap();
    let output = bench.run("-i rain.y4m -o clean.mp4 --resume");
    assert_done(&output);
    assert!(stderr(&output).contains("40 frames are done already"), "{}", stderr(&output));
    // Known from the run before.
    assert!(!stderr(&output).contains("checking "), "{}", stderr(&output));
    assert_done(&bench.run("-i rain.y4m -o whole.mp4"));
    assert!(same(&bench, "whole.mp4", "clean.mp4"));
    assert_eq!(read(&bench, "clean.mp4").len(), 40);
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_written() {
    let bench = Bench::new();
    film(&bench, "rain.y4m", (32, 24), 3);
    fs::write(bench.path("text.mp4"), "no video").unwrap();
    fs::hard_link(bench.path("rain.y4m"), bench.path("hard.mp4")).unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    let weights = "--weights weights.safetensors";
    for (arguments, words) in [
        (&format!("-i rain.y4m -o c.avi {weights}"), "must end in .mp4, .m4v, .mov or .mkv"),
        (&format!("-i rain.y4m -o folder {weights}"), "is a folder"),
        (&format!("-i none.mp4 -o c.mp4 {weights}"), "cannot read none.mp4"),
        (&format!("-i folder -o c.mp4 {weights}"), "is no video file"),
        (&format!("-i rain.y4m -o hard.mp4 {weights}"), "is an input and would be overwritten"),
        (&format!("-i rain.y4m -o c.mp4 --json c.mp4 {weights}"), "is for both the report and the video"),
        (&format!("-i text.mp4 -o c.mp4 {weights}"), "text.mp4, frame 0"),
        (&format!("-i rain.y4m -o c.mp4 --device cuda:99 {weights}"), "cuda:99 cannot be used: "),
    ] {
        assert_failed(&bench.run_bare(arguments), words);
    }
    let output = bench.run_bare(&format!("-i rain.y4m -o c.mp4 --quality 52 {weights}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--quality") && stderr(&output).contains("a number from 0 to 51 is needed"),
        "{}",
        stderr(&output)
    );
    assert_eq!(bench.tree("."), ["hard.mp4", "rain.y4m", "text.mp4", "weights.safetensors"]);
}
