use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use image::{Rgb, RgbImage};

use super::*;
use crate::clean::{Interpolation, ModeOf, ModeTie, PercentileTie};
use crate::dataset::PairList;
use crate::judge::{AcceptAll, Schedule};
use crate::{CleanOptions, LoadOptions, load_picture};

/// Videos of a scene with a drop that falls; each has a colour of its own.
pub(super) struct Bench(tempfile::TempDir);

const SIZE: (u32, u32) = (20, 14);

impl Bench {
    pub(super) fn new(videos: u8, frames: u32) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for video in 0..videos {
            bench.video(&format!("v {video}"), 40 * (video + 1), frames);
        }
        bench
    }

    fn video(&self, name: &str, level: u8, frames: u32) {
        let folder = self.path("in").join(name);
        fs::create_dir_all(&folder).unwrap();
        for frame in 0..frames {
            // One column of rain in each frame, elsewhere each time.
            let picture = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
                let rain = if x == 3 * frame % SIZE.0 { 50 } else { 0 };
                Rgb([level + rain, (level + y as u8).saturating_add(rain), x as u8])
            });
            picture.save(folder.join(format!("{frame}.png"))).unwrap();
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn build(&self, output: &str, options: &BuildOptions, resume: Resume) -> Result<BuildReport, Error> {
        build_dataset(self.path("in"), self.path(output), options, resume, &mut AcceptAll, &mut |_| {})
    }

    /// Every file below a folder, with its content.
    pub(super) fn tree(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        walkdir::WalkDir::new(self.path(name))
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let name = entry.path().strip_prefix(self.path(name)).unwrap().to_str().unwrap().to_owned();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }
}

pub(super) fn options() -> BuildOptions {
    BuildOptions {
        patch: 6,
        pairs_per_video: 9,
        test_fraction: 0.25,
        schedule: Schedule::fixed(5),
        // Too small and too plain to tell rain from motion.
        moving: MovingScenes::Keep,
        ..BuildOptions::default()
    }
}

#[test]
fn pairs_are_patches_of_frames_and_of_the_clean_image() {
    let bench = Bench::new(4, 8);
    let report = bench.build("out", &options(), Resume::Refuse).unwrap();
    assert!(report.failed.is_empty());
    let (mut trained, mut tested) = (HashSet::new(), HashSet::new());
    for video in &report.manifest.videos {
        let pairs = video.pairs.as_ref().unwrap();
        assert_eq!((pairs.len(), video.frames, video.judge.as_str()), (9, 5, "none"));
        assert_eq!((video.size, video.verdict), (SIZE, RecordedVerdict::Accepted));
        let clean = load_picture(bench.path(&format!("out/clean/{}.png", video.name))).unwrap().image.into_rgb8();
        for name in pairs {
            let (of, place) = name.strip_suffix(".png").unwrap().rsplit_once('-').unwrap();
            let place: Vec<u32> = place.split('_').map(|number| number.parse().unwrap()).collect();
            assert_eq!((of, place.len()), (video.name.as_str(), 3));
            let source = bench.path(&format!("in/{}/{}.png", of.replace('_', " "), place[0]));
            let frame = load_picture(source).unwrap().image.into_rgb8();
            for (kind, whole) in [("rain", &frame), ("norain", &clean)] {
                let path = bench.path(&format!("out/{}/{kind}/{name}", video.split.name()));
                let expected = image::imageops::crop_imm(whole, place[1], place[2], 6, 6).to_image();
                assert_eq!(load_picture(path).unwrap().image.into_rgb8(), expected, "{kind} {name}");
            }
        }
        if video.split == Split::Train { &mut trained } else { &mut tested }.insert(video.sha256.clone());
    }
    assert_eq!((trained.len(), tested.len()), (3, 1));
    assert!(trained.is_disjoint(&tested));
    // Nothing else lies there.
    let patches = bench.tree("out").into_keys().filter(|name| name.contains("rain/")).count();
    assert_eq!(patches, 2 * 4 * 9);
}

#[test]
fn lists_and_manifest_read_back() {
    let bench = Bench::new(4, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    for (split, count) in [(Split::Train, 27), (Split::Test, 9)] {
        let manifest = PairList::from_manifest(bench.path("out/manifest.json"), split).unwrap();
        let list =
            PairList::from_list_file(bench.path(&format!("out/{}.txt", split.name())), bench.path("out")).unwrap();
        let mut folder = PairList::from_rain_folder(bench.path("out").join(split.name())).unwrap().pairs().to_vec();
        assert_eq!((manifest.pairs().len(), &manifest), (count, &list));
        manifest.pairs()[0].load(&LoadOptions::default()).unwrap();
        let mut listed = list.pairs().to_vec();
        let key = |pair: &crate::dataset::Pair| pair.name();
        folder.sort_by_key(key);
        listed.sort_by_key(key);
        assert_eq!(folder, listed);
    }
    let error = PairList::detect(bench.path("out")).unwrap_err().to_string();
    assert!(error.contains("train.txt"), "{error}");
    fs::write(bench.path("other.json"), "{}").unwrap();
    assert!(matches!(PairList::from_manifest(bench.path("other.json"), Split::Train), Err(Error::Json { .. })));
    let text = fs::read_to_string(bench.path("out/manifest.json")).unwrap();
    assert!(!text.contains(bench.0.path().to_str().unwrap()), "no path of this machine");
    fs::remove_file(bench.path("out").join(text_line(&bench))).unwrap();
    let error = PairList::from_manifest(bench.path("out/manifest.json"), Split::Train).unwrap_err().to_string();
    assert!(error.contains("names 1 files that do not exist"), "{error}");
}

fn text_line(bench: &Bench) -> String {
    let list = fs::read_to_string(bench.path("out/train.txt")).unwrap();
    list.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_manifest_keeps_how_clean_images_were_made_and_nothing_of_the_machine() {
    let bench = Bench::new(1, 8);
    let chosen = CleanOptions {
        mode_of: ModeOf::Channels,
        mode_tie: ModeTie::Largest,
        percentile_tie: PercentileTie::Middle,
        interpolation: Interpolation::Nearest,
        percentile: Some(40),
        ..CleanOptions::default()
    };
    let spool_folder = Some(bench.0.path().to_owned());
    let clean = CleanOptions { max_memory: 1 << 20, spool_folder, expected_frames: Some(5), ..chosen.clone() };
    bench.build("out", &BuildOptions { clean, ..options() }, Resume::Refuse).unwrap();
    assert_eq!(Manifest::read(bench.path("out/manifest.json")).unwrap().options.clean, chosen);
}

#[test]
fn a_video_that_moves_is_refused_with_advice_that_a_build_can_take() {
    let bench = Bench::new(0, 0);
    let folder = bench.path("in/shaken");
    fs::create_dir_all(&folder).unwrap();
    for frame in 0..5 {
        let picture = RgbImage::from_fn(96, 60, |x, y| {
            let x = x + 2 * frame;
            Rgb([((x * x + 3 * y * y) / 40 % 256) as u8; 3])
        });
        picture.save(folder.join(format!("{frame}.png"))).unwrap();
    }
    let report =
        bench.build("out", &BuildOptions { moving: MovingScenes::Refuse, ..options() }, Resume::Refuse).unwrap();
    let error = report.failed[0].1.to_string();
    assert!(error.contains("the scene moves") && error.ends_with("`MovingScenes::Keep` (`--keep-moving`)"), "{error}");
}

#[test]
fn equal_builds_are_equal_and_the_seed_matters() {
    let bench = Bench::new(3, 8);
    bench.build("first", &options(), Resume::Refuse).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    pool.install(|| bench.build("second", &options(), Resume::Continue)).unwrap();
    assert_eq!(bench.tree("first"), bench.tree("second"));
    bench.build("third", &BuildOptions { seed: 1, pairs_per_video: 3, ..options() }, Resume::Refuse).unwrap();
    bench.build("fourth", &BuildOptions { pairs_per_video: 3, ..options() }, Resume::Refuse).unwrap();
    assert_ne!(bench.tree("third")["train.txt"], bench.tree("fourth")["train.txt"]);
}

#[test]
fn a_build_broken_off_anywhere_is_resumed_to_the_same_tree() {
    let bench = Bench::new(3, 8);
    let mut events = 0;
    let whole = |_: BuildEvent<'_>| events += 1;
    let input = bench.path("in");
    build_dataset(&input, bench.path("whole"), &options(), Resume::Refuse, &mut AcceptAll, &mut { whole }).unwrap();
    let expected = bench.tree("whole");
    for stop in 0..events {
        let output = format!("out {stop}");
        let mut left = stop;
        let mut observer = |_: BuildEvent<'_>| {
            assert!(left > 0, "broken off, as the test wants it");
            left -= 1;
        };
        let run =
            || build_dataset(&input, bench.path(&output), &options(), Resume::Refuse, &mut AcceptAll, &mut observer);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        bench.build(&output, &options(), Resume::Continue).unwrap();
        assert_eq!(bench.tree(&output), expected, "stopped at {stop} of {events}");
    }
}

#[test]
fn temporaries_of_a_kill_are_cleared_away_whoever_left_them() {
    let bench = Bench::new(1, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let whole = bench.tree("out");
    // Another machine's, just made, so that no age tells.
    for folder in ["", "build", "build/videos", "clean", "train/rain", "test/norain"] {
        fs::write(bench.path("out").join(folder).join(".derain-tmp-0123abcd-1-2-3-4"), "part").unwrap();
    }
    fs::create_dir_all(bench.path("young/build/videos")).unwrap();
    fs::write(bench.path("young/build/.derain-tmp-0123abcd-1-2-3-4"), "part of a plan").unwrap();
    for output in ["out", "young"] {
        bench.build(output, &options(), Resume::Continue).unwrap();
        assert_eq!(bench.tree(output), whole);
    }
}

#[test]
fn missing_pieces_are_made_again() {
    let bench = Bench::new(2, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let whole = bench.tree("out");
    for name in whole.keys().filter(|name| *name != "build/plan.json") {
        fs::remove_file(bench.path("out").join(name)).unwrap();
        bench.build("out", &options(), Resume::Continue).unwrap();
        assert_eq!(bench.tree("out"), whole, "{name}");
    }
}

#[test]
fn a_build_begun_differently_is_not_mixed() {
    let bench = Bench::new(2, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let before = bench.tree("out");
    let refused = |options: &BuildOptions, resume| bench.build("out", options, resume).unwrap_err().to_string();
    assert!(refused(&options(), Resume::Refuse).contains("resume it"));
    let other = BuildOptions { patch: 7, ..options() };
    assert!(refused(&other, Resume::Continue).contains("patch was 6 and is 7 now"));
    let other = BuildOptions { clean: CleanOptions { percentile: Some(40), ..CleanOptions::default() }, ..options() };
    assert!(refused(&other, Resume::Continue).contains("percentile was null and is 40 now"));
    bench.video("new", 9, 5);
    assert!(refused(&options(), Resume::Continue).contains("the video new is new"));
    fs::remove_dir_all(bench.path("in/new")).unwrap();
    RgbImage::new(20, 14).save(bench.path("in/v 1/7.png")).unwrap();
    assert!(refused(&options(), Resume::Continue).contains("content of the video v_1 has changed"));
    fs::rename(bench.path("in/v 1"), bench.path("v 1")).unwrap();
    assert!(refused(&options(), Resume::Continue).contains("the video v_1 is gone"));
    assert_eq!(bench.tree("out"), before);
    // A folder with something else in it is left alone.
    fs::create_dir(bench.path("mine")).unwrap();
    fs::write(bench.path("mine/notes.txt"), "x").unwrap();
    let error = bench.build("mine", &options(), Resume::Continue).unwrap_err().to_string();
    assert!(error.contains("no build that could be resumed"), "{error}");
    assert_eq!(bench.tree("mine").len(), 1);
    // Nor is one whose folders are called like ours, and whose files like a video's.
    for name in ["train/rain/v_1-001.png", "clean/v_1.png", "build/videos/v_1.json"] {
        let file = bench.path("theirs").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        let error = bench.build("theirs", &options(), Resume::Continue).unwrap_err().to_string();
        assert!(error.contains("no build that could be resumed"), "{error}");
        assert_eq!(bench.tree("theirs").len(), 1);
        fs::remove_dir_all(bench.path("theirs")).unwrap();
    }
}

#[test]
fn two_builds_at_once_are_refused() {
    let bench = Bench::new(1, 8);
    let mut seen = None;
    let mut observer = |event: BuildEvent<'_>| {
        if matches!(event, BuildEvent::Started { .. }) {
            seen = bench.build("out", &options(), Resume::Continue).err().map(|error| error.to_string());
        }
    };
    build_dataset(bench.path("in"), bench.path("out"), &options(), Resume::Refuse, &mut AcceptAll, &mut observer)
        .unwrap();
    assert!(seen.unwrap().contains("another process is building"));
}

#[test]
fn the_output_may_lie_below_the_videos() {
    let bench = Bench::new(1, 8);
    bench.build("in/out/set", &options(), Resume::Refuse).unwrap();
    let report = bench.build("in/out/set", &options(), Resume::Continue).unwrap();
    assert_eq!(report.manifest.videos.len(), 1);
}

#[test]
fn files_that_are_no_videos_are_named() {
    let bench = Bench::new(1, 8);
    fs::write(bench.path("in/v 1.insv"), "x").unwrap();
    let mut named = Vec::new();
    let mut observer = |event: BuildEvent<'_>| {
        if let BuildEvent::PassedOver { files } = event {
            named.push(files.to_vec());
        }
    };
    build_dataset(bench.path("in"), bench.path("out"), &options(), Resume::Refuse, &mut AcceptAll, &mut observer)
        .unwrap();
    assert_eq!(named, [[bench.path("in/v 1.insv")]]);
}

#[test]
fn a_broken_video_is_reported_and_the_others_are_done() {
    let bench = Bench::new(2, 8);
    bench.video("short", 7, 2);
    fs::create_dir_all(bench.path("in/broken")).unwrap();
    fs::write(bench.path("in/broken/1.png"), "no picture").unwrap();
    fs::create_dir_all(bench.path("in/small")).unwrap();
    RgbImage::new(5, 30).save(bench.path("in/small/1.png")).unwrap();
    let report = bench.build("out", &options(), Resume::Refuse).unwrap();
    let failed: Vec<(String, String)> =
        report.failed.iter().map(|(name, error)| (name.clone(), error.to_string())).collect();
    assert_eq!(failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["broken", "short", "small"]);
    assert!(
        failed[0].1.contains("1.png") && failed[1].1.contains("has 2 frames") && failed[2].1.contains("5x30"),
        "{failed:?}"
    );
    assert_eq!(report.manifest.unfinished, ["broken", "short", "small"]);
    assert_eq!(report.manifest.videos.len(), 2);
}

#[test]
fn a_disk_that_takes_no_frames_ends_the_build() {
    let bench = Bench::new(2, 8);
    // All frames are to be spooled, and there is no folder for them.
    let clean = CleanOptions { max_memory: 0, spool_folder: Some(bench.path("none")), ..CleanOptions::default() };
    let refused = bench.build("out", &BuildOptions { clean, ..options() }, Resume::Refuse).unwrap_err();
    assert!(matches!(&refused, Error::Io { path, .. } if path.ends_with("none")), "{refused:?}");
    assert!(!bench.path("out/manifest.json").exists());
    bench.build("out", &options(), Resume::Continue).unwrap();
}

#[test]
fn pairs_without_rain_can_be_left_out() {
    let bench = Bench::new(1, 8);
    let all = bench.build("all", &options(), Resume::Refuse).unwrap();
    for (least, fewer) in [(0, true), (254, true)] {
        let output = format!("out {least}");
        let report =
            bench.build(&output, &BuildOptions { least_difference: Some(least), ..options() }, Resume::Refuse).unwrap();
        let count = |report: &BuildReport| report.manifest.videos[0].pairs.as_ref().unwrap().len();
        assert_eq!(count(&report) < count(&all), fewer);
        assert!((least == 254) == (count(&report) == 0));
        let kept = &bench.tree(&output);
        let list = &kept["train.txt"];
        assert_eq!(list.iter().filter(|&&byte| byte == b'\n').count(), count(&report));
    }
}

#[test]
fn options_are_checked() {
    let bench = Bench::new(1, 3);
    for (options, word) in [
        (BuildOptions { patch: 0, ..options() }, "patch"),
        (BuildOptions { pairs_per_video: 0, ..options() }, "pairs_per_video"),
        (BuildOptions { stride: 0, ..options() }, "stride"),
        (BuildOptions { test_fraction: 1.5, ..options() }, "test_fraction"),
        (BuildOptions { test_fraction: f64::NAN, ..options() }, "test_fraction"),
        (BuildOptions { least_difference: Some(255), ..options() }, "least_difference"),
        (
            BuildOptions { clean: CleanOptions { percentile: Some(150), ..CleanOptions::default() }, ..options() },
            "percentile",
        ),
        (BuildOptions { schedule: Schedule { first: 0, ..Schedule::default() }, ..options() }, "first"),
    ] {
        let error = bench.build("out", &options, Resume::Refuse).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(!bench.path("out").exists());
    assert!(serde_json::from_str::<BuildOptions>(r#"{"patchs": 3}"#).is_err());
}
