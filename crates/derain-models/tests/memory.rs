//! What inference takes, measured, against what it says beforehand.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is how a test reports; the figures are for the documents

use candle_core::Device;
use derain_models::weights::WeightFile;
use derain_models::{Derainer, Network, RraNetConfig, SpaNetConfig, rranet, spanet};
use image::RgbImage;

mod counting;

use counting::measure;

/// Inference takes no more than announced, in memory and with files, whatever ran before; and not so much less that
/// pictures would be refused or moved to files for nothing.
fn takes_what_it_says(network: Network, weights: &[u8]) {
    let file = WeightFile::parse(weights).unwrap();
    let new = || Derainer::from_weight_file(network, &file, &Device::Cpu).unwrap();
    let derainer = new();
    for threads in [1, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            // Wide, tall, and small after large.
            for (width, height) in [(1500, 40), (60, 900), (400, 300), (20, 20)] {
                let picture = RgbImage::new(width, height);
                let sizes = [derainer.memory_needed(width, height), derainer.memory_needed_with_files(width, height)];
                let least = sizes[0].min(sizes[1]);
                let peak = |derainer: &Derainer| {
                    let (result, taken) = measure(|| derainer.derain(&picture));
                    result.unwrap();
                    // The picture is copied, and so is its result: not inference's.
                    (taken.peak as u64).saturating_sub(2 * 4 * u64::from(width * height))
                };
                for (limit, said) in [(None, sizes[0]), (Some(least), least)] {
                    let peak = peak(&derainer.clone().with_max_memory(limit));
                    let what =
                        format!("{network} {width}x{height}, {threads} threads, limit {limit:?}: {peak} of {said}");
                    println!("{what}");
                    assert!(peak <= said, "{what}");
                }
                if network == Network::RraNet && width >= 400 {
                    // A new one: what an earlier run has left would not be taken again.
                    let (peak, said) = (peak(&new()), sizes[0]);
                    assert!(2 * peak >= said, "{width}x{height}, {threads} threads: {peak} of {said}");
                }
            }
        });
    }
}

/// One after the other: what a test allocates while another one is measured would count.
#[test]
fn inference_takes_what_it_says() {
    takes_what_it_says(Network::SpaNet, &spanet::initial_weight_file(&SpaNetConfig::paper(), 3).unwrap());
    let config = RraNetConfig { widths: [32, 64, 64, 64], stages: 2, ..RraNetConfig::default() };
    takes_what_it_says(Network::RraNet, &rranet::initial_weight_file(&config, 3).unwrap());
}
