//! Whole trainings: that they learn, that threads change nothing, and what becomes of those that fail.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod common;

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;

use common::{Bench, NETWORKS, Watch, train};
use derain_data::dataset::{AugmentOptions, Crop};
use derain_models::{Derainer, Network};
use derain_train::{
    DataConfig, Error, LossConfig, Observed, Observer, PairData, PairPlace, Schedule, StepRecord, TrainConfig, Trainer,
    ValidationConfig, ValidationRecord,
};
use image::{Rgb, RgbImage};

#[test]
fn thread_counts_give_the_same_bits() {
    const STEPS: u64 = 20;
    let bench = Bench::new();
    for network in NETWORKS {
        let run = |threads: usize| {
            let output = format!("{}-{threads}", network.0);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let losses = pool.install(|| train(bench.config(&output, STEPS, network)));
            (losses, bench.files(&output))
        };
        let one = run(1);
        assert_eq!(one.0.len(), STEPS as usize);
        for threads in [2, 3] {
            assert!(one == run(threads), "{}: {threads} threads", network.0);
        }
    }
}

#[test]
fn both_networks_learn_and_derainer_runs_what_they_learned() {
    let bench = Bench::new();
    // The same two pairs in every step, so that losses can be compared.
    for (folder, rain) in [("rain", 90), ("norain", 0)] {
        let folder = bench.path().join("pairs").join(folder);
        fs::create_dir_all(&folder).unwrap();
        for pair in 0..2u32 {
            let streak = |x: u32, y: u32| if (x + y / 8 + pair).is_multiple_of(7) { rain } else { 0 };
            let picture = RgbImage::from_fn(24, 24, |x, y| {
                Rgb([1, 2, 5].map(|k| ((x * (k + pair) + y * 3) % 97 + 60) as u8 + streak(x, y)))
            });
            picture.save(folder.join(format!("{pair}.png"))).unwrap();
        }
    }
    for (network, kind) in NETWORKS.into_iter().zip([Network::SpaNet, Network::RraNet]) {
        let config = TrainConfig {
            ema: None,
            data: DataConfig::Pairs(PairData { paths: vec![bench.path().join("pairs").into()], ..PairData::default() }),
            augment: AugmentOptions::none(),
            validation: ValidationConfig {
                pairs: vec![bench.path().join("pairs").into()],
                ..ValidationConfig::default()
            },
            ..bench.config(network.0, 60, network)
        };
        let losses = train(config);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..6]), mean(&losses[54..]));
        assert!(last < 0.7 * first, "{}: {first} to {last}", network.0);
        let load = |name: &str| {
            Derainer::from_weights(kind, bench.path().join(network.0).join(name), &candle_core::Device::Cpu)
        };
        let refused = load("checkpoint.safetensors").unwrap_err();
        let cause = refused.source().unwrap().to_string();
        assert!(cause.contains("checkpoint") && cause.contains("best.safetensors"), "{cause}");
        let derainer = load("best.safetensors").unwrap();
        let photo = image::open(bench.path().join("photos/0.png")).unwrap().into_rgb8();
        assert_eq!(derainer.derain(&photo).unwrap().image.dimensions(), photo.dimensions());
    }
}

#[test]
fn training_pictures_that_cannot_be_used_are_told_before_training() {
    let bench = Bench::new();
    let clean = |pair: u8| bench.path().join(format!("clean/{pair}.png"));
    let restore = || {
        for folder in ["rainy", "clean"] {
            fs::create_dir_all(bench.path().join(folder)).unwrap();
            for pair in 0..4u8 {
                let path = bench.path().join(folder).join(format!("{pair}.png"));
                RgbImage::from_pixel(24, 24, Rgb([50 * pair; 3])).save(path).unwrap();
            }
        }
    };
    let refused = || {
        let place = PairPlace::Folders { rainy: bench.path().join("rainy"), clean: bench.path().join("clean") };
        let data = DataConfig::Pairs(PairData { paths: vec![place], ..PairData::default() });
        match Trainer::new(TrainConfig { data, ..bench.config("run", 2, NETWORKS[0]) }) {
            Err(Error::UnusablePicture { others, source }) => {
                assert!(!bench.path().join("run").exists());
                format!("{source}; {others}")
            }
            other => panic!("{other:?}"),
        }
    };
    restore();
    RgbImage::new(24, 25).save(clean(2)).unwrap();
    let text = refused();
    assert!(text.contains("2.png") && text.contains("24x25") && text.ends_with("; 0"), "{text}");
    restore();
    for (pair, folder) in [(1, "rainy"), (1, "clean"), (3, "rainy"), (3, "clean")] {
        RgbImage::new(15, 24).save(bench.path().join(folder).join(format!("{pair}.png"))).unwrap();
    }
    let text = refused();
    assert!(text.contains("1.png") && text.contains("smaller than the crop") && text.ends_with("; 1"), "{text}");
    restore();
    fs::write(clean(3), b"").unwrap();
    let text = refused();
    assert!(text.contains("3.png"), "{text}");
    // Photographs on which it rains are looked at as well.
    RgbImage::new(40, 15).save(bench.path().join("photos/0.png")).unwrap();
    let error = Trainer::new(bench.config("run", 2, NETWORKS[0])).err().unwrap();
    assert!(matches!(error, Error::UnusablePicture { .. }), "{error}");
}

#[test]
fn whole_pictures_of_several_sizes_are_trained_on_one_by_one() {
    let bench = Bench::new();
    RgbImage::new(32, 24).save(bench.path().join("photos/3.png")).unwrap();
    let config = |batch_size| {
        let mut config = bench.config("run", 4, NETWORKS[0]);
        (config.augment, config.micro_batches, config.batch_size) = (AugmentOptions::none(), 1, batch_size);
        config
    };
    let error = Trainer::new(config(2)).err().unwrap();
    assert!(matches!(&error, Error::MixedSizes { other, .. } if other.ends_with("3.png")), "{error}");
    assert!(!bench.path().join("run").exists());
    train(config(1));
}

#[test]
fn a_validation_that_fails_costs_no_step() {
    /// At the first of its pairs, or when it is told; or it makes a folder in the place of the best weights.
    enum Failing {
        InPairs,
        InScores,
        OnDisk(PathBuf),
    }
    impl Observer for Failing {
        fn validating(&mut self, _: usize, _: usize) -> Observed {
            if matches!(self, Self::InPairs) { Err("no more".into()) } else { Ok(()) }
        }
        fn validation(&mut self, _: &ValidationRecord) -> Observed {
            match self {
                Self::InPairs => Ok(()),
                Self::InScores => Err("no more".into()),
                Self::OnDisk(best) => Ok(fs::create_dir(best)?),
            }
        }
    }
    let bench = Bench::new();
    let config = |output| bench.config(output, 12, NETWORKS[0]);
    let losses = train(config("whole"));
    for (name, mut failing) in [
        ("pairs", Failing::InPairs),
        ("scores", Failing::InScores),
        ("disk", Failing::OnDisk(bench.path().join("disk/best.safetensors"))),
    ] {
        // Validations follow every fourth step, checkpoints the last alone.
        Trainer::new(config(name)).unwrap().run(&mut failing).unwrap_err();
        if let Failing::OnDisk(best) = &failing {
            fs::remove_dir(best).unwrap();
        }
        let mut trainer = Trainer::resume(config(name)).unwrap();
        assert!(format!("{trainer:?}").contains(", step: 4,"), "{name}: {trainer:?}");
        let mut watch = Watch::default();
        trainer.run(&mut watch).unwrap();
        assert_eq!(watch.losses, losses[4..], "{name}");
        assert!(bench.files("whole") == bench.files(name), "{name}");
    }
}

#[test]
fn a_damaged_picture_costs_no_step() {
    let bench = Bench::new();
    train(bench.config("whole", 12, NETWORKS[0]));
    let mut config = bench.config("run", 12, NETWORKS[0]);
    let DataConfig::Synthesized(data) = &mut config.data else { panic!("its data are synthesized") };
    // So that pictures are read again after the first epoch.
    data.cache_mb = 0;
    let mut trainer = Trainer::new(config.clone()).unwrap();
    let step = bench.train_until_damaged(&mut trainer, 3);
    drop(trainer);
    let trainer = Trainer::resume(config.clone()).unwrap();
    assert!(step >= 3 && format!("{trainer:?}").contains(&format!(", step: {step},")), "{trainer:?} after {step}");
    drop(trainer);
    Trainer::resume(config).unwrap().run(&mut ()).unwrap();
    assert!(bench.files("whole") == bench.files("run"));
}

#[test]
fn an_output_folder_in_the_data_is_refused() {
    let bench = Bench::new();
    let error = Trainer::new(bench.config("photos/run", 2, NETWORKS[0])).err().unwrap();
    assert!(matches!(error, Error::OutputInData { .. }), "{error}");
    assert!(!bench.path().join("photos/run").exists());
}

/// What is looked at before a checkpoint must have as many pairs as batch norms need.
#[test]
fn crops_of_eight_pixels_are_trained_on() {
    let bench = Bench::new();
    let (name, network, _) = NETWORKS[1];
    let mut config = bench.config("run", 1, (name, network, "l1 = 1.0\nssim = 0.0\nattention = 0.0"));
    (config.micro_batches, config.augment.crop) = (1, Crop::Window { size: 8 });
    assert_eq!(train(config).len(), 1);
}

#[test]
fn a_trainer_is_shown_without_its_weights() {
    let bench = Bench::new();
    let trainer = Trainer::new(bench.config("run", 3, NETWORKS[0])).unwrap();
    let shown = format!("{trainer:?}");
    assert!(shown.starts_with("Trainer { config: TrainConfig {"), "{shown}");
    assert!(shown.ends_with(", device: Cpu, rank: 0, ranks: 1, step: 0, steps: 3, .. }"), "{shown}");
}

#[test]
fn pairs_lie_in_folders_of_any_name_and_side_by_side() {
    let bench = Bench::new();
    for (folder, width) in [("wet", 24), ("dry", 24), ("both", 48)] {
        fs::create_dir_all(bench.path().join(folder)).unwrap();
        for pair in 0..3u8 {
            let picture = RgbImage::from_pixel(width, 24, Rgb([50 * pair; 3]));
            picture.save(bench.path().join(folder).join(format!("{pair}.png"))).unwrap();
        }
    }
    let load = |paths: &str| {
        let text = format!(
            "output = \"run\"\nsteps = 1\nbatch_size = 6\n[network]\nkind = \"spanet\"\nchannels = 4\n[data]\nkind = \"pairs\"\npaths = {paths}\n\
             [augment]\ncrop = {{ kind = \"whole\" }}\n[validation]\npairs = [{{ rainy = \"wet\", clean = \"dry\" }}]\n"
        );
        fs::write(bench.path().join("train.toml"), text).unwrap();
        TrainConfig::load(bench.path().join("train.toml"))
    };
    let config = load(r#"[{ rainy = "wet", clean = "dry" }, { side_by_side = "both", rainy = "left" }]"#).unwrap();
    assert_eq!(train(config.clone()).len(), 1, "six pairs make a step");
    assert!(Trainer::resume(config).is_ok());
    // The other half is another training.
    let swapped = load(r#"[{ rainy = "wet", clean = "dry" }, { side_by_side = "both", rainy = "right" }]"#).unwrap();
    assert!(Trainer::resume(swapped).is_err());
    for paths in [r#"[{ rainy = "wet" }]"#, r#"[{ rainy = "wet", clean = "dry", other = "x" }]"#, "[3]"] {
        let error = load(paths).unwrap_err();
        let Error::ConfigFile { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains("side_by_side"), "{source}");
    }
}

#[test]
fn weights_of_another_training_are_a_start() {
    let bench = Bench::new();
    let losses = train(TrainConfig { ema: None, ..bench.config("first", 40, NETWORKS[0]) });
    let begun = TrainConfig {
        init_from: Some(bench.path().join("first/last.safetensors")),
        ..bench.config("second", 1, NETWORKS[0])
    };
    assert!(train(begun)[0] < 0.7 * losses[0]);
    let other = TrainConfig {
        init_from: Some(bench.path().join("first/last.safetensors")),
        ..bench.config("third", 1, NETWORKS[1])
    };
    assert!(matches!(Trainer::new(other), Err(Error::Models(_))), "weights of another network");
}

#[test]
fn a_diverged_training_ends_and_keeps_its_checkpoint() {
    let bench = Bench::new();
    let config = TrainConfig {
        checkpoint_interval: 1,
        ema: None,
        // Up to step 3 as it should be, then ruin.
        schedule: Schedule::Steps { rate: 0.005, divisor: 1e-12, at: vec![3] },
        ..bench.config("run", 20, NETWORKS[0])
    };
    let mut watch = Watch::default();
    let error = Trainer::new(config).unwrap().run(&mut watch).unwrap_err();
    let Error::Diverged { step, .. } = error else { panic!("{error}") };
    assert_eq!((step, watch.losses.len()), (5, 4), "what step 4 ruined is seen before it is written");
    for words in ["the checkpoint of step 3 is kept", "schedule.rate", "init_from"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    // It holds weights to go on from.
    let kept = bench.path().join("run/last.safetensors");
    let start = TrainConfig { init_from: Some(kept), ..bench.config("next", 3, NETWORKS[0]) };
    assert!(train(start).iter().all(|&loss| loss < watch.losses[0]));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_leaves_the_checkpoint_before() {
    let bench = Bench::new();
    let config = || TrainConfig { checkpoint_interval: 2, ..bench.config("run", 6, NETWORKS[0]) };
    let run = bench.path().join("run");
    // A write that fails after the first checkpoint, as on a full disk: the folder of the next one is gone.
    struct Block<'a>(&'a std::path::Path, Vec<u8>);
    impl Observer for Block<'_> {
        fn step(&mut self, step: &StepRecord) -> Observed {
            if step.step == 3 {
                self.1 = fs::read(self.0.join("checkpoint.safetensors"))?;
                fs::rename(self.0, self.0.with_extension("gone"))?;
            }
            Ok(())
        }
    }
    let mut block = Block(&run, Vec::new());
    let error = Trainer::new(config()).unwrap().run(&mut block).unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error}");
    fs::rename(run.with_extension("gone"), &run).unwrap();
    assert!(!block.1.is_empty() && fs::read(run.join("checkpoint.safetensors")).unwrap() == block.1);
    Trainer::resume(config()).unwrap().run(&mut ()).unwrap();
    train(TrainConfig { checkpoint_interval: 2, ..bench.config("whole", 6, NETWORKS[0]) });
    assert!(bench.files("run") == bench.files("whole"));
}

#[test]
fn two_processes_do_not_train_into_one_folder() {
    let bench = Bench::new();
    let held = Trainer::new(bench.config("run", 2, NETWORKS[0])).unwrap();
    assert!(matches!(Trainer::new(bench.config("run", 2, NETWORKS[0])), Err(Error::Busy { .. })));
    drop(held);
    assert!(Trainer::new(bench.config("run", 2, NETWORKS[0])).is_ok());
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let good = bench.config("run", 2, NETWORKS[0]);
    let wrong = [
        ("steps", TrainConfig { steps: None, ..good.clone() }),
        ("batch_size", TrainConfig { batch_size: 0, ..good.clone() }),
        ("micro_batches", TrainConfig { micro_batches: 0, ..good.clone() }),
        ("checkpoint_interval", TrainConfig { checkpoint_interval: 0, ..good.clone() }),
        ("ema", TrainConfig { ema: Some(1.0), ..good.clone() }),
        ("clip_norm", TrainConfig { clip_norm: Some(0.0), ..good.clone() }),
        ("loss", TrainConfig { loss: LossConfig { l1: f64::NAN, ..LossConfig::default() }, ..good.clone() }),
    ];
    for (key, config) in wrong {
        let refused = Trainer::new(config).err().unwrap();
        assert!(matches!(refused, Error::Config { .. }) && refused.to_string().contains(key), "{key}: {refused}");
    }
    let few = TrainConfig { steps: None, epochs: Some(2), batch_size: 6, ..good };
    let refused = Trainer::new(few).err().unwrap().to_string();
    assert!(refused.contains("5 samples make no batch of 6"), "{refused}");
    let rain = "[data]\nkind = \"synthesized\"\n[data.rain]\nwet = 1";
    for text in ["stepps = 1", "[network]\nkind = \"spanet\"\nchanels = 4", "[loss]\nl2 = 1.0", rain, "steps = \"two\""]
    {
        assert!(matches!(TrainConfig::from_toml(text), Err(Error::ConfigFile { .. })), "{text}");
    }
}

#[test]
fn the_configurations_that_come_with_the_examples_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/configs");
    // The package alone has no examples beside it.
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut read = 0;
    for path in
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "toml"))
    {
        TrainConfig::load(&path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        read += 1;
    }
    assert!(read >= 5, "{read}");
}
