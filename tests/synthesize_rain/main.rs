//! The `synthesize_rain` example from end to end.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test synthesize_rain` alone does
//! not, so build the example first.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use derain::data::{load_picture, save_picture};
use image::{DynamicImage, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

struct Bench(TempDir);

impl Bench {
    /// A folder with `photos/a.png` and `photos/b/c.png`.
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(bench.path("photos/b")).unwrap();
        for (name, width) in [("photos/a.png", 90), ("photos/b/c.png", 61)] {
            let image = RgbImage::from_fn(width, 70, |x, y| Rgb([(x * 2) as u8, (y * 3) as u8, (x ^ y) as u8]));
            save_picture(bench.path(name), &DynamicImage::from(image).into()).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = Command::new(support::example("synthesize_rain"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).env_remove("RUST_LOG");
        command.output().unwrap()
    }

    fn done(&self, arguments: &str) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn fails(&self, arguments: &str, reason: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{said}");
    }

    fn picture(&self, name: &str) -> RgbImage {
        load_picture(self.path(name)).unwrap().image.into_rgb8()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

#[test]
fn a_folder_becomes_rain_masks_and_truth() {
    let bench = Bench::new();
    bench.done("-i photos -o wet --density dense --veil 0 --json report.json");
    for name in ["a", "b/c"] {
        let clean = bench.picture(&format!("photos/{name}.png"));
        assert_eq!(bench.picture(&format!("wet/clean/{name}.png")), clean);
        let (rain, mask) =
            (bench.picture(&format!("wet/rain/{name}.png")), bench.picture(&format!("wet/mask/{name}.png")));
        for ((rainy, before), mark) in rain.pixels().zip(clean.pixels()).zip(mask.pixels()) {
            let moved = (0..3).any(|c| rainy.0[c].abs_diff(before.0[c]) > 2);
            assert_eq!(mark.0[0], if moved { 255 } else { 0 });
        }
        assert!(mask.pixels().any(|mark| mark.0[0] > 0));
    }
    assert!(!bench.path("wet/veiled").exists());
    let report = bench.json("report.json");
    assert_eq!(report["pictures"][1]["name"], "b/c");
    assert_eq!(report["pictures"][1]["options"]["veil"], 0.0);
    // A picture's rain does not depend on the others.
    bench.done("-i photos/a.png -o alone --density dense --veil 0");
    assert_eq!(bench.picture("alone/rain/a.png"), bench.picture("wet/rain/a.png"));
    // Nor is other rain wanted when options are given again.
    fs::write(bench.path("again.json"), report["pictures"][0]["options"].to_string()).unwrap();
    bench.done("-i photos/a.png -o again --options again.json");
    assert_eq!(bench.picture("again/rain/a.png"), bench.picture("wet/rain/a.png"));
    bench.done("-i photos/a.png -o other --density dense --veil 0 --seed 1");
    assert_ne!(bench.picture("other/rain/a.png"), bench.picture("wet/rain/a.png"));
}

#[test]
fn shards_do_what_one_run_does() {
    let bench = Bench::new();
    let arguments = "-i photos --frames 2 --vary --seed 3 --json report.json";
    bench.done(&format!("{arguments} -o whole"));
    let whole = bench.json("report.json");
    for (number, name) in [(2, "b/c"), (1, "a")] {
        bench.done(&format!("{arguments} -o shards --shard {number}/2"));
        let report = bench.json(&format!("report.{number}-of-2.json"));
        assert_eq!(report["pictures"].as_array().unwrap().as_slice(), [whole["pictures"][number - 1].clone()]);
        for file in ["clean/NAME.png", "rain/NAME/000001.png", "rain/NAME/000002.png", "mask/NAME/000002.png"] {
            let file = file.replace("NAME", name);
            let [one, many] = ["whole", "shards"].map(|folder| fs::read(bench.path(folder).join(&file)).unwrap());
            assert!(one == many, "{file}");
        }
    }
    bench.fails("-i photos -o x --shard 3/2", "I/N with I from 1 to N");
}

#[test]
fn a_shaken_film_at_a_wanted_psnr() {
    let bench = Bench::new();
    bench.done("-i photos/a.png -o film --frames 6 --psnr 25 --shake 2 --shake-steps whole --json report.json");
    let picture = &bench.json("report.json")["pictures"][0];
    assert_eq!(picture["frames"], 6);
    assert!((picture["psnr"].as_f64().unwrap() - 25.0).abs() < 0.5, "{picture}");
    let photograph = bench.picture("photos/a.png");
    let mut shown = 0;
    for frame in 0..6u32 {
        let offset = &picture["offsets"][frame as usize];
        let [dx, dy] = [0, 1].map(|axis| offset[axis].as_f64().unwrap() as i64);
        let rainy = bench.picture(&format!("film/rain/a/{:06}.png", frame + 1));
        let mask = bench.picture(&format!("film/mask/a/{:06}.png", frame + 1));
        assert_eq!(rainy.dimensions(), (82, 62));
        for (x, y, pixel) in rainy.enumerate_pixels().filter(|&(x, y, _)| mask.get_pixel(x, y).0[0] == 0) {
            let seen = photograph.get_pixel((i64::from(x) + 4 + dx) as u32, (i64::from(y) + 4 + dy) as u32);
            assert!((0..3).all(|c| pixel.0[c].abs_diff(seen.0[c]) <= 2));
            shown += 1;
        }
    }
    assert!(shown > 82 * 62 * 3, "{shown}");
    // Frames of a longer film would be taken for this one's.
    bench.fails("-i photos/a.png -o film --frames 3", "is no frame of this film");
}

#[test]
fn a_video_file_is_whole() {
    let bench = Bench::new();
    bench.done("-i photos/b/c.png -o film --frames 3 --y4m --density dense");
    let video = fs::read(bench.path("film/rain/c.y4m")).unwrap();
    let header = b"YUV4MPEG2 W61 H70 F25000:1000 Ip A1:1 C444 XCOLORRANGE=FULL\n";
    assert!(video.starts_with(header));
    assert_eq!(video.len(), header.len() + 3 * (6 + 3 * 61 * 70));
    assert_eq!(fs::read_dir(bench.path("film/rain")).unwrap().count(), 1);
    assert_ne!(bench.picture("film/veiled/c.png"), bench.picture("film/clean/c.png"));
}

#[test]
fn a_folder_beside_a_picture_of_its_name_is_no_frame() {
    let bench = Bench::new();
    fs::copy(bench.path("photos/a.png"), bench.path("photos/b.png")).unwrap();
    for _ in 0..2 {
        bench.done("-i photos -o films --frames 2");
    }
    for film in ["a", "b", "b/c"] {
        assert!(bench.path(&format!("films/rain/{film}/000002.png")).is_file(), "{film}");
    }
}

#[test]
fn many_pictures_are_reported_in_order() {
    let bench = Bench::new();
    // More than are made at once, some of which fail.
    for number in 1..=9 {
        fs::copy(bench.path("photos/a.png"), bench.path(&format!("photos/{number}.png"))).unwrap();
    }
    for number in [3, 7] {
        fs::write(bench.path(&format!("photos/{number}.png")), "no picture").unwrap();
    }
    fs::write(bench.path("photos/10.heic"), "x").unwrap();
    let output = bench.run("-i photos -o wet --json report.json");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("2 of 11 failed") && said.contains("passed over") && said.contains("10.heic"), "{said}");
    let places: Vec<_> = (1..=11).filter_map(|place| said.find(&format!("[{place}/11]"))).collect();
    assert!(places.len() == 9 && places.is_sorted(), "{said}");
    let report = bench.json("report.json");
    let names: Vec<_> = report["pictures"].as_array().unwrap().iter().map(|entry| entry["name"].as_str()).collect();
    let expected = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b/c"].map(Some);
    assert_eq!(names, expected);
    assert!(report["pictures"][2]["error"].is_string() && report["pictures"][3]["error"].is_null());
    bench.done("-i photos/8.png -o alone");
    assert_eq!(bench.picture("alone/rain/8.png"), bench.picture("wet/rain/8.png"));
}

#[test]
fn mistakes_are_named_and_nothing_is_written() {
    let bench = Bench::new();
    fs::write(bench.path("typo.json"), r#"{"densty": 1}"#).unwrap();
    bench.fails("-i photos -o photos/wet", "choose another output folder");
    bench.fails("-i photos -o wet --json photos/a.png", "would be overwritten");
    bench.fails("-i photos -o wet --options typo.json", "unknown field `densty`");
    for (option, value, needed) in [
        ("noise", "100", "a number from 0 to 64"),
        ("veil", "NaN", "a number from 0 to 0.95"),
        ("jpeg", "0", "a number from 1 to 100"),
        ("angle", "-61", "a number from -60 to 60"),
        ("scale", "0", "a number above 0"),
        ("density", "heavy", "sparse, normal or dense"),
        ("shard", "3/2", "I/N with I from 1 to N"),
    ] {
        let output = bench.run(&format!("-i photos -o wet --{option} {value}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("--{option}")) && said.contains(needed), "{said}");
        assert!(!said.contains("the option `"), "{said}");
    }
    bench.fails("-i photos -o wet --psnr 1", "rain cannot bring the mean PSNR to 1 dB");
    bench.fails("-i photos -o wet --frames 2 --shake 40", "it has no pixels");
    bench.fails("-i photos -o wet --frames 0", "--frames");
    bench.fails("-i nothing.png -o wet", "nothing.png");
    assert!(!bench.path("wet").exists());
    bench.done("-i photos/a.png -o wet");
    for input in ["wet/clean/a.png", "wet/clean", "wet/rain"] {
        bench.fails(&format!("-i {input} -o wet"), "choose another output folder");
    }
    // One bad picture does not keep the others from their rain.
    fs::write(bench.path("photos/bad.png"), b"no picture").unwrap();
    bench.fails("-i photos -o more", "1 of 3 failed");
    assert!(bench.path("more/rain/b/c.png").is_file());
}
