//! The `clean_image` example from end to end.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test clean_image` alone does not, so build the
//! example first.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use derain::data::clean::{Interpolation, ModeOf, ModeTie, PercentileTie};
use derain::data::{CleanImage, CleanOptions, Picture, load_picture, save_picture};
use image::{DynamicImage, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

mod support;

/// Frames 1.png to 12.png of a still scene in a folder: a drop falls through a gradient.
struct Bench {
    folder: TempDir,
    frames: Vec<RgbImage>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("frames")).unwrap();
        let frame = |index: u32| {
            RgbImage::from_fn(20, 12, |x, y| {
                Rgb(if y == index && x % 5 == 2 { [200; 3] } else { [40 + x as u8, 60 + y as u8, 90] })
            })
        };
        let frames: Vec<RgbImage> = (0..12).map(frame).collect();
        for (index, frame) in frames.iter().enumerate() {
            let path = folder.path().join(format!("frames/{}.png", index + 1));
            save_picture(path, &Picture::from(DynamicImage::from(frame.clone()))).unwrap();
        }
        Self { folder, frames }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn picture(&self, name: &str) -> RgbImage {
        load_picture(self.path(name)).unwrap().image.into_rgb8()
    }

    /// Runs the example in the folder.
    fn run(&self, arguments: &str) -> Output {
        Command::new(support::example("clean_image"))
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn run_to_success(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments}: {said}");
        said
    }
}

#[test]
fn the_rain_is_gone_and_the_report_tells_how() {
    let bench = Bench::new();
    bench.run_to_success(
        "-i frames -o made/clean.png --json report.json --votes-plot votes.png --mode-image mode.png --density sparse --frames 12",
    );
    let mut clean = CleanImage::new(CleanOptions::default());
    bench.frames.iter().for_each(|frame| clean.push(frame).unwrap());
    let expected = clean.result().unwrap();
    let dry = RgbImage::from_fn(20, 12, |x, y| Rgb([40 + x as u8, 60 + y as u8, 90]));
    assert_eq!(bench.picture("made/clean.png"), dry);
    assert_eq!(bench.picture("mode.png"), dry);
    assert!(bench.picture("votes.png").width() > 101);
    let report: Value = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["frames"], 12);
    assert_eq!(report["percentile"], expected.percentile);
    assert_eq!(report["votes"], serde_json::json!(expected.votes.to_vec()));
    assert_eq!(report["mode_ranges"]["min"], serde_json::json!(expected.mode_ranges.min.to_vec()));
    assert_eq!(report["mode_ranges"]["max"], serde_json::json!(expected.mode_ranges.max.to_vec()));
    assert_eq!((&report["density"], &report["judge"]), (&"sparse".into(), &"none".into()));
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn frames_are_chosen_and_spooled_as_asked_for() {
    let bench = Bench::new();
    let mut clean = CleanImage::new(CleanOptions::default());
    bench.frames.iter().skip(1).step_by(3).take(3).for_each(|frame| clean.push(frame).unwrap());
    let expected = clean.finish().unwrap().image;
    for memory in ["1", "2GiB"] {
        bench.run_to_success(&format!("-i frames -o clean.png --start 1 --stride 3 --frames 3 --max-memory {memory}"));
        assert_eq!(bench.picture("clean.png"), expected, "{memory}");
    }
    let few = bench.run("-i frames -o few.png --frames 13");
    assert!(String::from_utf8_lossy(&few.stderr).contains("has only 12 of the 13 frames"));
    assert!(!few.status.success() && bench.path("few.png").exists());
    bench.run_to_success("-i frames -o clean.png --percentile 100");
    assert_eq!(bench.picture("clean.png").get_pixel(2, 4), &Rgb([200; 3]));
}

#[test]
fn too_few_frames_are_an_error_even_where_a_picture_is_made() {
    let bench = Bench::new();
    let few = bench.run("-i frames -o few.png --density sparse");
    let said = String::from_utf8_lossy(&few.stderr);
    assert!(said.contains("frames has only 12 of the 20 frames asked for"), "{said}");
    assert!(few.status.code() == Some(1) && bench.path("few.png").exists());
    // The mode of two values is the smaller one, whatever rain is there.
    let none = bench.run("-i frames -o none.png --start 10");
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(said.contains("frames has 2 frames: a clean image needs at least 3"), "{said}");
    assert!(none.status.code() == Some(1) && !bench.path("none.png").exists());
    let said = bench.run_to_success("-i frames -o asked.png --frames 2");
    assert!(said.contains("of fewer than 3 frames"), "{said}");
}

#[test]
fn options_of_the_library_can_be_chosen() {
    let bench = Bench::new();
    let choices = [
        ("--mode-of channels", CleanOptions { mode_of: ModeOf::Channels, ..Default::default() }),
        ("--mode-tie largest", CleanOptions { mode_tie: ModeTie::Largest, ..Default::default() }),
        ("--tie middle", CleanOptions { percentile_tie: PercentileTie::Middle, ..Default::default() }),
        (
            "--interpolation nearest --percentile 95",
            CleanOptions { interpolation: Interpolation::Nearest, percentile: Some(95), ..Default::default() },
        ),
        (
            "--mode-of channels --mode-tie largest --tie middle --interpolation nearest",
            CleanOptions {
                mode_of: ModeOf::Channels,
                mode_tie: ModeTie::Largest,
                percentile_tie: PercentileTie::Middle,
                interpolation: Interpolation::Nearest,
                ..Default::default()
            },
        ),
    ];
    for (arguments, options) in choices {
        bench.run_to_success(&format!("-i frames -o clean.png --json report.json {arguments}"));
        let mut clean = CleanImage::new(options);
        bench.frames.iter().for_each(|frame| clean.push(frame).unwrap());
        let expected = clean.finish().unwrap();
        assert_eq!(bench.picture("clean.png"), expected.image, "{arguments}");
        let report: Value = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
        assert_eq!(report["percentile"], expected.percentile, "{arguments}");
        assert_eq!(report["votes"], serde_json::json!(expected.votes.to_vec()), "{arguments}");
        let chosen = [&report["mode_of"], &report["tie"]];
        let asked = [("channels", "luma"), ("middle", "first")];
        for (chosen, (other, default)) in chosen.into_iter().zip(asked) {
            assert_eq!(chosen, if arguments.contains(other) { other } else { default });
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_nothing_is_written() {
    let bench = Bench::new();
    fs::write(bench.path("note.txt"), "kept").unwrap();
    for (arguments, reason) in [
        ("-i frames -o clean.png --judge auto --mode-image mode.png", "--mode-image is there without --judge"),
        ("-i missing -o clean.png", "cannot read missing"),
        ("-i frames -o frames/clean.png", "lies in the input folder"),
        ("-i frames -o clean.png --votes-plot clean.png", "is named for two outputs"),
        ("-i frames -o clean", "the name must end in"),
        ("-i frames -o clean.png --json frames", "is a folder"),
        ("-i note.txt -o clean.png --json note.txt", "is the input"),
        ("-i frames -o clean.png --start 12", "none from frame 12 on"),
        ("-i frames -o clean.png --spool missing", "--spool missing is no folder"),
        ("-i frames -o clean.png --percentile 101", "101"),
        ("-i frames -o clean.png --stride 0", "0"),
    ] {
        let output = bench.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{arguments}: {said}");
        assert!(!bench.path("clean.png").exists(), "{arguments}");
    }
    let small = Picture::from(DynamicImage::from(RgbImage::new(3, 3)));
    save_picture(bench.path("frames/5b.png"), &small).unwrap();
    let output = bench.run("-i frames -o clean.png");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("5b.png is 3x3, the frames before it are 20x12"), "{said}");
    assert_eq!(fs::read(bench.path("note.txt")).unwrap(), b"kept");
}

#[test]
fn borders_that_a_hand_held_camera_has_not_always_seen_are_cut_off() {
    let bench = Bench::new();
    fs::create_dir(bench.path("held")).unwrap();
    let scene = RgbImage::from_fn(140, 64, |x, y| Rgb([((x * x + 3 * y * y) / 40 % 256) as u8; 3]));
    for (index, left) in [5, 7, 4, 5].into_iter().enumerate() {
        let frame = image::imageops::crop_imm(&scene, left, 0, 96, 60).to_image();
        save_picture(bench.path(&format!("held/{index}.png")), &Picture::from(DynamicImage::from(frame))).unwrap();
    }
    let said = bench.run_to_success("-i held -o clean.png --camera handheld --json report.json");
    assert!(said.contains("2 columns at the left, 1 at the right"), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["unseen"], serde_json::json!({"left": 2, "top": 0, "right": 1, "bottom": 0}));
    let clean = bench.picture("clean.png");
    assert_eq!(clean.dimensions(), (93, 60));
    assert_eq!(clean, image::imageops::crop_imm(&scene, 7, 0, 93, 60).to_image());
    // Nor does the hand's trembling count as rain.
    let output = bench.run("-i held -o clean.png --camera handheld --judge auto");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("of the first 4 frames is rain, taken for sparse"), "{said}");
}
