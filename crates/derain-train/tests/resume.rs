//! Broken off anywhere, a training that is resumed ends as if it had not been.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod common;

use std::fs;

use common::{Bench, NETWORKS, Watch, train};
use derain_train::{Error, Outcome, TrainConfig, Trainer};

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
    // The state on disk after a kill in step 5: the checkpoint of step 3, and weights that it may not have got to write.
    train_until(config("killed"), 1);
    let mut trainer = Trainer::resume(config("killed")).unwrap();
    struct Kill;
    impl derain_train::Observer for Kill {
        fn step(&mut self, step: &derain_train::StepRecord) -> derain_train::Observed {
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

#[test]
fn another_configuration_is_refused_and_named() {
    let bench = Bench::new();
    train(bench.config("run", 2, NETWORKS[0]));
    let longer = bench.config("run", 3, NETWORKS[0]);
    let seed = TrainConfig { seed: 12, ..longer.clone() };
    let refused = Trainer::resume(seed).err().unwrap();
    assert!(matches!(refused, Error::BegunDifferently { .. }), "{refused}");
    assert!(refused.to_string().contains("seed was 11 and is 12 now"), "{refused}");
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
