//! Tiny trainings over photographs that are made here.
#![allow(dead_code, clippy::unwrap_used)] // not every test uses everything; a panic is how a test reports

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use derain_train::{Observed, Observer, Outcome, StepRecord, StopHandle, TrainConfig, Trainer};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// Networks that train in moments: their tables of the configuration, and their losses'.
pub(crate) const NETWORKS: [(&str, &str, &str); 2] = [
    ("spanet", "kind = \"spanet\"\nchannels = 4", "l1 = 1.0"),
    ("rranet", "kind = \"rranet\"\nwidths = [4, 4, 4, 4]\nstages = 2", "l1 = 0.0\nattention = 0.0"),
];

/// A folder with photographs in it, gone after the test.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let photos = bench.path().join("photos");
        fs::create_dir(&photos).unwrap();
        for photo in 0..6u32 {
            let picture = RgbImage::from_fn(40, 36, |x, y| {
                let wave = |k: u32| ((x * (k + photo) + y * (3 + k * photo)) % 97 + 60) as u8;
                Rgb([wave(1), wave(2), wave(5)])
            });
            picture.save(photos.join(format!("{photo}.png"))).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A training into the folder `output`: five photographs, one held out, batches of two 16 x 16 windows in
    /// micro-batches of one.
    pub(crate) fn config(&self, output: &str, steps: u64, (_, network, loss): (&str, &str, &str)) -> TrainConfig {
        let file = self.path().join("train.toml");
        let text = format!(
            "output = {output:?}\nsteps = {steps}\nseed = 11\nbatch_size = 2\nmicro_batches = 2\nema = 0.9\nclip_norm = 1.0\n\
             checkpoint_interval = 1000\n[network]\n{network}\n[loss]\n{loss}\n[data]\nkind = \"synthesized\"\nclean = \"photos\"\n\
             held_out = 1\n[augment]\ncrop = {{ kind = \"window\", size = 16 }}\nflip_horizontal = 0.5\nflip_vertical = 0.5\n\
             [schedule]\nkind = \"cosine\"\nrate = 0.01\nwarm_up = 2\n[validation]\ninterval = 4\nsize = 24\n"
        );
        fs::write(&file, text).unwrap();
        TrainConfig::load(&file).unwrap()
    }

    /// Runs until a photograph cannot be read: all of them are cut in half after a step, and whole again in the end.
    /// The last step told of.
    pub(crate) fn train_until_damaged(&self, trainer: &mut Trainer, step: u64) -> u64 {
        let photos = fs::read_dir(self.path().join("photos")).unwrap().map(|entry| entry.unwrap().path());
        let photos: Vec<_> = photos.map(|path| (fs::read(&path).unwrap(), path)).collect();
        struct Damage<'a>(&'a [(Vec<u8>, std::path::PathBuf)], u64, u64);
        impl Observer for Damage<'_> {
            fn step(&mut self, step: &StepRecord) -> Observed {
                self.2 = step.step;
                for (bytes, path) in self.0.iter().filter(|_| step.step == self.1) {
                    fs::write(path, &bytes[..bytes.len() / 2])?;
                }
                Ok(())
            }
        }
        let mut damage = Damage(&photos, step, 0);
        let error = trainer.run(&mut damage).unwrap_err();
        assert!(matches!(error, derain_train::Error::Data(_)), "{error}");
        let last = damage.2;
        photos.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        last
    }

    /// What a training has written, but for its lock.
    pub(crate) fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path().join(output)).unwrap().map(|entry| entry.unwrap().path());
        let files =
            entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()));
        files.filter(|(name, _)| name != "lock").collect()
    }
}

/// Asks a training to stop after a step, and notes the losses.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) stop_after: Option<(u64, StopHandle)>,
    pub(crate) losses: Vec<f64>,
}

impl Observer for Watch {
    fn step(&mut self, step: &StepRecord) -> Observed {
        self.losses.push(step.losses.total);
        if let Some((_, stop)) = self.stop_after.as_ref().filter(|(last, _)| *last == step.step) {
            stop.stop();
        }
        Ok(())
    }
}

/// Trains to the end; the losses of all steps.
pub(crate) fn train(config: TrainConfig) -> Vec<f64> {
    let mut watch = Watch::default();
    assert_eq!(Trainer::new(config).unwrap().run(&mut watch).unwrap(), Outcome::Finished);
    watch.losses
}
