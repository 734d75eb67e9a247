use std::fs;
use std::path::Path;

use derain_metrics::Scores;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::observer::Losses;
use crate::{Error, TrainConfig};

const STEPS: u64 = 10;
const CHECKPOINTS: u64 = 4;
const VALIDATIONS: u64 = 2;

fn config(folder: &Path) -> TrainConfig {
    TrainConfig { output: folder.to_owned(), checkpoint_interval: CHECKPOINTS, ..TrainConfig::default() }
}

fn step_record(step: u64) -> StepRecord {
    let losses = Losses { total: 1.0 / step as f64, l1: Some(0.5 / step as f64), ..Losses::default() };
    StepRecord { step, epoch: step / 5, losses, learning_rate: 0.005, gradient_norm: 0.1, seconds: 0.2, waited: 0.0 }
}

fn sample_pictures(pair: usize) -> SamplePictures {
    let colour = |value: u8| RgbImage::from_pixel(3, 2, Rgb([value, 0, 0]));
    let (attention, mask) = (GrayImage::from_pixel(3, 2, Luma([30])), GrayImage::from_pixel(3, 2, Luma([255])));
    SamplePictures { pair, input: colour(10), output: colour(20), truth: colour(50), attention: Some(attention), mask }
}

/// Tells `log` what a trainer tells from step `from` to step `to`, and the checkpoint of a stop there if it was one.
fn train(log: &mut RunLog, config: &TrainConfig, from: u64, to: u64, stopped: bool) -> Observed {
    let path = |name: &str| config.output.join(name);
    log.started(&Started {
        config,
        step: from,
        steps: STEPS,
        parameters: 7,
        pairs: 20,
        steps_per_epoch: 5,
        validation_pairs: 1,
        validation_due: false,
    })?;
    for step in from + 1..=to {
        log.step(&step_record(step))?;
        if step.is_multiple_of(VALIDATIONS) {
            let (input, output) = (Scores { psnr: 20.0, ssim: 0.5 }, Scores { psnr: 20.0 + step as f64, ssim: 0.75 });
            let is_best = step == 2;
            log.validation(&ValidationRecord { step, input, output, pairs: 1, is_best, seconds: 1.0 })?;
            if is_best {
                let path = &path("best.safetensors");
                log.written(&Written { step, path, kind: WrittenKind::BestWeights })?;
            }
            log.samples(step, &[sample_pictures(0)])?;
        }
        if step.is_multiple_of(CHECKPOINTS) || step == STEPS || (stopped && step == to) {
            let written =
                [(WrittenKind::Checkpoint, "checkpoint.safetensors"), (WrittenKind::LastWeights, "last.safetensors")];
            for (kind, name) in written {
                log.written(&Written { step, path: &path(name), kind })?;
            }
        }
    }
    Ok(())
}

/// A log of lines alone: most tests need no more.
fn lines_alone() -> RunLog {
    RunLog::new(LogOptions { tensorboard: false, samples: false })
}

fn log_path(folder: &TempDir) -> PathBuf {
    folder.path().join(LOG)
}

/// The lines of a log without its times.
fn without_times(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let object = value.as_object_mut().unwrap();
        assert!(object.remove("time").unwrap().as_f64().unwrap() > 1.6e9);
        object.retain(|key, _| key != "seconds" && key != "waited");
        value
    };
    text.lines().map(line).collect()
}

fn unbroken() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    train(&mut lines_alone(), &config(folder.path()), 0, STEPS, false).unwrap();
    without_times(&log_path(&folder))
}

#[test]
fn lines_are_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    train(&mut RunLog::new(LogOptions::default()), &config(folder.path()), 0, 4, false).unwrap();
    let lines: Vec<String> = without_times(&log_path(&folder)).iter().map(Value::to_string).collect();
    assert_eq!(
        lines[..6],
        [
            r#"{"event":"start","pairs":20,"parameters":7,"step":0,"steps":10,"steps_per_epoch":5,"validation_pairs":1}"#,
            r#"{"epoch":0,"event":"step","gradient_norm":0.1,"learning_rate":0.005,"losses":{"l1":0.5,"total":1.0},"step":1}"#,
            r#"{"epoch":0,"event":"step","gradient_norm":0.1,"learning_rate":0.005,"losses":{"l1":0.25,"total":0.5},"step":2}"#,
            r#"{"best":true,"event":"validation","input":{"psnr":20.0,"ssim":0.5},"output":{"psnr":22.0,"ssim":0.75},"pairs":1,"step":2}"#,
            r#"{"event":"written","file":"best.safetensors","kind":"best_weights","step":2}"#,
            r#"{"event":"samples","files":["samples/step-00000002-pair-0.png"],"step":2}"#,
        ]
    );
    let records = read_log(log_path(&folder)).unwrap();
    assert_eq!(records.len(), lines.len());
    assert_eq!(records[1].event, Event::Step(step_record(1)));
    let picture = derain_data::load_picture(folder.path().join("samples/step-00000002-pair-0.png")).unwrap();
    assert_eq!(picture.image.into_rgb8(), samples::strip(&sample_pictures(0)));
}

#[test]
fn infinite_scores_are_text_and_come_back() {
    let score = ScoreValues { psnr: f64::INFINITY, ssim: 1.0 };
    let json = serde_json::to_string(&score).unwrap();
    assert_eq!(json, r#"{"psnr":"inf","ssim":1.0}"#);
    assert_eq!(serde_json::from_str::<ScoreValues>(&json).unwrap(), score);
    assert!(serde_json::from_str::<ScoreValues>(r#"{"psnr":"much","ssim":1.0}"#).is_err());
}

/// A kill leaves any number of the file's bytes, from where the checkpoint was written on.
#[test]
fn a_log_killed_anywhere_ends_as_an_unbroken_one() {
    let expected = unbroken();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), log_path(&folder));
    train(&mut lines_alone(), &config, 0, 7, false).unwrap();
    let bytes = fs::read(&path).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let checkpoint = text.find(r#"{"event":"written","step":4"#).unwrap();
    for length in checkpoint..=bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        train(&mut lines_alone(), &config, 4, STEPS, false).unwrap();
        assert_eq!(without_times(&path), expected, "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn what_a_power_cut_leaves_at_the_end_is_cut_off() {
    let expected = unbroken();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), log_path(&folder));
    for torn in [&b"\0\0\0\0\0"[..], b"{\"event\":\"step\",", b"\xff\xfe\n\0\0\n"] {
        train(&mut lines_alone(), &config, 0, 7, false).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let whole = read_log(&path).unwrap().len();
        bytes.extend(torn);
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_log(&path).unwrap().len(), whole, "what is whole can be read");
        train(&mut lines_alone(), &config, 4, STEPS, false).unwrap();
        assert_eq!(without_times(&path), expected);
    }
}

/// An unbroken run has no checkpoint where somebody has stopped this one.
#[test]
fn a_stopped_log_ends_as_an_unbroken_one() {
    let expected = unbroken();
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    for stop in [3, 4, 7, 8] {
        // Once more from the same log object, as a trainer that runs twice has it.
        let mut log = lines_alone();
        train(&mut log, &config, 0, stop, true).unwrap();
        train(&mut log, &config, stop, STEPS, false).unwrap();
        assert_eq!(without_times(&log_path(&folder)), expected, "stopped after step {stop}");
    }
    // All steps are done: nothing is added.
    train(&mut lines_alone(), &config, STEPS, STEPS, false).unwrap();
    assert_eq!(without_times(&log_path(&folder)), expected);
}

#[test]
fn a_new_training_begins_an_empty_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    train(&mut lines_alone(), &config, 0, 3, false).unwrap();
    train(&mut lines_alone(), &config, 0, STEPS, false).unwrap();
    assert_eq!(without_times(&log_path(&folder)), unbroken());
}

#[test]
fn missing_lines_are_admitted() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), log_path(&folder));
    train(&mut lines_alone(), &config, 8, STEPS, false).unwrap();
    assert!(matches!(read_log(&path).unwrap()[0].event, Event::Start { step: 8, .. }));
    train(&mut lines_alone(), &config, 0, 6, false).unwrap();
    train(&mut lines_alone(), &config, 8, STEPS, false).unwrap();
    let events: Vec<Event> = read_log(&path).unwrap().into_iter().map(|record| record.event).collect();
    let gap = events.iter().position(|event| *event == Event::Gap { step: 8, after: 6 }).unwrap();
    assert!(events[..gap].iter().all(|event| event.step() <= 6));
    assert!(events[gap..].iter().all(|event| event.step() >= 8));
}

#[test]
fn damage_before_the_end_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), log_path(&folder));
    train(&mut lines_alone(), &config, 0, 7, false).unwrap();
    let damaged = fs::read_to_string(&path).unwrap().replacen(r#""step":2"#, r#""step":x"#, 1);
    fs::write(&path, &damaged).unwrap();
    let error = train(&mut lines_alone(), &config, 4, STEPS, false).unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert!(matches!(*error, Error::Log { line: 3, .. }), "{error}");
    assert!(matches!(read_log(&path), Err(Error::Log { line: 3, .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", log_path(&folder)).unwrap();
    let error = train(&mut lines_alone(), &config(folder.path()), 0, 1, false).unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    let Error::Io { action: "write", path, source } = *error else { panic!("{error}") };
    assert_eq!((path, source.kind()), (log_path(&folder), std::io::ErrorKind::StorageFull));
}

#[test]
fn a_folder_in_the_way_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("samples"), "a file").unwrap();
    let error = train(&mut RunLog::new(LogOptions::default()), &config(folder.path()), 0, 1, false).unwrap_err();
    assert!(matches!(*error.downcast::<Error>().unwrap(), Error::Io { action: "make", .. }));
    fs::create_dir(log_path(&folder)).ok();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(log_path(&folder)).unwrap();
    let error = train(&mut lines_alone(), &config(folder.path()), 0, 1, false).unwrap_err();
    assert!(matches!(*error.downcast::<Error>().unwrap(), Error::Io { action: "open", .. }));
}

#[test]
fn pictures_lie_side_by_side() {
    let strip = samples::strip(&sample_pictures(0));
    assert_eq!(strip.dimensions(), (5 * 3 + 4 * 4, 2));
    let at = |index: u32| strip.get_pixel(7 * index + 1, 1).0;
    assert_eq!([0, 1, 2, 3, 4].map(at), [[10, 0, 0], [20, 0, 0], [30; 3], [255; 3], [50, 0, 0]]);
    assert_eq!(strip.get_pixel(4, 0).0, [255; 3]);
    let without = samples::strip(&SamplePictures { attention: None, ..sample_pictures(0) });
    assert_eq!(without.dimensions(), (4 * 3 + 3 * 4, 2));
}

#[test]
fn messages_stand_behind_the_last_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = lines_alone();
    train(&mut log, &config(folder.path()), 0, 3, false).unwrap();
    log.message("slow disk").unwrap();
    let last = read_log(log_path(&folder)).unwrap().pop().unwrap().event;
    assert_eq!(last, Event::Message { step: 3, text: "slow disk".into() });
}

#[test]
fn two_observers_hear_the_same_until_one_fails() {
    #[derive(Default)]
    struct Counting {
        heard: usize,
        fails_at: usize,
    }
    impl Observer for Counting {
        fn message(&mut self, _text: &str) -> Observed {
            self.heard += 1;
            if self.heard == self.fails_at { Err("enough".into()) } else { Ok(()) }
        }
    }
    let (mut first, mut second) = (Counting { fails_at: 2, ..Default::default() }, Counting::default());
    let mut both = (&mut first, &mut second);
    assert!(both.message("one").is_ok() && both.message("two").is_err());
    assert_eq!((first.heard, second.heard), (2, 1));
}
