//! The `derain_image` example from end to end, with a small network of random weights.
//!
//! `cargo test` builds the examples before it runs this; `cargo test --test derain_image` alone does
//! not, so build the example first.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::process::Stdio;

use derain::data::{Picture, load_picture, save_picture};
use image::{ColorType, GenericImageView, Pixel};
use serde_json::Value;

mod bench;
#[path = "../../examples/support/size.rs"]
mod size;
#[path = "../support/mod.rs"]
mod support;
mod weights;

use bench::{Bench, pattern};
use support::{assert_done, assert_failed, stderr};

#[test]
fn one_picture_keeps_its_kind() {
    let bench = Bench::new();
    let derainer = bench.derainer();
    for color in [
        ColorType::L8,
        ColorType::La8,
        ColorType::Rgb8,
        ColorType::Rgba8,
        ColorType::L16,
        ColorType::La16,
        ColorType::Rgb16,
        ColorType::Rgba16,
    ] {
        let rainy = bench.picture("rainy.png", color);
        assert_done(&bench.run("-i rainy.png -o made/for/this/clean.png"));
        let clean = load_picture(bench.path("made/for/this/clean.png")).unwrap().image;
        assert_eq!(clean.color(), color);
        assert!(clean == derainer.derain_dynamic(&rainy).unwrap(), "{color:?}");
        assert!(clean != rainy, "{color:?}: nothing was done");
        assert!(clean.pixels().zip(rainy.pixels()).all(|(c, r)| c.2.channels()[3] == r.2.channels()[3]), "{color:?}");
    }
}

#[test]
fn the_name_chooses_the_format_and_a_folder_gets_png() {
    let bench = Bench::new();
    bench.picture("rainy.jpg", ColorType::Rgb8);
    fs::create_dir(bench.path("there")).unwrap();
    for (output, made) in [
        ("clean.tiff", "clean.tiff"),
        ("clean.webp", "clean.webp"),
        ("clean.JPG", "clean.JPG"),
        ("there", "there/rainy.png"),
        ("new/", "new/rainy.png"),
    ] {
        assert_done(&bench.run(&format!("-i rainy.jpg -o {output}")));
        assert_eq!(load_picture(bench.path(made)).unwrap().image.dimensions(), (24, 16), "{made}");
    }
    assert_failed(&bench.run("-i rainy.jpg -o clean"), "clean: the name must end in .png");
    bench.picture("alpha.png", ColorType::Rgba8);
    assert_failed(&bench.run("-i alpha.png -o lost.jpg"), "Jpeg cannot hold a Rgba8 picture");
    assert!(!bench.path("lost.jpg").exists());
}

#[test]
fn orientation_is_applied_and_profile_and_exif_kept() {
    let bench = Bench::new();
    let mut profile = vec![0; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut picture = Picture::from(pattern(ColorType::Rgb8));
    picture.icc_profile = Some(profile.clone());
    save_picture(bench.path("plain.jpg"), &picture).unwrap();
    // A TIFF header with one tag: orientation 6, to be turned by 90 degrees.
    let exif = |orientation| {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation, 0, 0, 0, 0, 0, 0][..]].concat()
    };
    let plain = fs::read(bench.path("plain.jpg")).unwrap();
    let segment = [b"\xFF\xE1\x00\x22Exif\0\0", exif(6).as_slice()].concat();
    fs::write(bench.path("turned.jpg"), [&plain[..2], &segment, &plain[2..]].concat()).unwrap();
    assert_done(&bench.run("-i turned.jpg -o clean.png"));
    let clean = load_picture(bench.path("clean.png")).unwrap();
    let upright = load_picture(bench.path("plain.jpg")).unwrap().image.rotate90();
    assert_eq!(clean.image.dimensions(), (16, 24));
    assert!(clean.image == bench.derainer().derain_dynamic(&upright).unwrap());
    assert_eq!(clean.icc_profile, Some(profile));
    assert_eq!(clean.exif, Some(exif(1)));
}

#[test]
fn shards_do_what_one_run_does() {
    let bench = Bench::new();
    for name in ["in/1.png", "in/2.png", "in/a/3.png", "in/a/4.png", "in/b/5.png"] {
        bench.picture(name, ColorType::Rgb8);
    }
    assert_done(&bench.run("-i in -o whole --attention whole-maps --json whole.json"));
    let mut shares = Vec::new();
    for shard in ["2/3", "3/3", "1/3"] {
        assert_done(&bench.run(&format!("-i in -o in/out --attention maps --json report.json --shard {shard}")));
        let report = bench.json(&format!("report.{}.json", shard.replace('/', "-of-")));
        shares.push(report["images"].as_array().unwrap().len());
    }
    assert_eq!(shares, [2, 1, 2]);
    assert!(!bench.path("report.json").exists());
    for [one, many] in [["whole", "in/out"], ["whole-maps", "maps"]] {
        let tree = bench.tree(one);
        assert_eq!((tree.len(), &tree), (5, &bench.tree(many)));
        let bytes = |folder, name: &String| fs::read(bench.path(folder).join(name)).unwrap();
        assert!(tree.iter().all(|name| bytes(one, name) == bytes(many, name)));
    }
    for shard in ["0/3", "4/3", "1", "a/b"] {
        let output = bench.run(&format!("-i in -o other --shard {shard}"));
        assert!(output.status.code() == Some(2) && stderr(&output).contains("I/N with I from 1 to N"), "{shard}");
    }
}

#[test]
fn a_folder_keeps_its_tree_and_a_bad_file_stops_nothing() {
    let bench = Bench::new();
    bench.picture("in/1.jpg", ColorType::Rgb8);
    bench.picture("in/a/2.png", ColorType::L16);
    bench.picture("in/a/b/10.TIF", ColorType::Rgba8);
    fs::write(bench.path("in/a/9.png"), "no picture").unwrap();
    for name in ["in/notes.txt", "in/a/3.HEIC", "in/4.dng"] {
        fs::write(bench.path(name), "no picture either").unwrap();
    }
    let output = bench.run("-i in -o out --json reports/r.json");
    assert_failed(&output, "1 of 4 failed:");
    let said = stderr(&output);
    assert!(said.contains("passed over") && said.contains("4.dng and 1 more"), "{said}");
    assert!(said.contains("9.png is not a BMP, JPEG, PNG") && !said.contains("9.png: "), "{said}");
    assert_eq!(bench.tree("out"), ["1.png", "a/2.png", "a/b/10.png"]);
    assert_eq!(load_picture(bench.path("out/a/2.png")).unwrap().image.color(), ColorType::L16);

    let report = bench.json("reports/r.json");
    assert_eq!(report["network"], "spanet");
    assert_eq!(report["weights_sha256"], bench.derainer().weights_sha256());
    let images = report["images"].as_array().unwrap();
    let inputs: Vec<_> = images.iter().map(|image| image["input"].as_str().unwrap().replace('\\', "/")).collect();
    assert_eq!(inputs, ["in/1.jpg", "in/a/2.png", "in/a/9.png", "in/a/b/10.TIF"]);
    for image in images {
        assert!(image["output"].as_str().unwrap().ends_with(".png"));
        let failed = image["input"].as_str().unwrap().ends_with("9.png");
        assert_eq!(image["seconds"].is_null(), failed);
        assert_eq!(image["error"].is_string(), failed);
        assert!(failed || (image["error"].is_null() && image["seconds"].as_f64().unwrap() > 0.0));
    }
}

/// As behind `2>&1 | head -1`.
#[test]
fn work_goes_on_when_nobody_reads_the_log() {
    let bench = Bench::new();
    bench.picture("in/1.png", ColorType::Rgb8);
    bench.picture("in/2.png", ColorType::Rgb8);
    let mut child = bench.command("-i in -o out --weights weights.safetensors").stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.tree("out"), ["1.png", "2.png"]);
}

#[test]
fn resume_does_what_is_missing() {
    let bench = Bench::new();
    for name in ["in/1.png", "in/2.png", "in/3.png"] {
        bench.picture(name, ColorType::Rgb8);
    }
    assert_done(&bench.run("-i in -o out --attention map"));
    fs::write(bench.path("out/1.png"), "left alone").unwrap();
    fs::remove_file(bench.path("out/2.png")).unwrap();
    fs::remove_file(bench.path("map/3.png")).unwrap();
    let output = bench.run("-i in -o out --attention map --resume --json r.json");
    assert_done(&output);
    assert!(stderr(&output).contains("2 of 3 done, 1 skipped because their output exists"), "{}", stderr(&output));
    assert_eq!(fs::read(bench.path("out/1.png")).unwrap(), b"left alone");
    assert_eq!((bench.tree("out").len(), bench.tree("map").len()), (3, 3));
    let images = bench.json("r.json")["images"].clone();
    assert_eq!((&images[0]["skipped"], &images[0]["seconds"]), (&Value::Bool(true), &Value::Null));
    assert!(images[1].get("skipped").is_none() && images[1]["seconds"].is_number());
    // Without it, everything is done again.
    assert_done(&bench.run("-i in -o out"));
    assert!(load_picture(bench.path("out/1.png")).is_ok());
}

#[test]
fn inputs_with_the_same_output_fail_both() {
    let bench = Bench::new();
    bench.picture("in/a.jpg", ColorType::Rgb8);
    bench.picture("in/a.png", ColorType::Rgb8);
    bench.picture("in/b.png", ColorType::Rgb8);
    let output = bench.run("-i in -o out --json r.json");
    assert_failed(&output, "2 of 3 failed:");
    assert!(stderr(&output).contains("a.jpg and in"), "{}", stderr(&output));
    assert_eq!(bench.tree("out"), ["b.png"]);
    assert!(bench.json("r.json")["images"][0]["error"].is_string());
    // A picture and its attention are two files.
    assert_failed(&bench.run("-i in/b.png -o c.png --attention c.png"), "the picture and its attention");
    assert!(!bench.path("c.png").exists());
    assert_failed(&bench.run("-i in -o out --attention out"), "choose another");
}

#[test]
fn inputs_are_never_overwritten() {
    let bench = Bench::new();
    bench.picture("in/a.png", ColorType::Rgb8);
    bench.picture("in/in/b.png", ColorType::Rgb8);
    bench.picture("b.png", ColorType::Rgb8);
    fs::hard_link(bench.path("b.png"), bench.path("hard.png")).unwrap();
    let before = fs::read(bench.path("b.png")).unwrap();
    let mut runs = vec![
        "-i b.png -o b.png",
        "-i b.png -o in/../b.png",
        "-i b.png -o hard.png",
        "-i b.png -o .",
        "-i b.png -o c.png --attention b.png",
        "-i b.png -o c.png --json b.png",
        "-i b.png -o c.png --json weights.safetensors",
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("b.png", bench.path("soft.png")).unwrap();
        runs.push("-i b.png -o soft.png");
        runs.push("-i soft.png -o b.png");
    }
    for arguments in runs {
        assert_failed(&bench.run(arguments), "is an input and would be overwritten");
    }
    assert_failed(&bench.run("-i in -o in"), "is the input folder");
    // in/in/a.png would become in/a.png.
    bench.picture("in/in/a.png", ColorType::Rgb8);
    assert_failed(&bench.run("-i in -o ."), "is an input and would be overwritten");
    assert_eq!(fs::read(bench.path("b.png")).unwrap(), before);
    assert!(!bench.path("c.png").exists());
}

#[test]
fn outputs_inside_the_input_folder_are_no_inputs() {
    let bench = Bench::new();
    bench.picture("in/a.png", ColorType::Rgb8);
    bench.picture("in/b/c.png", ColorType::Rgb8);
    for _ in 0..2 {
        assert_done(&bench.run("-i in -o in/clean --attention in/b/maps"));
        assert_eq!(bench.tree("in/clean"), ["a.png", "b/c.png"]);
        assert_eq!(bench.tree("in/b/maps"), ["a.png", "b/c.png"]);
    }
    // A photograph that lay there before is neither skipped in silence nor written over.
    bench.picture("in/clean/holiday.png", ColorType::Rgb8);
    assert_failed(&bench.run("-i in -o in/clean"), "holiday.png lies in an output folder");
}

#[test]
fn attention_is_grey_or_in_colour() {
    let bench = Bench::new();
    let rainy = bench.picture("rainy.png", ColorType::Rgba8);
    let expected = bench.derainer().derain_dynamic_with_attention(&rainy).unwrap().attention.unwrap();
    assert_done(&bench.run("-i rainy.png -o clean.png --attention maps/grey.png"));
    assert_eq!(load_picture(bench.path("maps/grey.png")).unwrap().image, expected.clone().into());
    assert_done(&bench.run("-i rainy.png -o clean.png --attention maps --attention-style heat"));
    let heat = derain::models::heat_map(&expected);
    assert_eq!(load_picture(bench.path("maps/rainy.png")).unwrap().image, heat.into());
}

/// One is loaded and one saved while another is in work.
#[test]
fn a_long_folder_is_reported_in_its_order() {
    let bench = Bench::new();
    for name in ["1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png", "z/8.png"] {
        bench.picture(&format!("in/{name}"), ColorType::Rgb8);
    }
    for bad in ["in/2.png", "in/3.png", "in/7.png"] {
        fs::write(bench.path(bad), "no picture").unwrap();
    }
    assert_done(&bench.run("-i in/5.png -o out/5.png"));
    // A file where a folder must be, which shows when the picture is saved.
    fs::write(bench.path("out/z"), "in the way").unwrap();
    assert_failed(&bench.run("-i in -o out --resume --json r.json"), "4 of 8 failed:");
    assert_eq!(bench.tree("out"), ["1.png", "4.png", "5.png", "6.png", "z"]);
    let report = bench.json("r.json");
    let told = report["images"].as_array().unwrap().iter().map(|image| {
        let input = image["input"].as_str().unwrap().replace('\\', "/");
        let outcome = match (image["error"].is_string(), image.get("skipped").is_some()) {
            (true, _) => "failed",
            (false, true) => "skipped",
            (false, false) => "done",
        };
        (input, outcome)
    });
    let expected = ["done", "failed", "failed", "done", "skipped", "done", "failed"].into_iter().enumerate();
    let expected = expected.map(|(index, outcome)| (format!("in/{}.png", index + 1), outcome));
    assert!(told.eq(expected.chain([("in/z/8.png".to_owned(), "failed")])), "{report:#}");
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_written() {
    let bench = Bench::new();
    bench.picture("rainy.png", ColorType::Rgb8);
    fs::create_dir(bench.path("empty")).unwrap();
    fs::write(bench.path("broken.pth"), "no weights").unwrap();
    let weights = "--weights weights.safetensors";
    for (arguments, words) in [
        ("-i rainy.png -o c.png --weights broken.pth", "cannot use the weights broken.pth"),
        ("-i rainy.png -o c.png --weights none.pth", "cannot use the weights none.pth"),
        (&format!("-i rainy.png -o c.png --device cuda:99 {weights}"), "cuda:99 cannot be used: "),
        (&format!("-i rainy.png -o c.png --precision f16 {weights}"), "f16 is for GPUs"),
        (&format!("-i none.png -o c.png {weights}"), "cannot read none.png"),
        (&format!("-i empty -o c {weights}"), "there are no pictures in empty"),
        (&format!("-i empty -o rainy.png {weights}"), "rainy.png must be one too"),
        (&format!("-i empty -o c --attention map.png {weights}"), "map.png must be one too"),
    ] {
        assert_failed(&bench.run_bare(arguments), words);
    }
    // What the command line itself forbids has clap's exit status.
    for (arguments, words) in [
        ("-i rainy.png -o c.png --model unet", "there are: spanet, rranet"),
        ("-i rainy.png -o c.png --device tpu", "expected cpu or cuda:N"),
        ("-i rainy.png -o c.png --precision int8", "there are: f32, f16, bf16"),
        ("-i rainy.png -o c.png --max-memory 2XB", "is no size such as 2GiB"),
        ("-i rainy.png", "--output"),
    ] {
        let output = bench.run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    assert_eq!(bench.tree("."), ["broken.pth", "rainy.png", "weights.safetensors"]);
}

#[test]
fn of_several_pages_the_first_is_read_with_a_warning() {
    let bench = Bench::new();
    bench.picture("scan.tif", ColorType::Rgb8);
    let mut tiff = fs::read(bench.path("scan.tif")).unwrap();
    let first = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let link = first + 2 + 12 * usize::from(u16::from_le_bytes(tiff[first..first + 2].try_into().unwrap()));
    let second = tiff.len() as u32;
    tiff.extend_from_within(first..link + 4);
    tiff[link..link + 4].copy_from_slice(&second.to_le_bytes());
    fs::write(bench.path("scan.tif"), tiff).unwrap();
    let output = bench.run("-i scan.tif -o clean.png");
    assert_done(&output);
    assert!(stderr(&output).contains("scan.tif has 2 pages, the first was read"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn names_with_line_breaks_stay_on_their_line() {
    let bench = Bench::new();
    bench.picture("in/a\nb.png", ColorType::Rgb8);
    fs::write(bench.path("in/c\nerror: all lost.png"), "no picture").unwrap();
    let output = bench.run("-i in -o out --json r.json");
    assert_failed(&output, "error: in/c\\nerror: all lost.png is not");
    assert!(!stderr(&output).contains("\nerror: all"), "{}", stderr(&output));
    assert!(bench.path("out/a\nb.png").is_file());
    assert_eq!(bench.json("r.json")["images"][0]["input"], "in/a\nb.png");
}

/// Whoever runs the test: not even the superuser writes there.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_file_is_said_before_the_work() {
    let bench = Bench::new();
    bench.picture("photos/rainy.png", ColorType::Rgb8);
    for arguments in
        ["-i photos/rainy.png -o /proc/a/clean.png", "-i photos -o /proc/a", "-i photos -o c --json /proc/a.json"]
    {
        let output = bench.run(arguments);
        assert_failed(&output, "cannot write into /proc");
        assert!(!stderr(&output).contains("done"), "{}", stderr(&output));
    }
    assert!(!bench.path("c").exists());
}

#[test]
fn a_picture_over_the_memory_limit_fails() {
    let bench = Bench::new();
    bench.picture("rainy.png", ColorType::Rgb8);
    assert_failed(&bench.run("-i rainy.png -o clean.png --max-memory 1KB"), "more than the 0.0 MB allowed");
    assert!(!bench.path("clean.png").exists());
    assert_done(&bench.run("-i rainy.png -o clean.png --max-memory 2GiB"));
}

#[test]
fn features_in_temporary_files_give_the_same_picture() {
    let bench = Bench::new();
    image::RgbImage::from_fn(200, 700, |x, y| image::Rgb([(x * y % 251) as u8, (3 * x) as u8, (y / 2) as u8]))
        .save(bench.path("large.png"))
        .unwrap();
    fs::create_dir(bench.path("spool")).unwrap();
    assert_done(&bench.run("-i large.png -o whole.png"));
    // The tiny network's features take 18 MB in memory.
    assert_done(&bench.run("-i large.png -o spooled.png --max-memory 17MB --spool spool"));
    assert_eq!(fs::read(bench.path("whole.png")).unwrap(), fs::read(bench.path("spooled.png")).unwrap());
    assert_eq!(bench.tree("spool"), [""; 0]);
    assert_failed(&bench.run("-i large.png -o x.png --spool nowhere"), "is no folder");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_run_left_is_removed() {
    let bench = Bench::new();
    bench.picture("in/a/1.png", ColorType::Rgb8);
    fs::create_dir_all(bench.path("out/a")).unwrap();
    let left = bench.path("out/a/.derain-tmp-00000000-1-2-3-4");
    let made = fs::File::create(&left).unwrap();
    made.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(200_000)).unwrap();
    assert_done(&bench.run("-i in -o out"));
    assert_eq!(bench.tree("out"), ["a/1.png"]);
}

#[test]
fn sizes_are_read_as_people_write_them() {
    for (text, bytes) in [
        ("1073741824", 1 << 30),
        ("2GiB", 2 << 30),
        ("500MB", 500_000_000),
        ("1.5 gib", 3 << 29),
        ("10b", 10),
        ("3TB", 3_000_000_000_000),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(size::parse(text), Ok(bytes), "{text}");
    }
    for text in ["", "GiB", "-1", "1.2.3", "2XB", "0", "99999999999GiB", "1e9", "2 Gi B"] {
        assert!(size::parse(text).is_err(), "{text}");
    }
}
