//! What hostile weight files cost: memory beside the file's bytes, and allocations.

use candle_core::Device;
use derain_models::weights::WeightFile;
use derain_models::{Derainer, Error, Network};

use counting::measure;

// Shared with the unit tests, which use more of it.
#[allow(dead_code)]
#[path = "../src/weights/tests/builder.rs"]
mod builder;
mod counting;
#[path = "../src/weights/tests/hostile/mod.rs"]
mod hostile;

/// Memory that reading may need beside the file itself.
const MOST_BYTES: usize = 256 << 20;
/// Allocations that reading may make: a few per named tensor, of which there are 65,536 at most.
const MOST_ALLOCATIONS: usize = 2_000_000;

/// Files that are sound in themselves but ask for a huge network, through their metadata or a tensor without elements.
#[test]
fn hostile_networks_cost_little() {
    let safetensors = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    };
    let empty = r#"{"dtype":"F32","shape":[4096,0],"data_offsets":[0,0]}"#;
    let claimed = r#"{\"channels\":4096,\"attention\":\"separate\"}"#;
    let block = r#""res_block1.group1.conv1.weight""#;
    for header in [
        format!(r#"{{"__metadata__":{{"derain.spanet":"{claimed}"}},"conv_in.0.weight":{empty}}}"#),
        format!(r#"{{"__metadata__":{{"derain.spanet":"{{}}"}},"conv_in.0.weight":{empty}}}"#),
        format!(r#"{{"conv_in.0.weight":{empty},{block}:{empty}}}"#),
    ] {
        let (result, taken) = measure(|| {
            let file = WeightFile::from_bytes(safetensors(&header)).unwrap();
            Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu)
        });
        assert!(matches!(result, Err(Error::Weights { .. })), "{header}: {result:?}");
        assert!(taken.peak < MOST_BYTES, "{header}: {taken:?}");
    }
    // A real first convolution of 4096 channels, with nothing behind it.
    let bytes = 4096 * 27 * 4;
    let header = format!(
        r#"{{"conv_in.0.weight":{{"dtype":"F32","shape":[4096,3,3,3],"data_offsets":[0,{bytes}]}},{block}:{{"dtype":"F32","shape":[0],"data_offsets":[{bytes},{bytes}]}}}}"#
    );
    let mut file = safetensors(&header);
    file.resize(file.len() + bytes, 0);
    let file = WeightFile::from_bytes(file).unwrap();
    let (result, taken) = measure(|| Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu));
    assert!(matches!(result, Err(Error::Weights { .. })), "{result:?}");
    assert!(taken.peak < MOST_BYTES, "{taken:?}");
}

#[test]
fn hostile_files_cost_little() {
    for case in (0..hostile::GROUPS).flat_map(hostile::group) {
        let (read, taken) = measure(|| WeightFile::from_bytes(case.bytes));
        println!("{:40} {:9} kB {:8}", case.name, taken.peak >> 10, taken.allocations);
        assert!(taken.peak < MOST_BYTES, "{}: {taken:?}", case.name);
        assert!(taken.allocations < MOST_ALLOCATIONS, "{}: {taken:?}", case.name);
        assert_eq!(read.is_err(), case.error.is_some(), "{}", case.name);
    }
}
