//! Several ranks in one process: what MPI does between machines, with threads.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use derain_train::{
    Error, Observed, Observer, Outcome, Result, Schedule, StepRecord, StopHandle, TrainConfig, Trainer,
};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

mod threads;

/// A folder with `photos` in it, gone after the test.
fn bench() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for number in 0..16u32 {
        let picture = RgbImage::from_fn(40, 32, |x, y| {
            Rgb([(7 * x + 16 * number) as u8, (5 * y + x * y / 9) as u8, (3 * (x + y) + 40 * number) as u8])
        });
        picture.save(photos.join(format!("{number:02}.png"))).unwrap();
    }
    folder
}

fn config(folder: &Path, output: &str, [batch_size, micro_batches]: [usize; 2], steps: u64) -> TrainConfig {
    let config = TrainConfig::from_toml(&format!(
        r#"
        output = "{output}"
        seed = 3
        steps = {steps}
        batch_size = {batch_size}
        micro_batches = {micro_batches}
        ema = 0.9
        clip_norm = 0.5
        checkpoint_interval = 4
        [network]
        kind = "spanet"
        channels = 4
        [data]
        kind = "synthesized"
        clean = "photos"
        held_out = 2
        [augment]
        crop = {{ kind = "window", size = 16 }}
        [loss]
        ssim = 0.0
        [schedule]
        kind = "constant"
        rate = 0.002
        [validation]
        interval = 3
        "#
    ));
    let mut config = config.unwrap();
    config.output = folder.join(&config.output);
    if let derain_train::DataConfig::Synthesized(data) = &mut config.data {
        data.clean = folder.join(&data.clean);
    }
    config
}

/// What a rank's observer saw, and when it fails or asks for the end.
#[derive(Default)]
struct Watch {
    records: Vec<StepRecord>,
    fails_at: Option<u64>,
    stops_at: Option<(u64, StopHandle)>,
    /// In the first validation, after its first pair.
    stops_in_validation: Option<StopHandle>,
    /// Whether the rank runs once more after a stop.
    again: bool,
    /// Files that lose half of their bytes.
    cuts_at_step_4: Vec<(Vec<u8>, PathBuf)>,
}

impl Observer for Watch {
    fn step(&mut self, step: &StepRecord) -> Observed {
        let mut record = step.clone();
        (record.seconds, record.waited) = (0.0, 0.0);
        self.records.push(record);
        if let Some((_, stop)) = self.stops_at.as_ref().filter(|(at, _)| *at == step.step) {
            stop.stop();
        }
        for (bytes, path) in self.cuts_at_step_4.iter().filter(|_| step.step == 4) {
            fs::write(path, &bytes[..bytes.len() / 2])?;
        }
        if self.fails_at == Some(step.step) { Err("no space left".into()) } else { Ok(()) }
    }

    fn validating(&mut self, _: usize, _: usize) -> Observed {
        if let Some(stop) = self.stops_in_validation.take() {
            stop.stop();
        }
        Ok(())
    }
}

/// How a rank begins: each may differ in a test.
type Begin<'a> = &'a (dyn Fn(usize) -> TrainConfig + Sync);

struct Ended {
    outcome: Result<Outcome>,
    records: Vec<StepRecord>,
}

/// Trains among `size` threads; `prepare` may ask a rank's stop handle and change its observer.
fn train(
    size: usize,
    resume: bool,
    config: Begin<'_>,
    prepare: &(dyn Fn(usize, StopHandle, &mut Watch) + Sync),
) -> Vec<Ended> {
    thread::scope(|scope| {
        let ranks = threads::group(size).into_iter().enumerate().map(|(rank, ranks)| {
            scope.spawn(move || {
                let mut watch = Watch::default();
                let begin = if resume { Trainer::resume_among } else { Trainer::new_among };
                let outcome = begin(config(rank), &candle_core::Device::Cpu, ranks).and_then(|mut trainer| {
                    prepare(rank, trainer.stop_handle(), &mut watch);
                    match trainer.run(&mut watch)? {
                        Outcome::Stopped { .. } if watch.again => trainer.run(&mut watch),
                        outcome => Ok(outcome),
                    }
                });
                Ended { outcome, records: watch.records }
            })
        });
        ranks.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn finish(size: usize, resume: bool, config: &TrainConfig) -> Vec<StepRecord> {
    let mut ended = train(size, resume, &|_| config.clone(), &|_, _, _| ());
    for ended in &ended {
        assert_eq!(*ended.outcome.as_ref().unwrap(), Outcome::Finished);
    }
    assert!(ended[1..].iter().all(|ended| ended.records.is_empty()), "only rank 0 is watched");
    ended.swap_remove(0).records
}

/// All files of an output folder but the lock, which is empty.
fn assert_same_files(folder: &Path, one: &str, other: &str) {
    for name in ["checkpoint", "last", "best"] {
        let [one, other] = [one, other].map(|output| fs::read(folder.join(output).join(format!("{name}.safetensors"))));
        assert!(one.unwrap() == other.unwrap(), "{name} of {folder:?} differs");
    }
}

/// The error of the one rank that speaks, and who it is.
fn only_error(ended: &[Ended]) -> (usize, &Error) {
    let errors: Vec<&Error> = ended.iter().map(|ended| ended.outcome.as_ref().unwrap_err()).collect();
    let speakers = || errors.iter().enumerate().filter(|(_, error)| !matches!(error, Error::OtherRank { .. }));
    assert_eq!(speakers().count(), 1, "{errors:?}");
    let (speaker, error) = speakers().next().unwrap();
    let others = errors.iter().enumerate().filter(|&(rank, _)| rank != speaker);
    others.for_each(|(_, error)| assert!(matches!(error, Error::OtherRank { rank } if *rank == speaker), "{errors:?}"));
    (speaker, error)
}

#[test]
fn ranks_end_with_the_bits_of_one_process() {
    // Even and uneven parts, one or more a rank.
    for (case, (cut, size)) in [([4, 2], 2), ([7, 4], 2), ([5, 3], 3)].into_iter().enumerate() {
        let bench = bench();
        let [alone, together] = ["alone", "together"].map(|output| config(bench.path(), output, cut, 6));
        let (alone, together) = (finish(1, false, &alone), finish(size, false, &together));
        assert_eq!(alone.len(), 6);
        assert_eq!(alone, together, "losses and norms of case {case}");
        assert_same_files(bench.path(), "alone", "together");
    }
}

#[test]
fn the_number_of_ranks_may_change_on_resume() {
    let bench = bench();
    let config = |output| config(bench.path(), output, [6, 6], 8);
    finish(1, false, &config("unbroken"));
    let broken = config("broken");
    for (size, step) in [(2, 2), (3, 5), (1, 7)] {
        let ended = train(size, step > 2, &|_| broken.clone(), &|_, stop, watch| watch.stops_at = Some((step, stop)));
        ended.iter().for_each(|ended| assert_eq!(*ended.outcome.as_ref().unwrap(), Outcome::Stopped { step }));
    }
    finish(2, true, &broken);
    assert_same_files(bench.path(), "unbroken", "broken");
}

#[test]
fn parts_that_ranks_cannot_share_are_refused() {
    let bench = bench();
    let config = config(bench.path(), "run", [4, 3], 2);
    let ended = train(2, false, &|_| config.clone(), &|_, _, _| ());
    let (_, error) = only_error(&ended);
    assert!(error.to_string().contains("`micro_batches` is 3, which 2 ranks cannot share evenly"), "{error}");
}

#[test]
fn a_picture_that_one_rank_cannot_read_ends_all() {
    let bench = bench();
    let photo = bench.path().join("photos/04.png");
    let whole = fs::read(&photo).unwrap();
    let config = config(bench.path(), "run", [7, 2], 4);
    // Its header, which all look at before training, is whole.
    fs::write(&photo, &whole[..whole.len() / 2]).unwrap();
    let ended = train(2, false, &|_| config.clone(), &|_, _, _| ());
    let (_, error) = only_error(&ended);
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    assert!(text.contains("04.png"), "{text}");
}

#[test]
fn a_damaged_picture_costs_no_step() {
    let bench = bench();
    let config = |output| {
        let mut config = config(bench.path(), output, [4, 2], 12);
        config.checkpoint_interval = 1000;
        let derain_train::DataConfig::Synthesized(data) = &mut config.data else { panic!("its data are synthesized") };
        // So that pictures are read again after the first epoch.
        data.cache_mb = 0;
        config
    };
    finish(1, false, &config("whole"));
    let photos = fs::read_dir(bench.path().join("photos")).unwrap().map(|entry| entry.unwrap().path());
    let photos: Vec<_> = photos.map(|path| (fs::read(&path).unwrap(), path)).collect();
    let ended = train(2, false, &|_| config("run"), &|rank, _, watch| {
        watch.cuts_at_step_4 = photos.iter().filter(|_| rank == 0).cloned().collect();
    });
    let (_, error) = only_error(&ended);
    assert!(matches!(error, Error::Data(_)), "{error}");
    photos.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
    let done = ended[0].records.len();
    let resumed = finish(2, true, &config("run"));
    assert!(done >= 4 && done + resumed.len() == 12, "{done} and {}", resumed.len());
    assert_same_files(bench.path(), "whole", "run");
}

#[test]
fn a_log_that_cannot_be_written_ends_all() {
    let bench = bench();
    let config = config(bench.path(), "run", [4, 2], 4);
    let ended = train(2, false, &|_| config.clone(), &|_, _, watch| watch.fails_at = Some(2));
    let (speaker, error) = only_error(&ended);
    assert!(speaker == 0 && matches!(error, Error::Observer(_)), "{error}");
}

#[test]
fn gradients_that_explode_are_told_once() {
    let bench = bench();
    let mut config = config(bench.path(), "run", [4, 2], 400);
    config.schedule = Schedule::Constant { rate: 1e30 };
    let ended = train(2, false, &|_| config.clone(), &|_, _, _| ());
    let (speaker, error) = only_error(&ended);
    assert!(speaker == 0 && matches!(error, Error::Diverged { .. }), "{error}");
}

#[test]
fn one_rank_that_is_asked_to_stop_stops_all() {
    let bench = bench();
    let whole = config(bench.path(), "whole", [4, 2], 6);
    finish(1, false, &whole);
    let config = config(bench.path(), "run", [4, 2], 6);
    let asked = |rank, stop: StopHandle, _: &mut Watch| {
        if rank == 1 {
            stop.stop()
        }
    };
    let ended = train(2, false, &|_| config.clone(), &asked);
    ended.iter().for_each(|ended| assert_eq!(*ended.outcome.as_ref().unwrap(), Outcome::Stopped { step: 1 }));
    finish(2, true, &config);
    assert_same_files(bench.path(), "whole", "run");
}

#[test]
fn ranks_stopped_in_a_validation_run_on_together() {
    let bench = bench();
    let [whole, stopped] = ["whole", "stopped"].map(|output| config(bench.path(), output, [4, 2], 6));
    finish(1, false, &whole);
    let ended = train(2, false, &|_| stopped.clone(), &|rank, stop, watch| {
        watch.again = true;
        watch.stops_in_validation = Some(stop).filter(|_| rank == 0);
    });
    for ended in ended {
        assert_eq!(ended.outcome.unwrap(), Outcome::Finished);
    }
    assert_same_files(bench.path(), "whole", "stopped");
}

#[test]
fn rank_0_alone_knows_when_it_validates() {
    let bench = bench();
    let [whole, run] = ["whole", "run"].map(|output| config(bench.path(), output, [4, 2], 6));
    finish(1, false, &whole);
    let differing = |rank| {
        let mut config = run.clone();
        config.validation.interval += rank as u64;
        config.validation.samples *= 1 - rank;
        config
    };
    for ended in train(2, false, &differing, &|_, _, _| ()) {
        assert_eq!(ended.outcome.unwrap(), Outcome::Finished);
    }
    assert_same_files(bench.path(), "whole", "run");
}

#[test]
fn ranks_with_different_configurations_are_told_apart() {
    let bench = bench();
    let config = config(bench.path(), "run", [4, 2], 2);
    let differing = |rank| TrainConfig { seed: 3 + rank as u64, ..config.clone() };
    let ended = train(2, false, &differing, &|_, _, _| ());
    let (speaker, error) = only_error(&ended);
    assert!(speaker == 1 && error.to_string().contains("seed was 3 and is 4 now"), "{error}");
}
