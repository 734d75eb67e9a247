//! Weights of one's own, of both networks, and the shipped ones.

use std::fs;

use derain::data::load_picture;
use derain::models::rranet;
use derain::models::spanet::{self, Attention, SpaNetConfig};
use derain::models::weights::WeightFile;
use derain::{Derainer, Device, Network};
use image::ColorType;

use crate::bench::Bench;
use crate::support::{self, assert_done, assert_failed, stderr};

#[test]
fn what_a_weight_file_does_not_say_is_told_and_can_be_written_into_it() {
    let bench = Bench::new();
    let rainy = bench.picture("rainy.png", ColorType::Rgb8);
    let mut file = WeightFile::open(bench.path("weights.safetensors")).unwrap();
    file.metadata.clear();
    fs::write(bench.path("bare.safetensors"), file.to_safetensors().unwrap()).unwrap();
    let said = "bare.safetensors does not say its configuration, SpaNetConfig { channels: 4,";
    let output = bench.run_bare("-i rainy.png -o clean.png --weights bare.safetensors");
    assert!(output.status.success() && stderr(&output).contains(said), "{}", stderr(&output));
    assert!(!stderr(&bench.run("-i rainy.png -o clean.png")).contains("does not say"));

    let inspect = |arguments: &str| {
        support::command("inspect_weights", bench.folder.path(), arguments).output().unwrap().status.success()
    };
    assert!(inspect("bare.safetensors -o paper.safetensors --form paper"));
    let output = bench.run_bare("-i rainy.png -o clean.png --weights paper.safetensors");
    assert!(output.status.success() && !stderr(&output).contains("does not say"), "{}", stderr(&output));
    let config = SpaNetConfig { channels: 4, ..SpaNetConfig::paper() };
    let derainer = Derainer::from_spanet_file(&config, &file, &Device::Cpu).unwrap();
    assert_eq!(load_picture(bench.path("clean.png")).unwrap().image, derainer.derain_dynamic(&rainy).unwrap());

    bench.add_rranet();
    assert!(inspect("rranet.safetensors -o four.safetensors --stages 4"));
    let four = WeightFile::open(bench.path("four.safetensors")).unwrap();
    assert_eq!(rranet::recognize(&four).unwrap().stages, 4);
    assert!(
        !inspect("rranet.safetensors -o none.safetensors --form paper") && !bench.path("none.safetensors").exists()
    );
}

#[test]
fn attention_that_a_network_has_not_is_said_before_the_work() {
    let bench = Bench::new();
    bench.picture("in/1.png", ColorType::Rgb8);
    let config = SpaNetConfig { channels: 4, attention: Attention::None, ..SpaNetConfig::release() };
    fs::write(bench.path("plain.safetensors"), spanet::initial_weight_file(&config, 7).unwrap()).unwrap();
    let output = bench.run_bare("-i in -o out --attention maps --weights plain.safetensors");
    assert_failed(&output, "error: spanet has no attention to show");
    assert!(!bench.path("out").exists() && !stderr(&output).contains("1.png"), "{}", stderr(&output));
    assert_done(&bench.run_bare("-i in -o out --weights plain.safetensors"));
}

#[test]
fn rranet_runs_with_its_own_weights_only() {
    let bench = Bench::new();
    bench.add_rranet();
    bench.picture("rainy.png", ColorType::Rgb8);
    let output = bench.run_bare(
        "-i rainy.png -o clean.png --model rranet --weights rranet.safetensors --attention map.png --json r.json",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(bench.json("r.json")["network"], "rranet");
    let derainer = Derainer::from_weights(Network::RraNet, bench.path("rranet.safetensors"), &Device::Cpu).unwrap();
    let rainy = load_picture(bench.path("rainy.png")).unwrap().image;
    let expected = derainer.derain_dynamic_with_attention(&rainy).unwrap();
    assert_eq!(load_picture(bench.path("clean.png")).unwrap().image, expected.image);
    assert_eq!(load_picture(bench.path("map.png")).unwrap().image.into_luma8(), expected.attention.unwrap());

    let output = bench.run_bare("-i rainy.png -o other.png --weights rranet.safetensors");
    assert_failed(&output, "these are not the weights of spanet");
    // RRANet keeps nothing in files: it refuses and names what it needs.
    let limited = "-i rainy.png -o other.png --model rranet --weights rranet.safetensors --max-memory 1kB";
    assert_failed(&bench.run_bare(limited), "needs about");
    assert!(!bench.path("other.png").exists());
}

#[test]
#[cfg(feature = "pretrained")]
fn without_weights_the_shipped_ones_run() {
    let bench = Bench::new();
    let rainy = bench.picture("rainy.png", ColorType::Rgb8);
    for &network in Network::ALL {
        assert_done(&bench.run_bare(&format!("-i rainy.png -o clean.png --model {network}")));
        let derainer = Derainer::pretrained(network, &Device::Cpu).unwrap();
        assert_eq!(load_picture(bench.path("clean.png")).unwrap().image, derainer.derain_dynamic(&rainy).unwrap());
    }
}
