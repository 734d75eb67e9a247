//! Broken off anywhere, a training that is resumed ends as if it had not been.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod common;

use std::fs;

use common::{Bench, NETWORKS, Watch, train};
use derain_data::synthesis::RainRange;
use derain_train::{
    DataConfig, Error, LogOptions, Observed, Observer, Outcome, RunLog, Schedule, StepRecord, StopHandle, TrainConfig,
    Trainer,
};
use serde_json::Value;

/// Runs until after a step.
fn train_until(config: TrainConfig, step: u64) {
    let mut trainer = if step == 1 { Trainer::new(config) } else { Trainer::resume(config) }.unwrap();
    let mut watch = Watch { stop_after: Some((step, trainer.stop_handle())), ..Watch::default() };
    assert_eq!(trainer.run(&mut watch).unwrap(), Outcome::Stopped { step });
}

#[test]
fn a_stop_after_every_step_changes_no_bit() {
    const STEPS: u64 = 9; // more than the two steps of an epoch, and two validations
    let bench = Bench::new();
    for network in NETWORKS {
        let [whole, broken] = ["whole", "broken"].map(|run| format!("{}-{run}", network.0));
        train(bench.config(&whole, STEPS, network));
        for step in 1..STEPS {
            train_until(bench.config(&broken, STEPS, network), step);
        }
        let mut last = Trainer::resume(bench.config(&broken, STEPS, network)).unwrap();
        assert_eq!(last.run(&mut ()).unwrap(), Outcome::Finished);
        let (whole, broken) = (bench.files(&whole), bench.files(&broken));
        let names: Vec<&str> = whole.keys().map(String::as_str).collect();
        assert_eq!(names, ["best.safetensors", "checkpoint.safetensors", "last.safetensors"]);
        assert!(whole == broken, "{}: the files differ", network.0);
    }
}

#[test]
fn a_kill_between_checkpoints_changes_no_bit() {
    let bench = Bench::new();
    let config = |output| TrainConfig { checkpoint_interval: 3, ..bench.config(output, 8, NETWORKS[0]) };
    train(config("whole"));
    // The state on disk after a kill in step 5: the checkpoint of step 3, and weights that it may not have got to
    // write.
    train_until(config("killed"), 1);
    let mut trainer = Trainer::resume(config("killed")).unwrap();
    struct Kill;
    impl Observer for Kill {
        fn step(&mut self, step: &StepRecord) -> Observed {
            if step.step == 5 { Err("killed".into()) } else { Ok(()) }
        }
    }
    assert!(matches!(trainer.run(&mut Kill), Err(Error::Observer(_))));
    drop(trainer);
    fs::remove_file(bench.path().join("killed/last.safetensors")).unwrap();
    let mut trainer = Trainer::resume(config("killed")).unwrap();
    assert!(bench.path().join("killed/last.safetensors").exists(), "the checkpoint's weights are back");
    assert_eq!(trainer.run(&mut ()).unwrap(), Outcome::Finished);
    assert!(bench.files("whole") == bench.files("killed"));
}

/// Asks to stop in a validation, and notes messages.
#[derive(Default)]
struct InValidation {
    stop: Option<StopHandle>,
    validations: usize,
    messages: Vec<String>,
}

impl Observer for InValidation {
    fn validating(&mut self, done: usize, _of: usize) -> Observed {
        if let Some(stop) = self.stop.as_ref().filter(|_| done == 1) {
            stop.stop();
        }
        Ok(())
    }

    fn validation(&mut self, _: &derain_train::ValidationRecord) -> Observed {
        self.validations += 1;
        Ok(())
    }

    fn message(&mut self, text: &str) -> Observed {
        self.messages.push(text.to_owned());
        Ok(())
    }
}

#[test]
fn a_stop_does_not_wait_for_a_validation_and_the_resume_makes_up_for_it() {
    let bench = Bench::new();
    let config = |output| {
        let mut config = bench.config(output, 6, NETWORKS[0]);
        let DataConfig::Synthesized(data) = &mut config.data else { panic!("its data are synthesized") };
        data.held_out = 2;
        TrainConfig { checkpoint_interval: 4, ..config }
    };
    let lines_alone = || RunLog::new(LogOptions { tensorboard: false, samples: false });
    Trainer::new(config("whole")).unwrap().run(&mut lines_alone()).unwrap();
    // After step 4, and after the last one.
    for step in [4, 6] {
        let mut trainer = Trainer::resume(config("broken")).unwrap();
        let mut watch = InValidation { stop: Some(trainer.stop_handle()), ..InValidation::default() };
        assert_eq!(trainer.run(&mut (&mut lines_alone(), &mut watch)).unwrap(), Outcome::Stopped { step });
        assert_eq!(watch.validations, 0);
        if step == 4 {
            // The same trainer goes on, and so does another one below.
            let mut watch = InValidation { stop: Some(trainer.stop_handle()), ..InValidation::default() };
            assert_eq!(trainer.run(&mut (&mut lines_alone(), &mut watch)).unwrap(), Outcome::Stopped { step });
            drop(trainer);
            let mut trainer = Trainer::resume(config("broken")).unwrap();
            let mut watch = Watch { stop_after: Some((5, trainer.stop_handle())), ..Watch::default() };
            assert_eq!(trainer.run(&mut (&mut lines_alone(), &mut watch)).unwrap(), Outcome::Stopped { step: 5 });
        }
    }
    let mut watch = InValidation::default();
    let mut trainer = Trainer::resume(config("broken")).unwrap();
    assert_eq!(trainer.run(&mut (&mut lines_alone(), &mut watch)).unwrap(), Outcome::Finished);
    assert_eq!(watch.validations, 1);
    let [(whole, whole_log), (broken, broken_log)] = ["whole", "broken"].map(|run| {
        let mut files = bench.files(run);
        let log = files.remove("log.jsonl").unwrap();
        (files, without_times(&log))
    });
    assert!(whole == broken, "the files differ");
    assert_eq!(whole_log, broken_log);
}

/// Fails as a kill would, in a validation.
struct KilledInValidation;

impl Observer for KilledInValidation {
    fn validating(&mut self, _done: usize, _of: usize) -> Observed {
        Err("killed".into())
    }
}

#[test]
fn a_kill_in_a_validation_costs_no_step() {
    let bench = Bench::new();
    let config = |output| TrainConfig { checkpoint_interval: 4, ..bench.config(output, 6, NETWORKS[0]) };
    let lines_alone = || RunLog::new(LogOptions { tensorboard: false, samples: false });
    Trainer::new(config("whole")).unwrap().run(&mut lines_alone()).unwrap();
    // In the validation after step 4, in the one that makes up for it, and after the last step.
    for step in [4, 4, 6] {
        let mut trainer = Trainer::resume(config("broken")).unwrap();
        if step == 6 {
            let mut watch = Watch { stop_after: Some((5, trainer.stop_handle())), ..Watch::default() };
            assert_eq!(trainer.run(&mut (&mut lines_alone(), &mut watch)).unwrap(), Outcome::Stopped { step: 5 });
        }
        let killed = trainer.run(&mut (&mut lines_alone(), &mut KilledInValidation));
        assert!(matches!(killed, Err(Error::Observer(_))), "{killed:?}");
        drop(trainer);
        let trainer = Trainer::resume(config("broken")).unwrap();
        assert!(format!("{trainer:?}").contains(&format!(", step: {step},")), "{trainer:?}");
    }
    let mut trainer = Trainer::resume(config("broken")).unwrap();
    assert_eq!(trainer.run(&mut lines_alone()).unwrap(), Outcome::Finished);
    let [(whole, whole_log), (broken, broken_log)] = ["whole", "broken"].map(|run| {
        let mut files = bench.files(run);
        let log = files.remove("log.jsonl").unwrap();
        (files, without_times(&log))
    });
    assert!(whole == broken, "the files differ");
    assert_eq!(whole_log, broken_log);
}

#[test]
fn a_shortened_training_ends_with_its_validation() {
    let bench = Bench::new();
    let config = |output, steps| {
        let schedule = Schedule::Constant { rate: 0.01 };
        TrainConfig { schedule, ..bench.config(output, steps, NETWORKS[0]) }
    };
    train(config("whole", 6));
    let mut trainer = Trainer::new(config("run", 20)).unwrap();
    let mut watch = Watch { stop_after: Some((6, trainer.stop_handle())), ..Watch::default() };
    assert_eq!(trainer.run(&mut watch).unwrap(), Outcome::Stopped { step: 6 });
    drop(trainer);
    // The second time there is nothing left to do.
    for validations in [1, 0] {
        let mut watch = InValidation::default();
        let outcome = Trainer::resume(config("run", 6)).unwrap().run(&mut watch).unwrap();
        assert_eq!((outcome, watch.validations), (Outcome::Finished, validations));
        assert!(bench.files("whole") == bench.files("run"));
    }
    let error = Trainer::resume(config("run", 5)).err().unwrap();
    assert!(matches!(error, Error::StepsDone { done: 6, steps: 5, .. }), "{error}");
    // Another validation is done, once, though no step is left.
    for validations in [1, 0] {
        let mut other = config("run", 6);
        other.validation.size = Some(16);
        let mut watch = InValidation::default();
        let outcome = Trainer::resume(other).unwrap().run(&mut watch).unwrap();
        assert_eq!((outcome, watch.validations), (Outcome::Finished, validations));
    }
}

#[test]
fn what_is_left_of_a_training_without_its_checkpoint_is_not_overwritten() {
    let bench = Bench::new();
    let config = || TrainConfig { checkpoint_interval: 3, ..bench.config("run", 5, NETWORKS[0]) };
    let lines_alone = || RunLog::new(LogOptions { tensorboard: false, samples: false });
    let path = |name: &str| bench.path().join("run").join(name);
    // A kill before the first checkpoint leaves a log: a resume begins anew.
    struct Kill;
    impl Observer for Kill {
        fn step(&mut self, step: &StepRecord) -> Observed {
            if step.step == 2 { Err("killed".into()) } else { Ok(()) }
        }
    }
    let killed = Trainer::new(config()).unwrap().run(&mut (&mut lines_alone(), &mut Kill));
    assert!(killed.is_err() && path("log.jsonl").exists());
    let refused = Trainer::new(config()).err().unwrap();
    assert!(matches!(refused, Error::NoCheckpointYet { left: "log.jsonl", .. }), "{refused}");
    Trainer::resume(config()).unwrap().run(&mut lines_alone()).unwrap();
    fs::remove_file(path("checkpoint.safetensors")).unwrap();
    for left in ["last.safetensors", "log.jsonl"] {
        for begin in [Trainer::new, Trainer::resume] {
            let refused = begin(config()).err().unwrap();
            let Error::CheckpointGone { .. } = refused else { panic!("{left}: {refused}") };
        }
        fs::remove_file(path("last.safetensors")).ok();
        fs::remove_file(path("best.safetensors")).ok();
    }
    fs::remove_file(path("log.jsonl")).unwrap();
    assert!(Trainer::new(config()).is_ok());
}

/// The lines of a log without its times.
fn without_times(log: &[u8]) -> Vec<Value> {
    let line = |line: &[u8]| {
        let mut value: Value = serde_json::from_slice(line).unwrap();
        value.as_object_mut().unwrap().retain(|key, _| !["time", "seconds", "waited"].contains(&key.as_str()));
        value
    };
    log.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()).map(line).collect()
}

#[test]
fn one_trainer_may_run_again_after_a_stop() {
    let bench = Bench::new();
    train(bench.config("whole", 6, NETWORKS[0]));
    let mut trainer = Trainer::new(bench.config("run", 6, NETWORKS[0])).unwrap();
    let mut watch = Watch { stop_after: Some((2, trainer.stop_handle())), ..Watch::default() };
    assert_eq!(trainer.run(&mut watch).unwrap(), Outcome::Stopped { step: 2 });
    assert_eq!(trainer.run(&mut ()).unwrap(), Outcome::Finished);
    assert!(bench.files("whole") == bench.files("run"));
}

#[test]
fn what_a_resume_does_not_need_may_have_changed() {
    let bench = Bench::new();
    train(bench.config("first", 2, NETWORKS[0]));
    let start = bench.path().join("first/last.safetensors");
    let config = |side: u32| {
        let mut config = bench.config("run", 8, NETWORKS[0]);
        config.init_from = Some(start.clone());
        config.validation.size = Some(side);
        let DataConfig::Synthesized(data) = &mut config.data else { panic!("its data are synthesized") };
        // Numbers that JSON gives back as a neighbour unless it is read with care.
        data.rain = RainRange { opacity: [0.03, 0.7], coverage: [0.11, 3.9], ..RainRange::default() };
        config
    };
    let mut trainer = Trainer::new(config(24)).unwrap();
    let mut watch = Watch { stop_after: Some((5, trainer.stop_handle())), ..Watch::default() };
    assert_eq!(trainer.run(&mut watch).unwrap(), Outcome::Stopped { step: 5 });
    drop(trainer);
    fs::remove_file(&start).unwrap();
    let mut watch = InValidation::default();
    assert_eq!(Trainer::resume(config(16)).unwrap().run(&mut watch).unwrap(), Outcome::Finished);
    assert!(watch.messages.len() == 1 && watch.messages[0].contains("best score"), "{:?}", watch.messages);
}

#[test]
fn another_configuration_is_refused_and_named() {
    let bench = Bench::new();
    train(bench.config("run", 2, NETWORKS[0]));
    let longer = bench.config("run", 3, NETWORKS[0]);
    let seed = TrainConfig { seed: 12, ..longer.clone() };
    let refused = Trainer::resume(seed).err().unwrap();
    assert!(matches!(refused, Error::BegunDifferently { .. }), "{refused}");
    assert!(refused.to_string().contains("seed was 11 and is 12 now"), "{refused}");
    let refused = Trainer::resume(longer.clone()).err().unwrap();
    assert!(
        refused.to_string().contains("steps was 2 and is 3 now, and rates of this schedule depend on it"),
        "{refused}"
    );
    let refused = Trainer::resume(bench.config("run", 3, NETWORKS[1])).err().unwrap();
    assert!(matches!(refused, Error::BegunDifferently { .. }), "{refused}");
    assert!(matches!(Trainer::new(longer).err().unwrap(), Error::Begun { .. }));
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_it() {
    let bench = Bench::new();
    train(bench.config("run", 2, NETWORKS[0]));
    let path = bench.path().join("run/checkpoint.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 1, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let refused = Trainer::resume(bench.config("run", 2, NETWORKS[0])).err().unwrap();
        assert!(matches!(refused, Error::Checkpoint { .. }), "{length} bytes: {refused}");
        assert!(refused.to_string().contains("checkpoint.safetensors"), "{refused}");
    }
}
