//! Whole networks: pictures, a training's step, its loss.

use std::fs;

use candle_core::Device;
use derain::models::spanet::DirectionWeights;
use derain::models::weights::WeightFile;
use derain::models::{RraNetConfig, SpaNetConfig, rranet, spanet};
use derain::train::{Observed, Observer, StepRecord, TrainConfig, Trainer};
use derain::{Derainer, Network, Placement, Precision};
use image::{Rgb, RgbImage};

use crate::support::{each_way_to_convolve, gpu};

/// An odd size, larger than a chunk of the scans.
fn rainy() -> RgbImage {
    RgbImage::from_fn(150, 131, |x, y| Rgb([1, 2, 5].map(|k| ((x * k + y * 3 + x * y % 7) % 197 + 40) as u8)))
}

/// The largest difference of two pictures' values, and how many differ.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, usize) {
    let differences = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).filter(|&d| d > 0);
    differences.fold((0, 0), |(largest, count), d| (largest.max(d), count + 1))
}

fn compare(network: Network, weights: Vec<u8>) {
    let Some(gpu) = gpu() else { return };
    let file = WeightFile::from_bytes(weights).unwrap();
    let derain =
        |device: &Device| Derainer::from_weight_file(network, &file, device).unwrap().derain(&rainy()).unwrap();
    let expected = derain(&Device::Cpu);
    each_way_to_convolve(|way| {
        let got = derain(&gpu);
        let (largest, count) = difference(&got.image, &expected.image);
        // Values on the edge between two integers may round to either.
        assert!(
            largest <= 1 && count < expected.image.as_raw().len() / 100,
            "{network:?}, {way}: {count} differ, by up to {largest}"
        );
        assert_eq!(got.attention.is_some(), expected.attention.is_some());
    });
}

#[test]
fn spanet_derains_as_on_the_cpu() {
    for direction_weights in [DirectionWeights::Multiplied, DirectionWeights::Ignored] {
        let config = SpaNetConfig { direction_weights, ..SpaNetConfig::default() };
        compare(Network::SpaNet, spanet::initial_weight_file(&config, 5).unwrap());
    }
}

#[test]
fn rranet_derains_as_on_the_cpu() {
    let config = RraNetConfig { widths: [8, 16, 16, 16], stages: 2, ..RraNetConfig::default() };
    compare(Network::RraNet, rranet::initial_weight_file(&config, 5).unwrap());
}

/// How far halves may lead values astray: on average, in 8-bit steps.
#[test]
#[cfg(feature = "pretrained")]
fn halves_derain_nearly_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for &network in Network::ALL {
        let expected = Derainer::pretrained(network, &Device::Cpu).unwrap().derain(&rainy()).unwrap().image;
        each_way_to_convolve(|way| {
            for (precision, most) in [(Precision::F16, 0.5), (Precision::Bf16, 2.0)] {
                let derainer = Derainer::pretrained(network, Placement::new(&gpu, precision)).unwrap();
                let got = derainer.derain(&rainy()).unwrap().image;
                let sum: u64 = got.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                let mean = sum as f64 / got.as_raw().len() as f64;
                assert!(mean < most, "{network} in {precision}, {way}: {mean} on average");
            }
        });
    }
}

/// Ten steps of a training, loss by loss.
fn losses(network: &str, device: &Device) -> Vec<f64> {
    struct Losses(Vec<f64>);
    impl Observer for Losses {
        fn step(&mut self, step: &StepRecord) -> Observed {
            self.0.push(step.losses.total);
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for photo in 0..3 {
        let mut picture = rainy();
        picture.pixels_mut().for_each(|pixel| pixel.0[0] = pixel.0[0].wrapping_add(40 * photo));
        picture.save(photos.join(format!("{photo}.png"))).unwrap();
    }
    let config = format!(
        "output = \"{0}/run\"\nsteps = 10\nbatch_size = 2\n[network]\n{network}\n[data]\nkind = \"synthesized\"\nclean = \"{0}/photos\"\n\
         [augment]\ncrop = {{ kind = \"window\", size = 48 }}\n",
        folder.path().display()
    );
    let path = folder.path().join("train.toml");
    fs::write(&path, config).unwrap();
    let mut losses = Losses(Vec::new());
    Trainer::new_on(TrainConfig::load(&path).unwrap(), device).unwrap().run(&mut losses).unwrap();
    losses.0
}

#[test]
fn trainings_go_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let rranet = "kind = \"rranet\"\nwidths = [8, 8, 8, 8]\nstages = 2\n[loss]\nattention = 0.0";
    for network in ["kind = \"spanet\"\nchannels = 8", rranet] {
        let expected = losses(network, &Device::Cpu);
        each_way_to_convolve(|way| {
            let got = losses(network, &gpu);
            assert_eq!(got.len(), 10);
            for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    (got - expected).abs() <= 2e-3 * expected.abs(),
                    "{network}, {way}: step {step}: {got}, on the CPU {expected}"
                );
            }
        });
    }
}

/// Several threads may use one derainer: all its work is on one stream.
#[test]
fn threads_share_a_derainer() {
    let Some(gpu) = gpu() else { return };
    let weights = spanet::initial_weight_file(&SpaNetConfig::default(), 6).unwrap();
    let file = WeightFile::from_bytes(weights).unwrap();
    let derainer = Derainer::from_weight_file(Network::SpaNet, &file, &gpu).unwrap();
    let expected = derainer.derain(&rainy()).unwrap().image;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| derainer.derain(&rainy()).unwrap().image)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == expected));
    });
}
